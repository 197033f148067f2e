// What one backward call keeps in its workspace.
#pragma once

#include "host/packed_cell.h"
#include "host/rows.h"
#include "shared/panels.h"

namespace fastgru {

// A weight matrix and its gradient, with columns in panels of W vectors (shared/panels.h).
template <class T>
struct Columns {
    ptrdiff_t width;    // columns
    ptrdiff_t vectors;  // that they fill
    T* weight;          // [panel][3 Hp][W][L]
    T* right;           // [panel][chunk rows][W][L]: what the gate gradients are multiplied with
    T* d_weight;        // [panel][3 Hp][W][L]
    const T** rows;     // [chunk rows]: where the rows of `right` come from

    ptrdiff_t panel_values(ptrdiff_t rows, ptrdiff_t lanes) const { return vectors * rows * lanes; }
};

// Cells use it one after another.
template <class T>
struct BackwardMemory {
    Steps steps;
    T* zeros;            // [H]
    T* d_between[2];     // [N][D H]: gradients of the outputs of inner layers
    ptrdiff_t capacity;  // rows of a chunk
    ptrdiff_t gate_stride;
    T* d_gates;        // [capacity], gate_stride apart
    T* later_d_gates;  // [B]: of the step before this chunk
    T* carry;          // [B][Hp]
    T* d_bias;         // [4 Hb][L]
    Columns<T> ih, hh;
    T* gated;               // as `right` of hh, of r * h: for the rows of n without reset_after
    const T** weight_rows;  // [2][3 Hp]: where the rows of the weights come from
    T** d_input_rows;       // [chunk rows]
    // What computing the gates of a chunk again takes; only where the forward pass has not saved them.
    CellPack<T> pack;
    T* projected;        // [chunk rows][3 Hp], in pieces by thread
    const T** previous;  // [chunk rows]
    T* gates;            // [chunk rows][4][H]
};

template <class T>
Columns<T> lay_out_columns(const Kernels<T>& kernels, ptrdiff_t width, ptrdiff_t depth, ptrdiff_t capacity,
                           Arena& arena) {
    Columns<T> columns;
    columns.width = width;
    columns.vectors = kernels.blocks(width);
    columns.weight = arena.take<T>(columns.panel_values(depth, kernels.lanes));
    columns.d_weight = arena.take<T>(columns.panel_values(depth, kernels.lanes));
    columns.right = arena.take<T>(columns.panel_values(capacity, kernels.lanes));
    columns.rows = arena.take<const T*>(capacity);
    return columns;
}

template <class T>
BackwardMemory<T> lay_out(const Kernels<T>& kernels, const Backward<T>& call, ptrdiff_t layer, Arena& arena) {
    const Spec& spec = call.spec;
    const ptrdiff_t H = spec.hidden_size, L = kernels.lanes, blocks = kernels.blocks(H);
    BackwardMemory<T> memory{};
    memory.steps = lay_out_steps(call.batch, arena);
    memory.zeros = arena.take<T>(H);
    for (T*& d_between : memory.d_between)
        d_between = spec.num_layers > 1 ? arena.take<T>(call.batch.total() * spec.num_directions * H) : nullptr;
    const BackwardPlan plan = plan_backward(layer_shape(kernels, call, layer));
    memory.capacity = plan.chunk_steps * call.batch.rows;
    memory.gate_stride = (spec.reset_after ? 4 : 3) * blocks * L + ptrdiff_t(kAlignment / sizeof(T));
    memory.d_gates = arena.take<T>(memory.capacity * memory.gate_stride);
    memory.later_d_gates = arena.take<T>(call.batch.rows * memory.gate_stride);
    memory.carry = arena.take<T>(call.batch.rows * blocks * L);
    memory.d_bias = arena.take<T>(4 * blocks * L);
    memory.weight_rows = arena.take<const T*>(2 * 3 * blocks * L);
    memory.d_input_rows = arena.take<T*>(memory.capacity);
    memory.hh = lay_out_columns(kernels, H, 3 * blocks * L, memory.capacity, arena);
    memory.ih = lay_out_columns(kernels, spec.width(layer), 3 * blocks * L, memory.capacity, arena);
    if (!spec.reset_after) memory.gated = arena.take<T>(memory.hh.panel_values(memory.capacity, L));
    if (call.recomputes) {
        memory.pack = lay_out_pack(kernels, spec.width(layer), H, arena);
        memory.projected = arena.take<T>(memory.capacity * 3 * blocks * L);
        memory.previous = arena.take<const T*>(memory.capacity);
        memory.gates = arena.take<T>(memory.capacity * 4 * H);
    }
    return memory;
}

}  // namespace fastgru
