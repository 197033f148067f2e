// Rows of a linear layer: y = b + x . W^T. Every output is one accumulator that begins with its bias and takes the
// products in order, as in register_tiles.h; so neither the tile nor packing tells in its bits.
#pragma once

#include "kernels/elementwise.h"
#include "kernels/pack_panels.h"
#include "kernels/single_step.h"
#include "shared/row_kernels.h"

namespace fastgru::FASTGRU_LEVEL {

// The panel of W vectors that begins with a vector: where its weights are, and its columns.
template <class T>
struct LinearPanel {
    const T* weight;  // [K][W][L]
    ptrdiff_t column;
};

template <class T>
FASTGRU_INLINE int lanes_at(const LinearRows<T>& call, ptrdiff_t column) {
    return int(min(kLanes<T>, call.out_features - column));
}

// What the sums of N vectors of columns begin with.
template <class T, int N>
FASTGRU_INLINE void load_bias(const LinearRows<T>& call, ptrdiff_t column, Vec<T> (&bias)[N]) {
    unroll<N>([&](auto n) FASTGRU_INLINED {
        const ptrdiff_t at = column + n * kLanes<T>;
        bias[n] = call.bias == nullptr ? Vec<T>{} : load_upto(call.bias + at, lanes_at(call, at));
    });
}

// M rows from `row` on in P panels of W vectors side by side.
template <class T, int M, int W, int P>
FASTGRU_TILE void linear_tile(const LinearRows<T>& call, const LinearPanel<T>& panel, ptrdiff_t row) {
    constexpr int L = kLanes<T>, N = W * P;
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = call.input + (row + m) * call.input_stride; });
    Vec<T> bias[N];
    load_bias(call, panel.column, bias);
    Tile<T, M, N> tile;
    unroll<M>([&](auto m)
                  FASTGRU_INLINED { unroll<N>([&](auto n) FASTGRU_INLINED { tile.sum[m][n] = bias[n]; }); });
    multiply_rows<T, M, W, P>(tile, a, call.in_features, panel.weight, call.in_features * W * L);
    T* output = call.output + row * call.output_stride + panel.column;
    if (panel.column + N * L <= call.out_features) {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            unroll<N>([&](auto n)
                          FASTGRU_INLINED { store(output + m * call.output_stride + n * L, tile.sum[m][n]); });
        });
        return;
    }
    const StoredTile<T, M, N> stored(tile);
    for (int m = 0; m < M; ++m)
        for (int n = 0; n < N; ++n)
            store_upto(output + m * call.output_stride + n * L, stored.at(m, n),
                       lanes_at(call, panel.column + n * L));
}

// f(y) of some columns of some rows, while they are near.
template <class T>
FASTGRU_INLINE void activate_part(const LinearRows<T>& call, ptrdiff_t row, ptrdiff_t rows, ptrdiff_t column,
                                  ptrdiff_t columns) {
    if (call.activation.function == Function::none) return;
    const ptrdiff_t count = min(columns, call.out_features - column);
    for (ptrdiff_t i = row; i < row + rows; ++i) {
        T* y = call.output + i * call.output_stride + column;
        activate(call.activation, y, y, count);
    }
}

// All rows in P panels of W vectors.
template <class T, int W, int P>
FASTGRU_INLINE void linear_columns(const LinearRows<T>& call, const LinearPanel<T>& panel) {
    EqualParts(0, call.rows, kTileRows).for_each([&](ptrdiff_t row, ptrdiff_t count) {
        with_rows<kTileRows>(count, [&](auto m) {
            constexpr int M = decltype(m)::value;
            if constexpr (P == 1 || kSidePanels<M, W, T> == P) linear_tile<T, M, W, P>(call, panel, row);
        });
        activate_part(call, row, count, panel.column, P * W * kLanes<T>);
    });
}

// How many panels a call of so few rows takes side by side.
template <class T, int W>
FASTGRU_INLINE int side_panels(ptrdiff_t rows) {
    int panels = 1;
    if (rows <= kTileRows)
        with_rows<kTileRows>(rows, [&](auto m) { panels = kSidePanels<decltype(m)::value, W, T>; });
    return panels;
}

// RowKernels::linear
template <class T>
void linear(const LinearRows<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    const EqualParts panels = linear_panels<T>(call.out_features, L);
    ptrdiff_t i = begin;
    while (i < end) {
        const ptrdiff_t vector = panels[i].begin, width = panels[i].count;
        ptrdiff_t same = 1;  // panels of this width from here on
        while (same < 4 && i + same < end && panels[i + same].count == width) ++same;
        const LinearPanel<T> panel{call.weight + vector * call.in_features * L, vector * L};
        with_rows<kPanelVectors>(width, [&](auto w) {
            constexpr int W = decltype(w)::value;
            const int side = side_panels<T, W>(call.rows);
            if (side == 4 && same >= 4)
                linear_columns<T, W, 4>(call, panel), i += 4;
            else if (side == 2 && same >= 2)
                linear_columns<T, W, 2>(call, panel), i += 2;
            else
                linear_columns<T, W, 1>(call, panel), ++i;
        });
    }
}

// One panel of W vectors, [K][W][L].
template <class T, int W>
FASTGRU_INLINE void pack_linear_panel(const T* weight, ptrdiff_t N, ptrdiff_t K, T* panel) {
    constexpr int L = kLanes<T>, part = kPartLanes<T>;
    for (int w = 0; w < W; ++w) {
        for (ptrdiff_t k = 0; k < K; k += part) {
            Vec<T> column[part];
            load_columns(weight + w * L * K, K, N - w * L, k, column);
            unroll<part>([&](auto j) FASTGRU_INLINED {
                if (k + j < K) store(panel + ((k + j) * W + w) * L, column[j]);
            });
        }
    }
}

// RowKernels::pack_linear
template <class T>
void pack_linear(const T* weight, ptrdiff_t N, ptrdiff_t K, T* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<T>;
    const EqualParts panels = linear_panels<T>(N, L);
    for (ptrdiff_t i = begin; i < end; ++i) {
        const ptrdiff_t vector = panels[i].begin, width = panels[i].count;
        with_rows<kPanelVectors>(width, [&](auto w) {
            pack_linear_panel<T, decltype(w)::value>(weight + vector * L * K, N - vector * L, K,
                                                     packed + vector * K * L);
        });
    }
}

// M rows in G vectors of columns, with the weights as they are.
template <class T, int M, int G>
FASTGRU_TILE void unpacked_linear_tile(const LinearRows<T>& call, ptrdiff_t row, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t column = vector * L, count = call.out_features - column, K = call.in_features;
    const T* a[M];
    unroll<M>([&](auto m) FASTGRU_INLINED { a[m] = call.input + (row + m) * call.input_stride; });
    Vec<T> bias[G], sum[G][M];
    load_bias(call, column, bias);
    unroll<G>([&](auto g) FASTGRU_INLINED { unroll<M>([&](auto m) FASTGRU_INLINED { sum[g][m] = bias[g]; }); });
    const T* weight = call.weight + column * K;
    multiply_unpacked<T, T, M, G>(weight, K, count, weight + G * L * K, a, sum);
    T* output = call.output + row * call.output_stride + column;
    unroll<G>([&](auto g) FASTGRU_INLINED {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            store_upto(output + m * call.output_stride + g * L, sum[g][m], lanes_at(call, column + g * L));
        });
    });
}

// The same for the vectors [vector, end), G at a time and then fewer.
template <class T, int M, int G>
FASTGRU_INLINE void unpacked_linear_rows(const LinearRows<T>& call, ptrdiff_t row, ptrdiff_t vector,
                                         ptrdiff_t end) {
    for (; vector + G <= end; vector += G) unpacked_linear_tile<T, M, G>(call, row, vector);
    if constexpr (G > 1) unpacked_linear_rows<T, M, G / 2>(call, row, vector, end);
}

// RowKernels::linear_unpacked. Several groups of rows use some weights while these are near.
template <class T>
void linear_unpacked(const LinearRows<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    const ptrdiff_t near = call.rows <= kSingleStepGroup<T> ? end - begin : max(1, kNearUnits / kLanes<T>);
    for (ptrdiff_t first = begin; first < end; first += near) {
        const ptrdiff_t last = min(first + near, end);
        EqualParts(0, call.rows, kSingleStepGroup<T>).for_each([&](ptrdiff_t row, ptrdiff_t count) {
            with_rows<kSingleStepGroup<T>>(count, [&](auto m) {
                constexpr int M = decltype(m)::value;
                unpacked_linear_rows<T, M, blocks_read<T, T, M>()>(call, row, first, last);
            });
            activate_part(call, row, count, first * kLanes<T>, (last - first) * kLanes<T>);
        });
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
