// Kernels of the backward pass: the recurrence, step by step from the end.
#pragma once

#include "kernels/gate_gradients.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T, int M, int W, int P>
FASTGRU_TILE void backward_tile(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind,
                                ptrdiff_t i, ptrdiff_t panel) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, blocks = blocks_of<T>(H), depth = 3 * blocks;
    Tile<T, M, W * P> tile{};
    if (kind != RowKind::last) {
        const T* a[M];
        unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = place.later_d_gates + (i + m) * L; });
        const T* b = run.weight_hh + panel * depth * L * W * L;
        for (ptrdiff_t k = 0; k < depth; ++k) {
            multiply_rows<T, M, W, P>(tile, a, L, b, depth * L * W * L);
            unroll<M>([&](auto m) FASTGRU_INLINED { a[m] += run.capacity * L; });
            b += L * W * L;
        }
    }
    const StoredTile<T, M, W * P> sums(tile);
    const GradientRows<T> rows{
        .kind = kind, .begin = i, .count = M, .block = panel * W, .blocks = W * P, .sums = sums.values};
    gate_gradients_of_rows(run, place, rows);
}

template <class T, int M, int W, int P>
FASTGRU_INLINE ptrdiff_t backward_panels(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind,
                                         ptrdiff_t i, ptrdiff_t panel) {
    for (; panel + P <= run.panel_end; panel += P) backward_tile<T, M, W, P>(run, place, kind, i, panel);
    if constexpr (P > 1) panel = backward_panels<T, M, W, P / 2>(run, place, kind, i, panel);
    return panel;
}

// Batch rows [begin, end) of one step, all of one kind.
template <class T, int W>
void backward_rows(const BackwardSteps<T>& run, const BackwardPlace<T>& place, RowKind kind, ptrdiff_t begin,
                   ptrdiff_t end) {
    ptrdiff_t i = begin;
    if (end - begin >= kTileRows) {
        i = end - (end - begin) % kTileRows;
        for (ptrdiff_t panel = run.panel_begin; panel < run.panel_end; ++panel)
            for (ptrdiff_t row = begin; row < i; row += kTileRows)
                backward_tile<T, kTileRows, W, 1>(run, place, kind, row, panel);
    }
    if (end > i) {
        with_rows<kTileRows>(end - i, [&](auto m) {
            constexpr int M = decltype(m)::value;
            backward_panels<T, M, W, kSidePanels<M, W, T>>(run, place, kind, i, run.panel_begin);
        });
    }
}

template <class T, int W>
void backward_steps_of_width(const BackwardSteps<T>& run) {
    const Steps& steps = *run.steps;
    const ptrdiff_t blocks = blocks_of<T>(run.hidden_size), group = blocks * run.capacity * kLanes<T>;
    const auto time = [&](ptrdiff_t s) { return run.is_reverse ? steps.count - 1 - s : s; };
    // Before step 0 there are no rows; what is left there is the gradient of h_0, or of a reset before it.
    const bool wants_start = run.d_h_0 != nullptr || run.d_reset != nullptr;
    const ptrdiff_t stop = run.step_begin == 0 && wants_start ? -1 : run.step_begin;
    for (ptrdiff_t s = run.step_end - 1; s >= stop; --s) {
        const ptrdiff_t t = time(s), later = time(s + 1);
        const ptrdiff_t rows = min(steps.active(t), run.row_end),
                        later_rows = min(steps.active(later), run.row_end);
        BackwardPlace<T> place{t, later, nullptr};
        if (later_rows > 0) {
            const bool is_in_range = s + 1 < run.step_end;
            const T* d_gates = is_in_range ? run.d_gates : run.later_d_gates;
            const ptrdiff_t first_row = is_in_range ? run.first_row : run.later_first_row;
            place.later_d_gates = d_gates + group + (steps.first_row[later] - first_row) * kLanes<T>;
        }
        const ptrdiff_t both = min(rows, later_rows);
        backward_rows<T, W>(run, place, RowKind::inner, run.row_begin, both);
        backward_rows<T, W>(run, place, RowKind::last, both > run.row_begin ? both : run.row_begin, rows);
        if (wants_start)
            backward_rows<T, W>(run, place, RowKind::first, both > run.row_begin ? both : run.row_begin,
                                later_rows);
        run.barrier->wait(run.threads);
    }
}

// Kernels::backward_steps
template <class T>
void backward_steps(const BackwardSteps<T>& run) {
    with_rows<3>(run.panel_vectors, [&](auto W) { backward_steps_of_width<T, decltype(W)::value>(run); });
}

}  // namespace fastgru::FASTGRU_LEVEL
