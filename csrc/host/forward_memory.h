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
};

template <class T, class P>
struct ForwardMemory {
    Steps steps;
    T* zeros;                // [H]
    CellPack<T, P> pack[2];  // by direction, the same for every layer; not when the caller's are used
    T* between[2];           // [N][D H]: outputs of inner layers when nothing is saved
    ThreadScratch<T>* scratch;
};

// Whether panels (P) are made for the call, or used as the caller has packed them.
template <class P, class T, class S>
bool makes_panels(const Forward<T, S>& call) {
    return call.packed == nullptr || sizeof(P) != sizeof(S);
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
ThreadScratch<T>* lay_out_scratch(const ForwardKernels<T, P>& kernels, const Call& call, Arena& arena) {
    const ForwardPlan plan = plan_forward(layer_shape(kernels, call, 0));
    const ForwardPlan inner = plan_forward(layer_shape(kernels, call, call.spec.num_layers - 1));
    const ptrdiff_t rows = max(max(plan.group_rows, inner.group_rows), kMostSingleStepRows);
    const ptrdiff_t chunk = max(max(plan.chunk_rows, inner.chunk_rows), kMostSingleStepRows);
    const ptrdiff_t threads = max(plan.threads, inner.threads);
    ThreadScratch<T>* scratch = arena.take<ThreadScratch<T>>(threads);
    for (ptrdiff_t i = 0; i < threads; ++i) {
        const ThreadScratch<T> own{
            .projected = arena.take<T>(kernels.blocks(call.spec.hidden_size) * chunk * 3 * kernels.lanes),
            .input_rows = arena.take<const T*>(chunk),
            .previous = arena.take<const T*>(rows),
            .next = arena.take<T*>(rows),
            .quantized = lay_out_quantized(kernels, max(rows, chunk), widest_vector(call.spec), arena),
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
    for (ptrdiff_t d = 0; d < spec.num_directions && makes_panels<P>(call); ++d)
        memory.pack[d] = lay_out_pack(kernels, width, H, arena);
    const bool keeps_inner = call.saved == nullptr && spec.num_layers > 1;
    for (T*& between : memory.between)
        between = keeps_inner ? arena.take<T>(call.batch.total() * spec.num_directions * H) : nullptr;
    memory.scratch = lay_out_scratch(kernels, call, arena);
    return memory;
}

}  // namespace fastgru
