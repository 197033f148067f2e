// Kernels of the forward pass: the input projection and the recurrence.
#pragma once

#include "kernels/gates.h"
#include "kernels/pack_panels.h"
#include "kernels/step_loop.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T, class S, int M, int P>
FASTGRU_TILE void project_tile(const T* const* row, ptrdiff_t rows, ptrdiff_t i, ptrdiff_t I, const S* weight,
                               const T* bias, T* projected) {
    constexpr int L = kLanes<T>;
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = row[i + m]; });
    Tile<T, M, 3 * P> tile;
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<3 * P>([&](auto n) FASTGRU_INLINED { tile.sum[m][n] = load(bias + n * L); });
    });
    multiply_rows<T, M, 3, P>(tile, a, I, weight, panel_values<S>(I));
    unroll<P>([&](auto p) FASTGRU_INLINED {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            T* to = projected + (p * rows + i + m) * 3 * L;
            unroll<3>([&](auto gate) FASTGRU_INLINED { store(to + gate * L, tile.sum[m][p * 3 + gate]); });
        });
    });
}

// Kernels::project
template <class T, class S>
void project(const T* const* row, ptrdiff_t rows, ptrdiff_t I, const S* weight, const T* bias, ptrdiff_t begin,
             ptrdiff_t end, T* projected) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t panel = begin; panel < end; ++panel) {
        for (ptrdiff_t i = 0; i < rows; i += kRowsOf<S>) {
            with_rows<kRowsOf<S>>(rows - i, [&](auto m) {
                project_tile<T, S, decltype(m)::value, 1>(row, rows, i, I, weight + panel * panel_values<S>(I),
                                                          bias + panel * 3 * L,
                                                          projected + (panel - begin) * rows * 3 * L);
            });
        }
    }
}

// One step's place in memory.
template <class T>
struct ForwardPlace {
    const T* projected;  // first row of this step
    T* saved;
};

// The sums of M rows and of P panels from `panel` on, to [P][M][3][L].
template <class T, class S, int M, int P>
FASTGRU_INLINE void sum_tile(const ForwardSteps<T, S>& run, const T* projected, const T* const* previous,
                             ptrdiff_t panel, T* sums) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, projected_panel = run.projected_rows * 3 * L;
    const T* h[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { h[m] = previous[m]; });

    Tile<T, M, 3 * P> tile;
    unroll<P>([&](auto p) FASTGRU_INLINED {
        const Vec<T> bias_hn = load(run.bias_hn + (panel + p) * L);
        unroll<M>([&](auto m) FASTGRU_INLINED {
            const T* a = projected + p * projected_panel + m * 3 * L;
            tile.sum[m][p * 3 + 0] = load(a);
            tile.sum[m][p * 3 + 1] = load(a + L);
            tile.sum[m][p * 3 + 2] = bias_hn;
        });
    });
    const ptrdiff_t values = panel_values<S>(H);
    multiply_rows<T, M, 3, P>(tile, h, H, run.weight_hh + panel * values, values);
    unroll<P>([&](auto p) FASTGRU_INLINED {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            T* to = sums + (p * M + m) * 3 * L;
            unroll<3>([&](auto gate) FASTGRU_INLINED { store(to + gate * L, tile.sum[m][p * 3 + gate]); });
        });
    });
}

// What the gates of `count` rows from i on need, in the panels from `panel` on; `sums` is scratch.
template <class T, class S>
FASTGRU_INLINE GateRows<T> gate_rows(const ForwardSteps<T, S>& run, const ForwardPlace<T>& place, ptrdiff_t i,
                                     ptrdiff_t count, ptrdiff_t panel, ptrdiff_t panels, T* sums) {
    constexpr int L = kLanes<T>;
    return {
        .count = count,
        .blocks = panels,
        .hidden_size = run.hidden_size,
        .unit = panel * L,
        .sums = sums,
        .projected = place.projected + ((panel - run.panel_begin) * run.projected_rows + i) * 3 * L,
        .projected_rows = run.projected_rows,
        .previous = run.previous + i,
        .next = run.next == nullptr ? nullptr : run.next + i,
        .saved = place.saved == nullptr ? nullptr : place.saved + i * 4 * run.hidden_size,
    };
}

// Sums and gates of a few rows. They stay together: while a processor waits for the chain of these gates, it begins
// with the products of the next panels.
template <class T, class S, int M, int P>
FASTGRU_TILE void forward_tile(const ForwardSteps<T, S>& run, const ForwardPlace<T>& place, ptrdiff_t i,
                               ptrdiff_t panel) {
    alignas(64) T sums[M * P * 3 * kLanes<T>];
    const GateRows<T> rows = gate_rows<T, S>(run, place, i, M, panel, P, sums);
    sum_tile<T, S, M, P>(run, rows.projected, rows.previous, panel, sums);
    gates_of_tile(rows);
}

// All panels of a run for M rows from i on, P panels at a time and then fewer; downwards, the fewer come first.
template <class T, class S, int M, int P>
FASTGRU_INLINE void forward_panels(const ForwardSteps<T, S>& run, const ForwardPlace<T>& place, ptrdiff_t i,
                                   ptrdiff_t begin, ptrdiff_t end, bool is_downward) {
    const ptrdiff_t rest = begin + (end - begin) / P * P;
    const auto fewer = [&]() FASTGRU_INLINED {
        if constexpr (P > 1) {
            if (rest < end) forward_panels<T, S, M, P / 2>(run, place, i, rest, end, is_downward);
        }
    };
    if (is_downward) {
        fewer();
        for (ptrdiff_t panel = rest - P; panel >= begin; panel -= P) forward_tile<T, S, M, P>(run, place, i, panel);
    } else {
        for (ptrdiff_t panel = begin; panel < rest; panel += P) forward_tile<T, S, M, P>(run, place, i, panel);
        fewer();
    }
}

// The sums of a full tile, rows from i on of `rows` in one of their blocks.
template <class T, class S>
FASTGRU_TILE void sums_of_rows(const ForwardSteps<T, S>& run, const GateRows<T>& rows, ptrdiff_t i,
                               ptrdiff_t block) {
    constexpr int L = kLanes<T>;
    sum_tile<T, S, kRowsOf<S>, 1>(run, rows.projected + (block * rows.projected_rows + i) * 3 * L,
                                  rows.previous + i, rows.unit / L + block, rows.sums_of(block) + i * 3 * L);
}

// The first `full` rows, which fill their tiles: sums of many vectors, then the gates of these. A panel stays in
// the nearest cache while all rows use it; where rows are few, several panels are taken together.
template <class T, class S>
FASTGRU_INLINE void forward_full_tiles(const ForwardSteps<T, S>& run, const ForwardPlace<T>& place, ptrdiff_t full,
                                       bool is_downward) {
    constexpr ptrdiff_t most = kGateVectors - kGateVectors % kRowsOf<S>;
    const ptrdiff_t panels = run.panel_end - run.panel_begin, together = max(1, kGateVectors / full);
    alignas(64) T sums[kGateVectors * 3 * kLanes<T>];
    for (ptrdiff_t n = 0; n < panels; n += together) {
        const ptrdiff_t count = min(together, panels - n);
        const ptrdiff_t first = is_downward ? run.panel_end - n - count : run.panel_begin + n;
        for (ptrdiff_t i = 0; i < full; i += most) {
            const GateRows<T> rows = gate_rows<T, S>(run, place, i, min(most, full - i), first, count, sums);
            for (ptrdiff_t m = 0; m < count; ++m)
                for (ptrdiff_t row = 0; row < rows.count; row += kRowsOf<S>)
                    sums_of_rows<T, S>(run, rows, row, is_downward ? count - 1 - m : m);
            gates_of_rows(rows);
        }
    }
}

// One step for `rows` rows. Every second step goes through the panels downwards, and so finds those in the cache
// that the step before it used last; a cache too small for all of them would else have lost each one just before it
// is needed again.
template <class T, class S>
void forward_step(const ForwardSteps<T, S>& run, const ForwardPlace<T>& place, ptrdiff_t rows, bool is_downward) {
    const ptrdiff_t full = rows - rows % kRowsOf<S>;
    if (full > 0) forward_full_tiles<T, S>(run, place, full, is_downward);
    if (rows > full) {
        with_rows<kRowsOf<S>>(rows - full, [&](auto m) {
            constexpr int M = decltype(m)::value;
            forward_panels<T, S, M, kSidePanels<M, 3, S>>(run, place, full, run.panel_begin, run.panel_end,
                                                          is_downward);
        });
    }
}

// Kernels::forward_steps
template <class T, class S>
void forward_steps(const ForwardSteps<T, S>& run) {
    for_each_step(run, [&](const T* projected, T* saved, ptrdiff_t rows, bool is_downward)
                           FASTGRU_INLINED { forward_step<T, S>(run, {projected, saved}, rows, is_downward); });
}

// Kernels::forward_rows
template <class T, class S>
void forward_rows(const ForwardSteps<T, S>& run, ptrdiff_t rows) {
    forward_step<T, S>(run, {run.projected, run.saved}, rows, false);
}

}  // namespace fastgru::FASTGRU_LEVEL
