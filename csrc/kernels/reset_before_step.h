// One step of few rows by itself, of layers that reset before the product, with the parameters as the user has
// them: in two passes, as in reset_before.h, with the products of single_step.h.
#pragma once

#include "kernels/reset_before.h"
#include "kernels/single_step.h"

namespace fastgru::FASTGRU_LEVEL {

// The sums of G hidden blocks from `first` on to `sums` [G][M][W][L]: of r and z, or of n alone (W = 1).
template <class T, int M, int G, int W>
FASTGRU_TILE void sum_gates(const SingleStep<T>& run, const T* const* states, ptrdiff_t first, T* sums) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, I = run.input_size, unit = first * L, count = H - unit;
    for (ptrdiff_t w = 0; w < W; ++w) {
        const ptrdiff_t row = (W == 1 ? 2 : w) * H + unit, next = w + 1 < W ? row + H : row - w * H + G * L;
        const T *of_input = run.weight_ih + row * I, *of_state = run.weight_hh + row * H;
        Vec<T> sum[G][M], bias_hh[G];
        begin_sums<T, T, M, G>(run, 0, row, count, sum, bias_hh);  // as r's, for n has the sum of both biases too
        for (int is_state = 0; is_state < 2; ++is_state)           // a loop, for the code is long
            multiply_unpacked<T, T, M, G>(is_state ? of_state : of_input, is_state ? H : I, count,
                                          is_state ? run.weight_ih + next * I : of_state,
                                          is_state ? states : run.input, sum);
        unroll<G>([&](auto block) FASTGRU_INLINED {
            unroll<M>([&](auto m) FASTGRU_INLINED { store(sums + ((block * M + m) * W + w) * L, sum[block][m]); });
        });
    }
}

// The sums of `count` hidden blocks, G at a time and then fewer.
template <class T, int M, int G, int W>
FASTGRU_INLINE void sum_some_blocks(const SingleStep<T>& run, const T* const* states, ptrdiff_t first,
                                    ptrdiff_t count, T* sums) {
    constexpr int block = M * W * kLanes<T>;
    ptrdiff_t i = 0;
    for (; i + G <= count; i += G) sum_gates<T, M, G, W>(run, states, first + i, sums + i * block);
    if constexpr (G > 1) sum_some_blocks<T, M, G / 2, W>(run, states, first + i, count - i, sums + i * block);
}

// A pass for M rows: finish(unit, sums [M][W][L], lanes) follows the sums of some blocks, block by block.
template <int W, int M, class T, class Finish>
FASTGRU_INLINE void single_pass(const SingleStep<T>& run, const T* const* states, const Finish& finish) {
    constexpr int L = kLanes<T>;
    constexpr ptrdiff_t most = kGateVectors / M;
    alignas(64) T sums[most * M * W * L];
    for (ptrdiff_t first = run.begin; first < run.end; first += most) {
        const ptrdiff_t count = min(most, run.end - first);
        sum_some_blocks<T, M, blocks_read<T, T, M>(), W>(run, states, first, count, sums);
        for (ptrdiff_t block = 0; block < count; ++block) {
            const ptrdiff_t unit = (first + block) * L;
            with_lanes_of<T>(run.hidden_size, unit,
                             [&](auto lanes) FASTGRU_INLINED { finish(unit, sums + block * M * W * L, lanes); });
        }
    }
}

// visit(Index<M>, run, place) for groups of rows that have code of their own, as the plain step has them.
template <class T, class Visit>
FASTGRU_INLINE void for_row_groups(const SingleStep<T>& run, T* gated, const Visit& visit) {
    const ptrdiff_t H = run.hidden_size;
    const bool is_group = run.rows <= kSingleStepGroup<T>;
    const ptrdiff_t near = is_group ? run.end - run.begin : max(1, kNearUnits / kLanes<T>);
    for (ptrdiff_t first = run.begin; first < run.end; first += near) {
        EqualParts(0, run.rows, kSingleStepGroup<T>).for_each([&](ptrdiff_t row, ptrdiff_t count) {
            SingleStep<T> group = run;
            group.input += row, group.previous += row, group.next += row;
            group.begin = first, group.end = min(first + near, run.end);
            T* saved = run.saved == nullptr ? nullptr : run.saved + row * 4 * H;
            const ResetBeforePlace<T> place =
                place_of<T>(H, nullptr, saved, gated == nullptr ? nullptr : gated + row * 2 * H, false);
            with_rows<kSingleStepGroup<T>>(count, [&](auto m) { visit(m, group, place); });
        });
    }
}

// ResetBeforeKernels::open_single_step
template <class T>
void open_single_step(const SingleStep<T>& run, T* gated) {
    for_row_groups(run, gated, [](auto m, const SingleStep<T>& group, const ResetBeforePlace<T>& place) {
        constexpr int M = decltype(m)::value;
        single_pass<2, M>(group, group.previous, [&](ptrdiff_t unit, const T* sums, auto lanes) FASTGRU_INLINED {
            open_rows(group, place, 0, M, unit, sums, lanes);
        });
    });
}

// ResetBeforeKernels::move_single_step
template <class T>
void move_single_step(const SingleStep<T>& run, T* gated) {
    for_row_groups(run, gated, [](auto m, const SingleStep<T>& group, const ResetBeforePlace<T>& place) {
        constexpr int M = decltype(m)::value;
        const T* states[M];
        unroll<M>([&](auto i) FASTGRU_INLINED { states[i] = place.gated + i * place.distance; });
        single_pass<1, M>(group, states, [&](ptrdiff_t unit, const T* sums, auto lanes) FASTGRU_INLINED {
            move_rows(group, place, 0, M, unit, sums, lanes);
        });
    });
}

}  // namespace fastgru::FASTGRU_LEVEL
