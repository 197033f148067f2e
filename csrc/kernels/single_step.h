// One step of few rows by itself, with the parameters as the user has them.
#pragma once

#include "kernels/gates.h"
#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// Hidden blocks of a gate whose rows are read side by side. Sixteen rows: a processor follows so many by itself,
// but not three times as many, so gates come one after another; and eight keep too few reads in flight. Fewer,
// where the registers are needed for the sums; and with other types than float, for each number is more code.
template <class T, class S, int M>
constexpr int blocks_read() {
    int blocks = (!kIsTuned ? 4 : __is_same(S, float) ? 16 : 8) / kLanes<T>;
    while (blocks > 1 && blocks * M > kRegisters / 2) blocks /= 2;
    return blocks > 0 ? blocks : 1;
}

// sum[m] += W . v[m] over the columns from k on, as many as fill a part of a vector, and no more than there are.
template <class T, class S, int M>
FASTGRU_INLINE void add_columns(const Vec<T> (&column)[kPartLanes<S>], const T* const (&v)[M], ptrdiff_t k,
                                ptrdiff_t K, Vec<T> (&sum)[M]) {
    unroll<kPartLanes<S>>([&](auto j) FASTGRU_INLINED {
        if (k + j < K)
            unroll<M>([&](auto m) FASTGRU_INLINED { sum[m] = fma(broadcast(v[m][k + j]), column[j], sum[m]); });
    });
}

// The same for G hidden blocks and the columns of a cache line, while the lines `ahead` are fetched, which are as
// far apart. Without branches: it takes four fifths of the time of a loop.
template <class T, class S, int M, int G>
FASTGRU_INLINE void add_line(const S* weight, ptrdiff_t K, const S* ahead, const T* const (&v)[M], ptrdiff_t k,
                             Vec<T> (&sum)[G][M]) {
    constexpr int L = kLanes<T>, part = kPartLanes<S>;
    unroll<G * L>([&](auto i) FASTGRU_INLINED { __builtin_prefetch(ahead + i * K); });
    unroll<G>([&](auto block) FASTGRU_INLINED {
        unroll<4>([&](auto i) FASTGRU_INLINED {
            Vec<T> column[part];
            load_columns(weight + block * L * K + k + i * part, K, column);
            add_columns<T, S, M>(column, v, k + i * part, k + (i + 1) * part, sum[block]);
        });
    });
}

// The same over all K columns, for the rows of G hidden blocks from `weight` on, of which `count` are left. The
// next line of each row is fetched ahead, and at the rows' end those at `next`, which a processor cannot foresee.
// (If it begins rows of another length, some lines are fetched for nothing: a second distance would take more
// time.)
template <class T, class S, int M, int G>
FASTGRU_INLINE void multiply_unpacked(const S* weight, ptrdiff_t K, ptrdiff_t count, const S* next,
                                      const T* const* row, Vec<T> (&sum)[G][M]) {
    constexpr int L = kLanes<T>, part = kPartLanes<S>, line = 4 * part;
    const T* v[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { v[m] = row[m]; });
    ptrdiff_t k = 0;
    for (; k + line <= K && count >= G * L; k += line)
        add_line<T, S, M, G>(weight, K, k + 2 * line <= K ? weight + k + line : next, v, k, sum);
    unroll<G>([&](auto block) FASTGRU_INLINED {
        for (ptrdiff_t at = k; at < K; at += part) {
            Vec<T> column[part];
            load_columns(weight + block * L * K, K, count - block * L, at, column);
            add_columns<T, S, M>(column, v, at, K, sum[block]);
        }
    });
}

// What the sums of G hidden blocks begin with, whose rows of one gate are those from `row` on: for r and z both
// biases; n keeps them apart.
template <class T, class S, int M, int G>
FASTGRU_INLINE void begin_sums(const SingleStep<T, S>& run, ptrdiff_t gate, ptrdiff_t row, ptrdiff_t count,
                               Vec<T> (&sum)[G][M], Vec<T> (&bias_hh)[G]) {
    constexpr int L = kLanes<T>;
    unroll<G>([&](auto block) FASTGRU_INLINED {
        const int lanes = int(min(L, count - block * L));
        Vec<T> bias_ih{};
        bias_hh[block] = bias_ih;
        if (run.bias_ih != nullptr) {
            bias_ih = load_upto(run.bias_ih + row + block * L, lanes);
            bias_hh[block] = load_upto(run.bias_hh + row + block * L, lanes);
        }
        const Vec<T> start = gate < 2 ? bias_ih + bias_hh[block] : bias_ih;
        unroll<M>([&](auto m) FASTGRU_INLINED { sum[block][m] = start; });
    });
}

// The sums of G hidden blocks, to `sums` and `projected` [G][M][3][L].
template <class T, class S, int M, int G>
FASTGRU_TILE void sum_single_blocks(const SingleStep<T, S>& run, ptrdiff_t first, T* sums, T* projected) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, I = run.input_size, unit = first * L, count = H - unit;
    for (ptrdiff_t gate = 0; gate < 3; ++gate) {
        const ptrdiff_t row = gate * H + unit, next = gate < 2 ? row + H : unit + G * L;
        const S *of_input = run.weight_ih + row * I, *of_state = run.weight_hh + row * H;
        Vec<T> sum[G][M], bias_hh[G];
        begin_sums<T, S, M, G>(run, gate, row, count, sum, bias_hh);
        for (int is_state = 0; is_state < 2; ++is_state) {  // a loop, for the code is long
            if (is_state && gate == 2) {
                unroll<G>([&](auto block) FASTGRU_INLINED {
                    unroll<M>([&](auto m) FASTGRU_INLINED {
                        store(projected + ((block * M + m) * 3 + 2) * L, sum[block][m]);
                        sum[block][m] = bias_hh[block];
                    });
                });
            }
            multiply_unpacked<T, S, M, G>(is_state ? of_state : of_input, is_state ? H : I, count,
                                          is_state ? run.weight_ih + next * I : of_state,
                                          is_state ? run.previous : run.input, sum);
        }
        unroll<G>([&](auto block) FASTGRU_INLINED {
            unroll<M>([&](auto m)
                          FASTGRU_INLINED { store(sums + ((block * M + m) * 3 + gate) * L, sum[block][m]); });
        });
    }
}

// The sums of `count` hidden blocks, G at a time and then fewer.
template <class T, class S, int M, int G>
FASTGRU_INLINE void sum_single_step(const SingleStep<T, S>& run, ptrdiff_t first, ptrdiff_t count, T* sums,
                                    T* projected) {
    constexpr int block = M * 3 * kLanes<T>;
    ptrdiff_t i = 0;
    for (; i + G <= count; i += G)
        sum_single_blocks<T, S, M, G>(run, first + i, sums + i * block, projected + i * block);
    if constexpr (G > 1)
        sum_single_step<T, S, M, G / 2>(run, first + i, count - i, sums + i * block, projected + i * block);
}

// Units whose weights stay in the second-level cache while several groups of rows use them.
constexpr ptrdiff_t kNearUnits = 16;

template <class T, class S, int M>
FASTGRU_INLINE void single_step_of_rows(const SingleStep<T, S>& run) {
    constexpr int L = kLanes<T>;
    constexpr ptrdiff_t most = kGateVectors / M;
    alignas(64) T sums[most * M * 3 * L], projected[most * M * 3 * L];
    for (ptrdiff_t first = run.begin; first < run.end; first += most) {
        const ptrdiff_t count = min(most, run.end - first);
        sum_single_step<T, S, M, blocks_read<T, S, M>()>(run, first, count, sums, projected);
        gates_of_rows<T>({
            .count = M,
            .blocks = count,
            .hidden_size = run.hidden_size,
            .unit = first * L,
            .sums = sums,
            .projected = projected,
            .projected_rows = M,
            .previous = run.previous,
            .next = run.next,
            .saved = run.saved,
        });
    }
}

// Kernels::single_step. More rows than have code of their own come in groups, which all use the weights of some
// units while these are near.
template <class T, class S>
void single_step(const SingleStep<T, S>& run) {
    const bool is_group = run.rows <= kSingleStepGroup<S>;
    const ptrdiff_t near = is_group ? run.end - run.begin : max(1, kNearUnits / kLanes<T>);
    for (ptrdiff_t first = run.begin; first < run.end; first += near) {
        EqualParts(0, run.rows, kSingleStepGroup<S>).for_each([&](ptrdiff_t row, ptrdiff_t count) {
            SingleStep<T, S> group = run;
            group.rows = count;
            group.input += row, group.previous += row, group.next += row;
            if (run.saved != nullptr) group.saved += row * 4 * run.hidden_size;
            group.begin = first, group.end = min(first + near, run.end);
            with_rows<kSingleStepGroup<S>>(count,
                                           [&](auto m) { single_step_of_rows<T, S, decltype(m)::value>(group); });
        });
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
