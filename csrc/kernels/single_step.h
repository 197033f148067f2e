// One step of few rows by itself, with the parameters as the user has them.
#pragma once

#include "kernels/gates.h"
#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// sum[gate][m] += W[gate] . v[m] for one block of hidden units, straight from rows r, z, n of a (3H, K) matrix.
template <class T, class S, int M>
FASTGRU_INLINE void multiply_unpacked(const S* weight, ptrdiff_t H, ptrdiff_t unit, ptrdiff_t K,
                                      const T* const* row, Vec<T> (&sum)[3][M]) {
    constexpr int part = kPartLanes<S>;
    const T* v[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { v[m] = row[m]; });
    unroll<3>([&](auto gate) FASTGRU_INLINED {  // one after another: a processor follows 16 rows ahead, but not 48
        for (ptrdiff_t k = 0; k < K; k += part) {
            Vec<T> column[part];
            load_columns(weight + (gate * H + unit) * K, K, H - unit, k, column);
            unroll<part>([&](auto j) FASTGRU_INLINED {
                if (k + j < K) {
                    unroll<M>([&](auto m) FASTGRU_INLINED {
                        sum[gate][m] = fma(broadcast(v[m][k + j]), column[j], sum[gate][m]);
                    });
                }
            });
        }
    });
}

// The sums of one hidden block, to `sums` and `projected` [M][3][L].
template <class T, class S, int M>
FASTGRU_TILE void sum_single_block(const SingleStep<T, S>& run, ptrdiff_t block, T* sums, T* projected) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t H = run.hidden_size, unit = block * L;
    const int lanes = int(min(L, H - unit));
    Vec<T> a[3][M] = {}, c[3][M] = {};
    if (run.bias_ih != nullptr) {
        unroll<3>([&](auto gate) FASTGRU_INLINED {
            const Vec<T> bias_ih = load_upto(run.bias_ih + gate * H + unit, lanes);
            const Vec<T> bias_hh = load_upto(run.bias_hh + gate * H + unit, lanes);
            unroll<M>([&](auto m) FASTGRU_INLINED {
                a[gate][m] = gate < 2 ? bias_ih + bias_hh : bias_ih;
                c[gate][m] = bias_hh;
            });
        });
    }
    multiply_unpacked<T, S, M>(run.weight_ih, H, unit, run.input_size, run.input, a);
    unroll<2>([&](auto gate) FASTGRU_INLINED {  // r and z go on in the same sums; n keeps the two apart
        unroll<M>([&](auto m) FASTGRU_INLINED { c[gate][m] = a[gate][m]; });
    });
    multiply_unpacked<T, S, M>(run.weight_hh, H, unit, H, run.previous, c);
    unroll<M>([&](auto m) FASTGRU_INLINED {
        store(projected + (m * 3 + 2) * L, a[2][m]);
        unroll<3>([&](auto gate) FASTGRU_INLINED { store(sums + (m * 3 + gate) * L, c[gate][m]); });
    });
}

template <class T, class S, int M>
FASTGRU_INLINE void single_step_of_rows(const SingleStep<T, S>& run) {
    constexpr int L = kLanes<T>;
    constexpr ptrdiff_t most = kGateVectors / M;
    alignas(64) T sums[most * M * 3 * L], projected[most * M * 3 * L];
    for (ptrdiff_t first = run.begin; first < run.end; first += most) {
        const ptrdiff_t count = min(most, run.end - first);
        for (ptrdiff_t i = 0; i < count; ++i)
            sum_single_block<T, S, M>(run, first + i, sums + i * M * 3 * L, projected + i * M * 3 * L);
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

// Kernels::single_step
template <class T, class S>
void single_step(const SingleStep<T, S>& run) {
    with_rows<kSingleStepRows>(run.rows, [&](auto m) { single_step_of_rows<T, S, decltype(m)::value>(run); });
}

}  // namespace fastgru::FASTGRU_LEVEL
