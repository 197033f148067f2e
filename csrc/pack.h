// Parameters and rows to panels: the only place that knows the order of values inside a panel.
#pragma once

#include "gemm.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
FASTGRU_INLINE ptrdiff_t blocks_of(ptrdiff_t values) {
    return (values + kLanes<T> - 1) / kLanes<T>;
}

FASTGRU_INLINE ptrdiff_t min(ptrdiff_t a, ptrdiff_t b) { return a < b ? a : b; }

// L rows of a matrix, from column k on, as L vectors of one column each. Rows and columns outside are zero.
template <class T>
FASTGRU_INLINE void load_transposed(const T* weight, ptrdiff_t K, ptrdiff_t rows, ptrdiff_t k,
                                    Vec<T> (&column)[kLanes<T>]) {
    constexpr int L = kLanes<T>;
    const int columns = int(min(L, K - k));
    if (rows >= L && columns == L) {
        unroll<L>([&](auto i) FASTGRU_INLINED { column[i] = load(weight + i * K + k); });
    } else {
        unroll<L>([&](auto i) FASTGRU_INLINED {
            column[i] = i < rows ? load_upto(weight + i * K + k, columns) : Vec<T>{};
        });
    }
    transpose<T>(column);
}

// Kernels::pack_gates
template <class T>
void pack_gates(const T* weight, ptrdiff_t H, ptrdiff_t K, T* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        T* panel = packed + block * K * 3 * L;
        for (ptrdiff_t gate = 0; gate < 3; ++gate) {
            const T* rows = weight + (gate * H + block * L) * K;
            for (ptrdiff_t k = 0; k < K; k += L) {
                Vec<T> column[L];
                load_transposed<T>(rows, K, H - block * L, k, column);
                const ptrdiff_t columns = min(L, K - k);
                T* to = panel + (k * 3 + gate) * L;
                if (columns == L) {
                    unroll<L>([&](auto j) FASTGRU_INLINED { store(to + j * 3 * L, column[j]); });
                } else {
                    for (ptrdiff_t j = 0; j < columns; ++j) store(to + j * 3 * L, column[j]);
                }
            }
        }
    }
}

// Kernels::pack_rows
template <class T>
void pack_rows(const T* const* row, ptrdiff_t rows, ptrdiff_t K, int W, T* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t width = W * L, panels = (K + width - 1) / width;
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
