// Parameters and rows to panels: the only place that knows the order of values inside a panel.
#pragma once

#include "kernels/register_tiles.h"
#include "kernels/transpose.h"
#include "shared/integer_math.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
FASTGRU_INLINE ptrdiff_t blocks_of(ptrdiff_t values) {
    return ceil_div(values, kLanes<T>);
}

// A few columns, from k on, of up to L rows of a matrix. Rows and columns outside it are zero.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void load_columns(const S* weight, ptrdiff_t K, ptrdiff_t rows, ptrdiff_t k,
                                 Vec<T> (&column)[kPartLanes<S>]) {
    constexpr int L = kLanes<T>, part = kPartLanes<S>;
    if (rows >= L && K - k >= part) return load_columns(weight + k, K, column);
    alignas(64) S padded[L * part] = {};
    for (ptrdiff_t i = 0; i < min(L, rows); ++i)
        for (ptrdiff_t j = 0; j < min(part, K - k); ++j) padded[i * part + j] = weight[i * K + k + j];
    load_columns(padded, part, column);
}

// Kernels::pack_gates, HalfKernels::pack_wide and pack_narrow
template <class S, class P>
void pack_gates(const S* weight, ptrdiff_t H, ptrdiff_t K, P* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<Sum<S>>, part = kPartLanes<S>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        P* panel = packed + block * K * 3 * L;
        for (ptrdiff_t gate = 0; gate < 3; ++gate) {
            const S* rows = weight + (gate * H + block * L) * K;
            for (ptrdiff_t k = 0; k < K; k += part) {
                Vec<Sum<S>> column[part];
                load_columns(rows, K, H - block * L, k, column);
                P* to = panel + (k * 3 + gate) * L;
                unroll<part>([&](auto j) FASTGRU_INLINED {
                    if (k + j < K) store(to + j * 3 * L, column[j]);
                });
            }
        }
    }
}

// Kernels::pack_rows
template <class T>
void pack_rows(const T* const* row, ptrdiff_t rows, ptrdiff_t K, int W, T* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t width = W * L, panels = ceil_div(K, width);
    for (ptrdiff_t i = begin; i < end; ++i) {
        for (ptrdiff_t panel = 0; panel < panels; ++panel) {
            T* to = packed + (panel * rows + i) * width;
            for (int w = 0; w < W; ++w) {
                const ptrdiff_t k = panel * width + w * L;
                const bool is_zero = row[i] == nullptr || k >= K;
                store(to + w * L, is_zero ? Vec<T>{} : load_upto(row[i] + k, int(min(L, K - k))));
            }
        }
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
