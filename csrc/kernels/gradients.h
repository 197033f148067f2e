// The products of the backward pass that are not part of the recurrence: gradients of the input, the weights, the
// biases.
#pragma once

#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// Adds the products with hidden blocks [first, last), summed from zero, to what is there; or puts them there.
template <class T, int M, int W>
FASTGRU_TILE void input_gradient_tile(const T* d_gates, ptrdiff_t capacity, ptrdiff_t first, ptrdiff_t last,
                                      const T* weight, ptrdiff_t K, T* const* d_input, bool accumulate, ptrdiff_t i,
                                      ptrdiff_t column) {
    constexpr int L = kLanes<T>;
    Tile<T, M, W> tile{};
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = d_gates + (first * capacity + i + m) * L; });
    for (ptrdiff_t k = first; k < last; ++k) {
        multiply_rows<T, M, W, 1>(tile, a, L, weight + k * L * W * L, 0);
        unroll<M>([&](auto m) FASTGRU_INLINED { a[m] += capacity * L; });
    }
    unroll<W>([&](auto w) FASTGRU_INLINED {
        const int lanes = int(min(L, K - column - w * L));
        if (lanes <= 0) return;
        unroll<M>([&](auto m) FASTGRU_INLINED {
            T* to = d_input[i + m] + column + w * L;
            const Vec<T> sum = accumulate ? load_upto(to, lanes) + tile.sum[m][w] : tile.sum[m][w];
            store_upto(to, sum, lanes);
        });
    });
}

// Kernels::input_gradient
template <class T>
void input_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t blocks, const T* weight, int vectors,
                    ptrdiff_t K, T* const* d_input, bool accumulate, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    // A sum over all 3H would be long; in pieces of 64 terms it is as exact as a blocked product, and not slower.
    constexpr ptrdiff_t piece = 64 / L;
    with_rows<3>(vectors, [&](auto w) {
        constexpr int W = decltype(w)::value;
        for (ptrdiff_t column = 0; column < K; column += W * L) {
            const T* panel = weight + column * blocks * L;
            for (ptrdiff_t i = begin; i < end; i += kTileRows) {
                with_rows<kTileRows>(end - i, [&](auto m) {
                    for (ptrdiff_t first = 0; first < blocks; first += piece)
                        input_gradient_tile<T, decltype(m)::value, W>(d_gates, capacity, first,
                                                                      min(first + piece, blocks), panel, K, d_input,
                                                                      accumulate || first > 0, i, column);
                });
            }
        }
    });
}

// Adds to d_weight what `rows` rows contribute, summed from zero.
template <class T, int M, int W>
FASTGRU_TILE void weight_gradient_tile(const T* d_gates, ptrdiff_t rows, const T* right, T* d_weight) {
    constexpr int L = kLanes<T>;
    Tile<T, M, W> tile{};
    multiply_transposed<T, M, W>(tile, d_gates, rows, right);
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<W>([&](auto n) FASTGRU_INLINED {
            T* sum = d_weight + (m * W + n) * L;
            store(sum, load(sum) + tile.sum[m][n]);
        });
    });
}

// Rows summed by themselves: more make a long sum and so a larger error, fewer touch the gradients more often.
constexpr ptrdiff_t kPieceRows = 256;

// Kernels::weight_gradient
template <class T>
void weight_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t rows, ptrdiff_t blocks, const T* right,
                     int vectors, ptrdiff_t panels, T* d_weight, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    constexpr int M = kTileRows < L ? kTileRows : L;
    // Blocks per pass: their rows stay in the level-2 cache while the panels of `right` go by.
    const ptrdiff_t pass = 1 + (256 * 1024) / (rows * L * ptrdiff_t(sizeof(T)));
    with_rows<3>(vectors, [&](auto w) {
        constexpr int W = decltype(w)::value;
        for (ptrdiff_t first = begin; first < end; first += pass) {
            const ptrdiff_t last = min(first + pass, end);
            for (ptrdiff_t panel = 0; panel < panels; ++panel) {
                for (ptrdiff_t row = 0; row < rows; row += kPieceRows) {
                    const T* v = right + (panel * capacity + row) * W * L;
                    for (ptrdiff_t unit = first * L; unit < last * L; unit += M)
                        weight_gradient_tile<T, M, W>(d_gates + (unit / L * capacity + row) * L + unit % L,
                                                      min(kPieceRows, rows - row), v,
                                                      d_weight + (panel * blocks * L + unit) * W * L);
                }
            }
        }
    });
}

// Kernels::bias_gradient
template <class T>
void bias_gradient(const T* d_gates, ptrdiff_t capacity, ptrdiff_t rows, T* d_bias, ptrdiff_t begin,
                   ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        const T* from = d_gates + block * capacity * L;
        Vec<T> sum[4]{};  // side by side: shorter sums are more exact, and none waits for the one before
        ptrdiff_t i = 0;
        for (; i + 4 <= rows; i += 4)
            unroll<4>([&](auto j) FASTGRU_INLINED { sum[j] += load(from + (i + j) * L); });
        for (; i < rows; ++i) sum[0] += load(from + i * L);
        store(d_bias + block * L, load(d_bias + block * L) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
