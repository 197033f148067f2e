// What the forward and the backward pass of one layer have in common.
#pragma once

#include <string.h>

#include "fastgru.h"
#include "plan.h"
#include "threads.h"
#include "workspace.h"

namespace fastgru {

// The table of flat rows, laid out in the arena and, when there is memory, filled.
inline Steps lay_out_steps(const Batch& batch, Arena& arena) {
    ptrdiff_t* first_row = arena.take<ptrdiff_t>(batch.steps + 1);
    if (first_row != nullptr) {
        first_row[0] = 0;
        for (ptrdiff_t t = 0; t < batch.steps; ++t)
            first_row[t + 1] = first_row[t] + (batch.batch_sizes == nullptr ? batch.rows : batch.batch_sizes[t]);
    }
    return {batch.steps, batch.rows, first_row};
}

// The batch row up to which the rows alive at times [begin, end) come to `part` of `parts`: threads that take the
// rows between two of these have equal work, be the sequences of equal lengths or not.
inline ptrdiff_t dividing_row(const Steps& steps, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t part, ptrdiff_t parts) {
    const ptrdiff_t total = steps.first_row[end] - steps.first_row[begin];
    if (part == 0 || part == parts || total == (end - begin) * steps.batch) return steps.batch * part / parts;
    const auto work_of_rows_before = [&](ptrdiff_t row) {
        ptrdiff_t work = 0;
        for (ptrdiff_t t = begin; t < end; ++t) work += steps.active(t) < row ? steps.active(t) : row;
        return work;
    };
    ptrdiff_t low = 0;
    for (ptrdiff_t high = steps.batch; low < high;) {
        const ptrdiff_t middle = (low + high) / 2;
        if (work_of_rows_before(middle) * parts < total * part)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Call is Forward or Backward.
template <class T, template <class> class Call>
LayerShape layer_shape(const Kernels<T>& kernels, const Call<T>& call, ptrdiff_t layer) {
    const Spec& spec = call.spec;
    const Batch& batch = call.batch;
    return {batch.steps,
            batch.rows,
            batch.total(),
            spec.width(layer),
            spec.hidden_size,
            spec.num_directions,
            kernels.lanes,
            kernels.tile_rows,
            sizeof(T),
            sizeof(T),
            call.threads,
            call.is_awake,
            batch.batch_sizes != nullptr,
            call.way};
}

// What a training forward saved: the gates of every cell, unless they will be recomputed; then the outputs of all
// layers but the last.
template <class T>
T* saved_gates(T* saved, const Spec& spec, ptrdiff_t total, ptrdiff_t cell) {
    return saved + cell * total * 4 * spec.hidden_size;
}
template <class T>
T* saved_output(T* saved, const Spec& spec, ptrdiff_t total, ptrdiff_t layer, bool recomputes) {
    T* outputs = recomputes ? saved : saved_gates(saved, spec, total, spec.cells());
    return outputs + layer * total * spec.num_directions * spec.hidden_size;
}

// Calls visit(i, t, b) for the flat rows i in [begin, end).
template <class Visit>
void for_flat_rows(const Steps& steps, ptrdiff_t begin, ptrdiff_t end, const Visit& visit) {
    ptrdiff_t t = 0;
    for (ptrdiff_t low = 0, high = steps.count; high - low > 1;) {  // the step that holds row `begin`
        const ptrdiff_t middle = (low + high) / 2;
        (steps.first_row[middle] <= begin ? low : high) = middle;
        t = low;
    }
    for (ptrdiff_t i = begin; i < end; ++i) {
        while (i >= steps.first_row[t + 1]) ++t;
        visit(i, t, i - steps.first_row[t]);
    }
}

}  // namespace fastgru
