// The gradients of a linear layer. Long sums come in pieces, each from zero, that are counted without padding: so
// they are as exact as blocked products, and have the same bits at all levels.
#pragma once

#include "kernels/gradients.h"
#include "shared/row_kernels.h"

namespace fastgru::FASTGRU_LEVEL {

// The columns of W vectors of some rows of a matrix [..][stride], side by side: rows of a wide matrix would fall on
// each other in the nearest cache.
template <class T, int W>
FASTGRU_INLINE void copy_columns(const T* from, ptrdiff_t stride, ptrdiff_t rows, ptrdiff_t left, T* to) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t i = 0; i < rows; ++i) {
        unroll<W>([&](auto w) FASTGRU_INLINED {
            store(to + (i * W + w) * L, load_upto(from + i * stride + w * L, int(min(L, left - w * L))));
        });
    }
}

// Some rows in the panel of W vectors at `vector`.
template <class T, int W>
void linear_input_gradient_panel(const LinearInputGradient<T>& call, ptrdiff_t begin, ptrdiff_t rows,
                                 ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t K = call.in_features, N = call.out_features, left = K - vector * L;
    alignas(64) T totals[kTotalRows * W * L], weight[kPieceTerms * W * L];
    for (ptrdiff_t first = 0; first < N; first += kPieceTerms) {
        const ptrdiff_t count = min(kPieceTerms, N - first);
        copy_columns<T, W>(call.weight + first * K + vector * L, K, count, left, weight);
        with_tiles<kRowsBeside<W>>(rows, [&](auto m, ptrdiff_t i) {
            input_gradient_tile<T, decltype(m)::value, W>(
                call.d_output + (begin + i) * call.d_output_stride + first, call.d_output_stride, count, weight,
                totals + i * W * L, first > 0);
        });
    }
    for (ptrdiff_t i = 0; i < rows; ++i) {
        T* to = call.d_input + (begin + i) * call.d_input_stride + vector * L;
        for (int w = 0; w < W; ++w) {
            const Vec<T> total = N > 0 ? load(totals + (i * W + w) * L) : Vec<T>{};
            store_upto(to + w * L, total, int(min(L, left - w * L)));
        }
    }
}

// RowKernels::linear_input_gradient
template <class T>
void linear_input_gradient(const LinearInputGradient<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    EqualParts(0, call.rows, kTotalRows).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        with_panels(begin, end, [&](auto w, ptrdiff_t vector) {
            linear_input_gradient_panel<T, decltype(w)::value>(call, row, count, vector);
        });
    });
}

// The gradient of M rows of the weight from `unit` on, in the panel of W vectors at `vector`.
template <class T, int M, int W>
FASTGRU_TILE void linear_weight_gradient_tile(const LinearWeightGradient<T>& call, const T* left,
                                              ptrdiff_t left_stride, ptrdiff_t unit, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const T* right = call.right + vector * call.rows * L;
    T* to = call.d_weight + unit * call.d_weight_stride + vector * L;
    const ptrdiff_t columns = call.in_features - vector * L;
    alignas(64) T total[M * W * L];
    for (ptrdiff_t m = 0; m < M; ++m)
        for (ptrdiff_t w = 0; w < W; ++w)
            store(total + (m * W + w) * L,
                  call.adds ? load_upto(to + m * call.d_weight_stride + w * L, int(min(L, columns - w * L)))
                            : Vec<T>{});
    for (ptrdiff_t row = 0; row < call.rows; row += kSumRows) {
        Tile<T, M, W> tile{};
        multiply_transposed<T, M, W>(tile, left + row * left_stride, left_stride, min(kSumRows, call.rows - row),
                                     right + row * W * L);
        unroll<M * W>([&](auto i)
                          FASTGRU_INLINED { store(total + i * L, load(total + i * L) + tile.sum[i / W][i % W]); });
    }
    for (ptrdiff_t m = 0; m < M; ++m)
        for (ptrdiff_t w = 0; w < W; ++w)
            store_upto(to + m * call.d_weight_stride + w * L, load(total + (m * W + w) * L),
                       int(min(L, columns - w * L)));
}

// RowKernels::linear_weight_gradient
template <class T>
void linear_weight_gradient(const LinearWeightGradient<T>& call) {
    constexpr int L = kLanes<T>;
    linear_panels<T>(call.out_features, L).for_each([&](ptrdiff_t vector, ptrdiff_t width) {
        const ptrdiff_t first = vector * L, units = min(width * L, call.out_features - first);
        const T* left = call.left + vector * call.rows * L;
        with_panels(0, blocks_of<T>(call.in_features), [&](auto w, ptrdiff_t column) {
            constexpr int W = decltype(w)::value;
            with_tiles<kRowsBeside<W>>(units, [&](auto m, ptrdiff_t unit) {
                linear_weight_gradient_tile<T, decltype(m)::value, W>(call, left + unit, width * L, first + unit,
                                                                      column);
            });
        });
    });
}

// RowKernels::linear_bias_gradient: rows in pieces as those of the weight, each in four sums that go by turns.
template <class T>
void linear_bias_gradient(const T* d_output, ptrdiff_t stride, ptrdiff_t rows, T* d_bias, ptrdiff_t begin,
                          ptrdiff_t end, bool adds) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t column = begin; column < end; column += L) {
        const int lanes = int(min(L, end - column));
        Vec<T> total = adds ? load_upto(d_bias + column, lanes) : Vec<T>{};
        for (ptrdiff_t first = 0; first < rows; first += kSumRows) {
            const ptrdiff_t last = min(first + kSumRows, rows);
            Vec<T> sum[4]{};
            const auto add = [&](auto j, ptrdiff_t row)
                                 FASTGRU_INLINED { sum[j] += load_upto(d_output + row * stride + column, lanes); };
            ptrdiff_t row = first;
            for (; row + 4 <= last; row += 4) unroll<4>([&](auto j) FASTGRU_INLINED { add(j, row + j); });
            unroll<3>([&](auto j) FASTGRU_INLINED {
                if (row + j < last) add(j, row + j);
            });
            total += (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
        store_upto(d_bias + column, total, lanes);
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
