// The products of the backward pass that are not part of the recurrence: gradients of the input, the weights, the
// biases.
#pragma once

#include "kernels/pack_panels.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

// A sum over all 3H would be long; in pieces of 64 terms it is as exact as a blocked product, and not slower. For
// the same bits at all levels, pieces are counted over hidden units padded to full vectors of the widest one.
constexpr ptrdiff_t kPieceTerms = 64, kWidestLanes = 16;

// Where a piece ends that has so many terms before its end, among the values of three groups of gate gradients.
template <class T>
FASTGRU_INLINE ptrdiff_t end_of_piece(ptrdiff_t terms, ptrdiff_t hidden_size) {
    const ptrdiff_t widest = ceil_div(hidden_size, kWidestLanes) * kWidestLanes;
    const ptrdiff_t padded = blocks_of<T>(hidden_size) * kLanes<T>, group = min(3, terms / widest);
    return group == 3 ? 3 * padded : group * padded + min(padded, terms - group * widest);
}

// Rows whose totals are kept on the stack while a piece of a panel, in the nearest cache, serves all of them.
constexpr ptrdiff_t kTotalRows = 32;

// The products with `count` terms of M rows, summed from zero, to `total` [M][W][L]; or added to what is there.
template <class T, int M, int W>
FASTGRU_TILE void input_gradient_tile(const T* d_gates, ptrdiff_t stride, ptrdiff_t count, const T* weight,
                                      T* total, bool adds) {
    constexpr int L = kLanes<T>;
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = d_gates + m * stride; });
    Tile<T, M, W> tile{};
    multiply_rows<T, M, W, 1>(tile, a, count, weight, 0);
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<W>([&](auto w) FASTGRU_INLINED {
            T* to = total + (m * W + w) * L;
            store(to, adds ? load(to) + tile.sum[m][w] : tile.sum[m][w]);
        });
    });
}

// body(total, values of d_input, lanes) for the vectors of some rows in the panel of W vectors at `vector`.
template <class T, int W, class Body>
FASTGRU_INLINE void for_totals(T* totals, ptrdiff_t rows, T* const* d_input, ptrdiff_t vector, ptrdiff_t K,
                               Body&& body) {
    constexpr int L = kLanes<T>;
    for (int w = 0; w < W; ++w) {
        const ptrdiff_t column = (vector + w) * L;
        const int lanes = int(min(L, K - column));
        for (ptrdiff_t i = 0; i < rows; ++i) body(totals + (i * W + w) * L, d_input[i] + column, lanes);
    }
}

// Rows [begin, begin + rows) in the panel of W vectors at `vector`.
template <class T, int W>
void input_gradient_panel(const InputGradient<T>& call, ptrdiff_t begin, ptrdiff_t rows, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t depth = 3 * blocks_of<T>(call.hidden_size) * L;
    const T *d_gates = call.d_gates + begin * call.gate_stride, *weight = call.weight + vector * depth * L;
    T* const* d_input = call.d_input + begin;
    alignas(64) T totals[kTotalRows * W * L];
    if (call.accumulate)
        for_totals<T, W>(totals, rows, d_input, vector, call.K,
                         [](T* total, const T* from, int lanes)
                             FASTGRU_INLINED { store(total, load_upto(from, lanes)); });
    for_totals<T, W>(totals, rows, d_input, vector, call.K,
                     [](const T*, const T* to, int) FASTGRU_INLINED { __builtin_prefetch(to, 1); });
    ptrdiff_t first = 0;
    for (ptrdiff_t terms = kPieceTerms; first < depth; terms += kPieceTerms) {
        const ptrdiff_t last = end_of_piece<T>(terms, call.hidden_size);
        const bool adds = call.accumulate || first > 0;
        with_tiles<kRowsBeside<W>>(rows, [&](auto m, ptrdiff_t i) {
            input_gradient_tile<T, decltype(m)::value, W>(d_gates + i * call.gate_stride + first, call.gate_stride,
                                                          last - first, weight + first * W * L, totals + i * W * L,
                                                          adds);
        });
        first = last;
    }
    for_totals<T, W>(totals, rows, d_input, vector, call.K,
                     [](const T* total, T* to, int lanes) FASTGRU_INLINED { store_upto(to, load(total), lanes); });
}

// Kernels::input_gradient
template <class T>
void input_gradient(const InputGradient<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    EqualParts(begin, end, kTotalRows).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        with_panels(0, blocks_of<T>(call.K), [&](auto w, ptrdiff_t vector) {
            input_gradient_panel<T, decltype(w)::value>(call, row, count, vector);
        });
    });
}

// Adds to d_weight what `rows` rows contribute, summed from zero.
template <class T, int M, int W>
FASTGRU_TILE void weight_gradient_tile(const T* d_gates, ptrdiff_t stride, ptrdiff_t rows, const T* right,
                                       T* d_weight) {
    constexpr int L = kLanes<T>;
    // What the sums are added to comes from a far cache where weights are wide.
    constexpr int line = 64 / int(sizeof(T));
    unroll<ceil_div(M * W * L, line)>([&](auto i) FASTGRU_INLINED { __builtin_prefetch(d_weight + i * line, 1); });
    Tile<T, M, W> tile{};
    multiply_transposed<T, M, W>(tile, d_gates, stride, rows, right);
    unroll<M>([&](auto m) FASTGRU_INLINED {
        unroll<W>([&](auto n) FASTGRU_INLINED {
            T* sum = d_weight + (m * W + n) * L;
            store(sum, load(sum) + tile.sum[m][n]);
        });
    });
}

// Rows summed by themselves: more make a long sum and so a larger error, fewer touch the gradients more often. So
// many of a panel stay in the nearest cache while the units go by.
constexpr ptrdiff_t kPieceRows = 128;
// Bytes of gate gradients of some units, which stay in the level-2 cache while the panels of `right` go by.
constexpr ptrdiff_t kPassBytes = 256 * 1024;

// Units [begin, end) in the panel of W vectors at `vector`.
template <class T, int W>
void weight_gradient_panel(const WeightGradient<T>& call, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t row = 0; row < call.rows; row += kPieceRows) {
        const T* right = call.right + (vector * call.capacity + row * W) * L;
        const T* d_gates = call.d_gates + row * call.gate_stride + begin;
        T* d_weight = call.d_weight + (vector * call.units + begin * W) * L;
        with_tiles<kRowsBeside<W>>(end - begin, [&](auto m, ptrdiff_t unit) {
            weight_gradient_tile<T, decltype(m)::value, W>(
                d_gates + unit, call.gate_stride, min(kPieceRows, call.rows - row), right, d_weight + unit * W * L);
        });
    }
}

// Kernels::weight_gradient
template <class T>
void weight_gradient(const WeightGradient<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t pass = ceil_div(kPassBytes, call.rows * kVectorBytes) * kLanes<T>;
    for (ptrdiff_t first = begin; first < end; first += pass) {
        with_panels(0, call.vectors, [&](auto w, ptrdiff_t vector) {
            weight_gradient_panel<T, decltype(w)::value>(call, first, min(first + pass, end), vector);
        });
    }
}

// Kernels::bias_gradient
template <class T>
void bias_gradient(const T* d_gates, ptrdiff_t stride, ptrdiff_t rows, T* d_bias, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t block = begin; block < end; block += 2) {
        with_rows<2>(end - block, [&](auto blocks) {
            constexpr int N = decltype(blocks)::value;
            Vec<T> sum[4][N]{};  // side by side: shorter sums are more exact, and none waits for the one before
            const auto add = [&](auto j, const T* row) FASTGRU_INLINED {
                unroll<N>([&](auto n) FASTGRU_INLINED { sum[j][n] += load(row + (block + n) * L); });
            };
            ptrdiff_t i = 0;
            for (; i + 4 <= rows; i += 4)
                unroll<4>([&](auto j) FASTGRU_INLINED { add(j, d_gates + (i + j) * stride); });
            for (; i < rows; ++i) add(Index<0>{}, d_gates + i * stride);
            unroll<N>([&](auto n) FASTGRU_INLINED {
                T* to = d_bias + (block + n) * L;
                store(to, load(to) + ((sum[0][n] + sum[1][n]) + (sum[2][n] + sum[3][n])));
            });
        });
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
