// The results of a problem by the core, in workspace of exactly the size that is asked for.
#pragma once

#include <stdlib.h>

#include <utility>
#include <vector>

#include "fastgru.h"
#include "host/platform.h"
#include "host/workspace.h"
#include "tools/self_test/problem.h"

namespace fastgru {

// What a call does not keep itself.
template <class T>
struct CallMemory {
    std::vector<Cell<T>> cells;
    std::vector<CellGradients<T>> d_cells;
    std::vector<Sum<T>> saved;

    CallMemory(const Problem<T>& p, Results<T>& results) : saved(saved_values<T>(p.spec, p.batch, p.recomputes)) {
        for (size_t i = 0; i < p.parameters.size(); i += 4) {
            const auto bias = [&](size_t k) { return p.has_bias ? p.parameters[i + k].data() : nullptr; };
            cells.push_back({
                .weight_ih = p.parameters[i].data(),
                .weight_hh = p.parameters[i + 1].data(),
                .bias_ih = bias(2),
                .bias_hh = bias(3),
            });
            d_cells.push_back({
                .weight_ih = data_or_null(results[kFirstGradient + i]),
                .weight_hh = data_or_null(results[kFirstGradient + i + 1]),
                .bias_ih = data_or_null(results[kFirstGradient + i + 2]),
                .bias_hh = data_or_null(results[kFirstGradient + i + 3]),
            });
        }
    }
};

template <class T>
Forward<T> forward_call(const Problem<T>& p, CallMemory<T>& memory, Results<T>& results) {
    return {
        .spec = p.spec,
        .batch = p.batch,
        .input = p.sequence(p.input, p.spec.input_size),
        .h_0 = p.has_h_0 ? p.h_0.data() : nullptr,
        .resets = p.resets(),
        .cells = memory.cells.data(),
        .output = p.sequence(results[0], p.features()),
        .h_n = results[1].data(),
        .saved = data_or_null(memory.saved),
        .recomputes = p.recomputes,
    };
}

template <class T>
Backward<T> backward_call(const Problem<T>& p, const CallMemory<T>& memory, Results<T>& results) {
    return {
        .spec = p.spec,
        .batch = p.batch,
        .input = p.sequence(p.input, p.spec.input_size),
        .h_0 = p.has_h_0 ? p.h_0.data() : nullptr,
        .resets = p.resets(),
        .cells = memory.cells.data(),
        .output = p.sequence(std::as_const(results[0]), p.features()),
        .saved = memory.saved.data(),
        .recomputes = p.recomputes,
        .d_output = p.sequence(p.d_output, p.features()),
        .d_h_n = p.d_h_n.data(),
        .d_input = p.wants_input ? p.sequence(results[2], p.spec.input_size) : Sequence<T>{},
        .d_h_0 = data_or_null(results[3]),
        .d_reset = data_or_null(results[4]),
        .d_cells = memory.d_cells.data(),
    };
}

template <class Call>
void run_on(const KernelTable& table, Call call, int threads, Partition partition) {
    call.threads = threads;
    call.is_awake = true;
    call.partition = partition;
    void* workspace = allocate_aligned(kAlignment, workspace_bytes(table, call));
    if (workspace == nullptr) abort();
    run(table, call, workspace);
    free_aligned(workspace);
}

template <class T>
Results<T> by_the_core(const Problem<T>& p, const KernelTable& table, int threads, bool is_packed,
                       Partition partition = Partition::best) {
    Results<T> results = empty_results(p);
    CallMemory<T> memory(p, results);
    Forward<T> forward = forward_call(p, memory, results);
    const Block packed(packed_bytes<T>(table, p.spec));
    if (is_packed) {
        pack<T>(table, p.spec, memory.cells.data(), packed.data());
        forward.packed = packed.data();
    }
    run_on(table, forward, threads, partition);
    run_on(table, backward_call(p, memory, results), threads, partition);
    return results;
}

}  // namespace fastgru
