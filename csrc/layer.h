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

template <class T>
LayerShape layer_shape(const Kernels<T>& kernels, const Spec& spec, const Batch& batch, ptrdiff_t layer,
                       int threads, bool is_awake) {
    return {batch.steps,       batch.rows,        batch.total(),
            spec.width(layer), spec.hidden_size,  spec.num_directions,
            kernels.lanes,     kernels.tile_rows, sizeof(T),
            threads,           is_awake,          batch.batch_sizes != nullptr};
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
