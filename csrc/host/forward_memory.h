// What one forward call keeps in its workspace.
#pragma once

#include "host/packed_cell.h"
#include "host/rows.h"

namespace fastgru {

// Of all layers; and the same with their states.
inline ptrdiff_t widest_input(const Spec& spec) { return max(spec.width(0), spec.width(spec.num_layers - 1)); }
inline ptrdiff_t widest_vector(const Spec& spec) { return max(widest_input(spec), spec.hidden_size); }

template <class T>
struct ThreadScratch {
    T* projected;  // [Hb][chunk rows][3][L]
    const T** input_rows;
    const T** previous;
    T** next;
    QuantizedRows quantized;  // inputs of a chunk, or states; null without weights of 8 bits
    T* gated;                 // [rows][2][H], as in ForwardSteps
};

template <class T, class P>
struct ForwardMemory {
    Steps steps;
    // Of layers that run at once: then there is a pack, memory between and scratch for each layer.
    ForwardPlan at_once{.partition = Partition::alone, .threads = 1};
    T* zeros;                                // [H]
    CellPack<T, P> pack[kMostLayersAtOnce];  // else by direction; not when the caller's are used
    T* between[kMostLayersAtOnce];           // [N][D H]: outputs of inner layers when nothing is saved; else two
    ThreadScratch<T>* scratch;               // else by thread

    bool runs_at_once() const { return at_once.threads > 1; }
};

// Whether panels (P) are made for the call, or used as the caller has packed them.
template <class P, class T, class S>
bool makes_panels(const Forward<T, S>& call) {
    return call.packed == nullptr || sizeof(P) != sizeof(S);
}

// Whether all rows of a call are taken together, in one step. More would fill the cache by themselves.
constexpr ptrdiff_t kMostStepRows = 128;
inline bool takes_one_step(const Batch& batch) {
    return batch.steps == 1 && batch.rows <= kMostStepRows && batch.lengths == nullptr;
}

template <class T, class P>
QuantizedRows lay_out_quantized(const ForwardKernels<T, P>& kernels, ptrdiff_t rows, ptrdiff_t width,
                                Arena& arena) {
    if constexpr (__is_same(P, Int8)) {
        const ptrdiff_t bytes = kernels.blocks(width) * kernels.lanes * int8_kernels_of(kernels).row_value_bytes;
        return {
            .values = arena.take<unsigned char>(rows * bytes),
            .scales = arena.take<float>(rows),
            .stride = bytes,
        };
    }
    return {};
}

template <class T, class P, class Call>
ThreadScratch<T>* lay_out_scratch(const ForwardKernels<T, P>& kernels, const Call& call, const ForwardPlan& at_once,
                                  Arena& arena) {
    ForwardPlan plan = at_once, inner = at_once;
    ptrdiff_t count = call.spec.num_layers;
    if (at_once.threads == 1) {
        plan = plan_forward(layer_shape(kernels, call, 0));
        inner = plan_forward(layer_shape(kernels, call, call.spec.num_layers - 1));
        count = max(plan.threads, inner.threads);
    }
    const ptrdiff_t together = takes_one_step(call.batch) ? call.batch.rows : 0;
    const ptrdiff_t rows = max(max(plan.group_rows, inner.group_rows), together);
    const ptrdiff_t chunk = max(max(plan.chunk_rows, inner.chunk_rows), together);
    ThreadScratch<T>* scratch = arena.take<ThreadScratch<T>>(count);
    for (ptrdiff_t i = 0; i < count; ++i) {
        const ThreadScratch<T> own{
            .projected = arena.take<T>(kernels.blocks(call.spec.hidden_size) * chunk * 3 * kernels.lanes),
            .input_rows = arena.take<const T*>(chunk),
            .previous = arena.take<const T*>(rows),
            .next = arena.take<T*>(rows),
            .quantized = lay_out_quantized(kernels, max(rows, chunk), widest_vector(call.spec), arena),
            .gated = call.spec.reset_after ? nullptr : arena.take<T>(rows * 2 * call.spec.hidden_size),
        };
        if (scratch != nullptr) scratch[i] = own;
    }
    return scratch;
}

template <class P, class T, class S>
ForwardMemory<T, P> lay_out(const ForwardKernels<T, P>& kernels, const Forward<T, S>& call, Arena& arena) {
    const Spec& spec = call.spec;
    const ptrdiff_t H = spec.hidden_size;
    ForwardMemory<T, P> memory{};
    memory.steps = lay_out_steps(call.batch, arena);
    memory.zeros = arena.take<T>(H);
    const ptrdiff_t width = widest_input(spec);
    if (spec.num_layers > 1)
        memory.at_once = plan_layers_at_once(layer_shape(kernels, call, 0),
                                             layer_shape(kernels, call, spec.num_layers - 1), spec.num_layers);
    const ptrdiff_t packs = memory.runs_at_once() ? spec.num_layers : spec.num_directions;
    for (ptrdiff_t i = 0; i < packs && makes_panels<P>(call); ++i)
        memory.pack[i] = lay_out_pack(kernels, width, H, arena);
    const bool keeps_inner = call.saved == nullptr && spec.num_layers > 1;
    const ptrdiff_t inner = !keeps_inner ? 0 : memory.runs_at_once() ? spec.num_layers - 1 : 2;
    for (ptrdiff_t i = 0; i < inner; ++i)
        memory.between[i] = arena.take<T>(call.batch.total() * spec.num_directions * H);
    memory.scratch = lay_out_scratch(kernels, call, memory.at_once, arena);
    return memory;
}

}  // namespace fastgru
