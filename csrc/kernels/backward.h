// Kernels of the backward pass: the recurrence, step by step from the end.
#pragma once

#include "kernels/gate_gradients.h"

namespace fastgru::FASTGRU_LEVEL {

// What a pass over the panels of a step multiplies, and what it does with the sums. A plain step is one pass: the
// gradients of the later step's sums, times all groups of rows, arrive at the state; none at a sequence's last
// step.
struct PlainPass {
    static constexpr ptrdiff_t kGroups = 3, kFirstGroup = 0;
    static constexpr bool kLooksAhead = true;  // for what the next step will read
    FASTGRU_INLINE static bool multiplies(RowKind kind) { return kind != RowKind::last; }
    template <class T>
    FASTGRU_INLINE static const T* left(const GradientRows<T>& rows) {
        return rows.later_d_gates;
    }
    template <bool kAddsCarry, class T, class Lanes>
    FASTGRU_INLINE static void finish_gates(const GradientVectors<T, Lanes>& part) {
        gate_gradients<kAddsCarry>(part);
    }
    template <class T, class Lanes>
    FASTGRU_INLINE static void finish(const GradientVectors<T, Lanes>& part) {
        finish_states<PlainPass>(part);
    }
};

// The products of M rows from i on with P panels of W vectors, to `sums` [M][W * P][L].
template <class Pass, class T, int M, int W, int P>
FASTGRU_INLINE void backward_sums(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t i,
                                  ptrdiff_t vector, T* sums) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t group = blocks_of<T>(run.hidden_size) * L, depth = 3 * group;
    Tile<T, M, W * P> tile{};
    if (Pass::multiplies(rows.kind)) {
        const T* a[M];
        unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = Pass::left(rows) + (i + m) * run.gate_stride; });
        const T* panel = run.weight_hh + (vector * depth + Pass::kFirstGroup * group * W) * L;
        multiply_rows<T, M, W, P>(tile, a, Pass::kGroups * group, panel, depth * W * L);
    }
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<W * P>([&](auto n) FASTGRU_INLINED { store(sums + (m * W * P + n) * L, tile.sum[m][n]); });
    });
}

// M rows from i on, in P panels of W vectors from `vector` on.
template <class Pass, class T, int M, int W, int P>
FASTGRU_TILE void backward_tile(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t i,
                                ptrdiff_t vector) {
    alignas(64) T sums[M * W * P * kLanes<T>];
    if constexpr (M > 1 && Pass::kLooksAhead)
        prefetch_next_step<T>(run, rows, i, M, vector, W * P);  // one row comes in order
    backward_sums<Pass, T, M, W, P>(run, rows, i, vector, sums);
    if constexpr (M == 1)
        finish_tile<Pass, T>(run, rows, i, M, vector, W * P, sums);  // the next step waits for it
    else
        finish_rows<Pass, T>(run, rows, i, M, vector, W * P, sums);
}

// Panels side by side, of which a tile has registers for the sums.
template <class T, int M, int W>
constexpr int kBackwardPanels = min(kSidePanels<M, W, T>, kMaxAccumulators / (M * W) >= 4   ? 4
                                                          : kMaxAccumulators / (M * W) >= 2 ? 2
                                                                                            : 1);

// M rows, which are one tile, in `panels` panels of W vectors from `vector` on: P at a time, and then fewer;
// downwards, the fewer come first.
template <class Pass, class T, int M, int W, int P>
FASTGRU_INLINE void backward_panels(const BackwardSteps<T>& run, const GradientRows<T>& rows, ptrdiff_t vector,
                                    ptrdiff_t panels, bool is_downward) {
    const ptrdiff_t rest = panels / P * P;
    const auto fewer = [&]() FASTGRU_INLINED {
        if constexpr (P > 1) {
            if (rest < panels)
                backward_panels<Pass, T, M, W, P / 2>(run, rows, vector + rest * W, panels - rest, is_downward);
        }
    };
    if (is_downward) fewer();
    for (ptrdiff_t panel = 0; panel < rest; panel += P)
        backward_tile<Pass, T, M, W, P>(run, rows, 0, vector + (is_downward ? rest - P - panel : panel) * W);
    if (!is_downward) fewer();
}

// Rows of one tile, in all panels of the run; those of the same width side by side.
template <class Pass, class T, int M>
void backward_few_rows(const BackwardSteps<T>& run, const EqualParts& panels, const GradientRows<T>& rows,
                       bool is_downward) {
    const auto of_width = [&](ptrdiff_t first, ptrdiff_t last) {
        if (first == last) return;
        const EqualParts::Part panel = panels[first];
        with_rows<int(panel_vectors(M))>(panel.count, [&](auto w) {
            constexpr int W = decltype(w)::value;
            backward_panels<Pass, T, M, W, kBackwardPanels<T, M, W>>(run, rows, panel.begin, last - first,
                                                                     is_downward);
        });
    };
    if (is_downward) of_width(panels.larger, panels.parts);
    of_width(0, panels.larger);
    if (!is_downward) of_width(panels.larger, panels.parts);
}

// Batch rows [begin, end) of one step, all of one kind. Every second step goes through the panels downwards, and so
// finds those in the cache that the step before it used last.
template <class Pass, class T>
void backward_rows(const BackwardSteps<T>& run, const EqualParts& panels, const BackwardPlace<T>& place,
                   RowKind kind, ptrdiff_t begin, ptrdiff_t end) {
    const bool is_downward = place.t % 2 != 0;
    EqualParts(begin, end, kGradientRows).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        const GradientRows<T> rows = gradient_rows(run, place, kind, row, count);
        if (count <= kTileRows) {
            return with_rows<kTileRows>(count, [&](auto m) {
                backward_few_rows<Pass, T, decltype(m)::value>(run, panels, rows, is_downward);
            });
        }
        for (ptrdiff_t n = 0; n < panels.parts; ++n) {
            const EqualParts::Part panel = panels[is_downward ? panels.parts - 1 - n : n];
            with_rows<kPanelVectors>(panel.count, [&](auto w) {
                constexpr int W = decltype(w)::value;
                with_tiles<kRowsBeside<W>>(count, [&](auto m, ptrdiff_t i) {
                    backward_tile<Pass, T, decltype(m)::value, W, 1>(run, rows, i, panel.begin);
                });
            });
        }
    });
}

// The steps of a run, from its end. After the first pass of a step comes then(panels, place, rows), which may have
// more of them.
template <class Pass, class T, class Then>
FASTGRU_INLINE void steps_back(const BackwardSteps<T>& run, const Then& then) {
    const Steps& steps = *run.steps;
    const ptrdiff_t group = blocks_of<T>(run.hidden_size) * kLanes<T>;
    const EqualParts panels(run.vector_begin, run.vector_end, run.panel_vectors);
    const auto time = [&](ptrdiff_t s) { return run.is_reverse ? steps.count - 1 - s : s; };
    // Before step 0 there are no rows; what is left there is the gradient of h_0, or of a reset before it.
    const bool wants_start = run.d_h_0 != nullptr || run.d_reset != nullptr;
    const ptrdiff_t stop = run.step_begin == 0 && wants_start ? -1 : run.step_begin;
    for (ptrdiff_t s = run.step_end - 1; s >= stop; --s) {
        const ptrdiff_t t = time(s), later = time(s + 1);
        const ptrdiff_t rows = min(steps.active(t), run.row_end),
                        later_rows = min(steps.active(later), run.row_end);
        BackwardPlace<T> place{t, later, run.later_d_gates};
        if (later_rows > 0 && s + 1 < run.step_end)
            place.later_d_gates = run.d_gates + (steps.first_row[later] - run.first_row) * run.gate_stride + group;
        const ptrdiff_t both = min(rows, later_rows);
        backward_rows<Pass, T>(run, panels, place, RowKind::inner, run.row_begin, both);
        backward_rows<Pass, T>(run, panels, place, RowKind::last, max(both, run.row_begin), rows);
        if (wants_start)
            backward_rows<Pass, T>(run, panels, place, RowKind::first, max(both, run.row_begin), later_rows);
        then(panels, place, rows);
        run.barrier->wait(run.threads);
    }
}

// Kernels::backward_steps
template <class T>
void backward_steps(const BackwardSteps<T>& run) {
    steps_back<PlainPass, T>(
        run, [](const EqualParts&, const BackwardPlace<T>&, ptrdiff_t) FASTGRU_INLINED { /* one pass is all */ });
}

}  // namespace fastgru::FASTGRU_LEVEL
