// The layers of a stack at once: threads share the layers, and each layer is a chunk of steps behind the one before
// it. A thread waits once for each chunk, where sharing the units of a layer would have it wait after each step.
#pragma once

#include <optional>

#include "host/forward_layer.h"

namespace fastgru {

// How many chunks of a layer are computed. The layer after it waits for them, and it for nobody.
struct alignas(64) Progress {
    ptrdiff_t chunks = 0;

    void add_one() { __atomic_store_n(&chunks, chunks + 1, __ATOMIC_RELEASE); }
    void wait_for(ptrdiff_t count) const {
        spin_until([&] { return __atomic_load_n(&chunks, __ATOMIC_ACQUIRE) >= count; });
    }
};

template <class Layer>
struct Stack {
    ptrdiff_t count;
    std::optional<Layer> layers[kMostLayersAtOnce];
    Progress progress[kMostLayersAtOnce];
};

// One thread's share of the layers: chunk by chunk, each layer after the one before it.
template <class Layer>
void run_layers(Stack<Layer>& stack, int thread, int threads) {
    const Share own(stack.count, thread, threads);
    typename Layer::Run runs[kMostLayersAtOnce];
    for (ptrdiff_t i = own.begin; i < own.end; ++i) {
        Layer& layer = *stack.layers[i];
        if constexpr (!Layer::kHasInt8) {  // such weights come packed
            if (layer.makes_panels()) make_panels(layer, 0, 1);
        }
        runs[i] = group_of(layer, 0, 0, int(i), 1);
    }
    const Layer& first = *stack.layers[0];
    const Batch& batch = first.call.batch;
    const ptrdiff_t chunks = ceil_div(batch.steps, first.plan.chunk_rows / batch.rows);
    for (ptrdiff_t chunk = 1; chunk <= chunks; ++chunk) {
        for (ptrdiff_t i = own.begin; i < own.end; ++i) {
            if (i > 0 && i == own.begin) stack.progress[i - 1].wait_for(chunk);
            run_chunk(*stack.layers[i], runs[i], 0, int(i));
            stack.progress[i].add_one();
        }
    }
    for (ptrdiff_t i = own.begin; i < own.end; ++i) copy_last_states(*stack.layers[i], runs[i], 0);
}

}  // namespace fastgru
