// Common code of the forward and the backward pass of one layer.
#pragma once

#include <string.h>

#include "fastgru.h"
#include "host/plan.h"
#include "host/threads.h"
#include "host/workspace.h"

namespace fastgru {

// How many sequences are alive at each step, and their positions from the longest to the shortest, in the caller's
// order if equal. Of lengths 2, 3, 2 these are 3, 3, 1 and 1, 0, 2.
inline void order_by_length(const Batch& batch, ptrdiff_t steps, ptrdiff_t* alive, ptrdiff_t* places) {
    for (ptrdiff_t t = 0; t <= steps; ++t) alive[t] = 0;
    for (ptrdiff_t b = 0; b < batch.rows; ++b) ++alive[batch.lengths[b]];
    for (ptrdiff_t t = steps; t > 0; --t) alive[t - 1] += alive[t];  // of at least so many steps
    for (ptrdiff_t t = 0; t < steps; ++t) alive[t] = alive[t + 1];   // of more
    alive[steps] = 0;
    // As many as are longer than a sequence stand before it, and those of its own length that came sooner.
    for (ptrdiff_t b = 0; b < batch.rows; ++b) places[alive[batch.lengths[b]]++] = b;
    for (ptrdiff_t t = 0; t < steps; ++t) alive[t] = alive[t + 1];  // each was raised to what the one before it was
}

// The table of flat rows, laid out in the arena and, when there is memory, filled.
inline Steps lay_out_steps(const Batch& batch, Arena& arena) {
    const ptrdiff_t steps = batch.longest();
    ptrdiff_t* first_row = arena.take<ptrdiff_t>(steps + 2);
    ptrdiff_t* places = batch.lengths == nullptr ? nullptr : arena.take<ptrdiff_t>(batch.rows);
    if (first_row != nullptr) {
        if (places != nullptr) order_by_length(batch, steps, first_row + 1, places);
        first_row[0] = 0;
        for (ptrdiff_t t = 0; t < steps; ++t) {
            const ptrdiff_t alive = places != nullptr              ? first_row[t + 1]
                                    : batch.batch_sizes != nullptr ? batch.batch_sizes[t]
                                                                   : batch.rows;
            first_row[t + 1] = first_row[t] + alive;
        }
    }
    return {.count = steps, .batch = batch.rows, .first_row = first_row, .places = places};
}

// Zeros where sequences have ended, for the caller's sequences [begin, end).
template <class T>
void clear_padding(const Batch& batch, const Sequence<T>& sequence, ptrdiff_t width, ptrdiff_t begin,
                   ptrdiff_t end) {
    for (ptrdiff_t b = begin; b < end && batch.lengths != nullptr; ++b)
        for (ptrdiff_t t = batch.lengths[b]; t < batch.steps; ++t)
            memset(sequence.data + t * sequence.step_stride + b * sequence.row_stride, 0,
                   size_t(width) * sizeof(T));
}

// A call's resets as one cell sees them; `zeros` [H] stand in for a state that was not given.
template <class T>
Resets<T> resets_of_cell(const Resets<T>& resets, ptrdiff_t cell, ptrdiff_t rows, ptrdiff_t H, const T* zeros) {
    Resets<T> own = resets;
    own.state = resets.state == nullptr ? zeros : resets.state + cell * (resets.state_stride == 0 ? 1 : rows) * H;
    own.state_stride = resets.state == nullptr ? 0 : resets.state_stride;
    return own;
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

// What products take of the time of float's, about.
template <class S, class T>
double product_time(const ForwardKernels<T, S>& kernels) {
    if constexpr (__is_same(S, Int8)) return static_cast<const Int8Kernels&>(kernels).group == 4 ? 0.3 : 0.7;
    return 1;
}

// Call is Forward or Backward, with weights of type S.
template <class S, class T, class Call>
LayerShape layer_shape(const ForwardKernels<T, S>& kernels, const Call& call, ptrdiff_t layer) {
    const Spec& spec = call.spec;
    const Batch& batch = call.batch;
    return {
        .steps = batch.longest(),
        .batch = batch.rows,
        .total = batch.total(),
        .width = spec.width(layer),
        .hidden_size = spec.hidden_size,
        .directions = spec.num_directions,
        .lanes = kernels.lanes,
        .tile_rows = kernels.tile_rows,
        .value_bytes = sizeof(T),
        .weight_bytes = sizeof(S),
        .threads = call.threads,
        .is_awake = call.is_awake,
        .is_ragged = batch.is_ragged(),
        .partition = call.partition,
        .product_time = product_time(kernels),
        .small_rows =
            batch.is_ragged() || call.resets.marks != nullptr || !spec.reset_after ? 0 : kernels.small_rows,
        .waits = spec.reset_after ? 1 : 2,
    };
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
