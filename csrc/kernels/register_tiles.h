// Register tiles: small products that keep all their accumulators in registers.
//
// The rule for the same bits: every output element is summed over k = 0 .. K-1 in one accumulator, in that
// order. Rows, panels and threads decide who computes an element, but not how. So a result has the same bits in
// any tile (kernels may differ in rows and panels per tile, but not in this).
//
// Right-hand sides are packed in panels of W vectors: [panel][k][W][lane].
#pragma once

#include "kernels/simd.h"
#include "shared/panels.h"

namespace fastgru::FASTGRU_LEVEL {

// Accumulators: two thirds to three quarters of the register file; the rest holds operands.
constexpr int kMaxAccumulators = kRegisters == 32 ? 24 : 12;
constexpr int kTileRows = kMaxAccumulators / 3;
// With weights stored as S: those in bfloat16 take more of few registers.
template <class S>
constexpr int kRowsOf = __is_same(S, BFloat16) && kRegisters == 16 ? kTileRows - 1 : kTileRows;

template <class T, int M, int N>
struct Tile {
    Vec<T> sum[M][N];
};

// A finished tile in memory, for an epilogue that loops over its rows. An epilogue unrolled over a tile in
// registers needs more of them than there are: it ran at a third of the speed.
template <class T, int M, int N>
struct StoredTile {
    alignas(64) T values[M * N * kLanes<T>];

    FASTGRU_INLINE explicit StoredTile(const Tile<T, M, N>& tile) {
        unroll<M>([&](auto m) FASTGRU_INLINED {
            unroll<N>([&](auto n) FASTGRU_INLINED { store(values + (m * N + n) * kLanes<T>, tile.sum[m][n]); });
        });
    }
    FASTGRU_INLINE Vec<T> at(ptrdiff_t m, ptrdiff_t n) const { return load(values + (m * N + n) * kLanes<T>); }
};

// Panels side by side in one tile: few rows leave accumulators free, and a tile needs several chains of fused
// multiply-adds in flight to hide their latency. A single row reads its right-hand side straight from memory; more
// rows hold it in registers too. With the widest vectors two panels are chains enough for a row, and pieces small
// enough to be found in the level-1 cache again (forward_step). Widening takes registers of its own.
template <int M, int W, class S>
constexpr int kSidePanels = M == 1 ? (kVectorBytes == 64 || Half<S> ? 2 : 4)
                            : (M + (Half<S> ? 2 : 1)) * W * 2 + 1 < kRegisters ? 2
                                                                               : 1;

// Rows of a panel that share words: weights in bfloat16 lie in pairs, [panel][K / 2][W][lane][2].
template <class S>
constexpr int kWordRows = __is_same(S, BFloat16) ? 2 : 1;

// Vector w of row j of those that share words, in a panel of W vectors.
template <class S>
FASTGRU_INLINE Vec<Sum<S>> load_right(const S* rows, int, int w) {
    return load(rows + w * kLanes<Sum<S>>);
}
FASTGRU_INLINE Vec<float> load_right(const BFloat16* rows, int j, int w) {
    const Vec<float> pairs = load(reinterpret_cast<const float*>(rows + w * 2 * kLanes<float>));
    return j == 0 ? widen_first(pairs, BFloat16{}) : widen_second(pairs, BFloat16{});
}

// tile += a[k + j] * row j of those that share words.  a: M row pointers; b: the same rows of P panels of W
// vectors, `panel_stride` values apart.
template <class T, int M, int W, int P, class S>
FASTGRU_INLINE void multiply_row(Tile<T, M, W * P>& tile, const T* const (&a)[M], ptrdiff_t k, int j, const S* b,
                                 ptrdiff_t panel_stride) {
    // 1.5 KB ahead, about the distance the level-2 cache needs: +0..9 %, most where weights leave it. A single row
    // waits for its weights alone, which come faster without: 98 instead of 73 GB/s from the far cache. Widening
    // numbers of 16 bits takes so long that they arrive in time.
    constexpr ptrdiff_t ahead = 1536 / ptrdiff_t(sizeof(S));
    Vec<T> right[W * P];
    unroll<P>([&](auto p) FASTGRU_INLINED {
        unroll<W>([&](auto w) FASTGRU_INLINED {
            right[p * W + w] = load_right(b + p * panel_stride, j, w);
            if constexpr (M > 1 && kVectorBytes == 64 && !Half<S>)
                __builtin_prefetch(b + p * panel_stride + w * kLanes<T> + ahead);
        });
    });
    unroll<M>([&](auto m) FASTGRU_INLINED {
        const Vec<T> left = broadcast(a[m][k + j]);
        unroll<W * P>([&](auto n) FASTGRU_INLINED { tile.sum[m][n] = fma(left, right[n], tile.sum[m][n]); });
    });
}

// tile += a * b over k in [0, K).
template <class T, int M, int W, int P, class S>
FASTGRU_INLINE void multiply_rows(Tile<T, M, W * P>& tile, const T* const (&a)[M], ptrdiff_t K, const S* b,
                                  ptrdiff_t panel_stride) {
    constexpr int row = W * kLanes<T>;
    if constexpr (kWordRows<S> == 2) {
        for (ptrdiff_t k = 0; k + 1 < K; k += 2) {
            multiply_row<T, M, W, P>(tile, a, k, 0, b + k * row, panel_stride);
            multiply_row<T, M, W, P>(tile, a, k, 1, b + k * row, panel_stride);
        }
        if (K % 2 != 0) multiply_row<T, M, W, P>(tile, a, K - 1, 0, b + (K - 1) * row, panel_stride);
    } else {
#pragma GCC unroll 2
        for (ptrdiff_t k = 0; k < K; ++k) multiply_row<T, M, W, P>(tile, a, k, 0, b + k * row, panel_stride);
    }
}

// tile += a^T * b over k in [0, K).  a: K rows, a_stride apart, of which M values from `a` on are used; b: one
// panel of W vectors.
template <class T, int M, int W>
FASTGRU_INLINE void multiply_transposed(Tile<T, M, W>& tile, const T* a, ptrdiff_t a_stride, ptrdiff_t K,
                                        const T* b) {
    constexpr int L = kLanes<T>;
#pragma GCC unroll 2
    for (ptrdiff_t k = 0; k < K; ++k) {
        Vec<T> right[W];
        unroll<W>([&](auto w) FASTGRU_INLINED { right[w] = load(b + (k * W + w) * L); });
        unroll<M>([&](auto m) FASTGRU_INLINED {
            const Vec<T> left = broadcast(a[k * a_stride + m]);
            unroll<W>([&](auto w) FASTGRU_INLINED { tile.sum[m][w] = fma(left, right[w], tile.sum[m][w]); });
        });
    }
}

// Calls body(Index<M>) for the number of rows left, at most Max: the one place where a run-time row count
// becomes a compile-time tile.
template <int Max, class Body>
FASTGRU_INLINE void with_rows(ptrdiff_t rows, Body&& body) {
    if constexpr (Max > 1) {
        if (rows < Max) return with_rows<Max - 1>(rows, body);
    }
    body(Index<Max>{});
}

// Rows of a full tile beside W vectors: as many as leave registers for the operands, but not more than pay.
template <int W>
constexpr int kRowsBeside = int(min(8, kMaxAccumulators / W));

// Calls body(Index<M>, row) for tiles of about equally many rows, at most Max: one with few rows has too few sums
// in flight.
template <int Max, class Body>
FASTGRU_INLINE void with_tiles(ptrdiff_t rows, Body&& body) {
    EqualParts(0, rows, Max).for_each([&](ptrdiff_t row, ptrdiff_t count) FASTGRU_INLINED {
        with_rows<Max>(count, [&](auto m) { body(m, row); });
    });
}

// Calls body(Index<W>, vector) for the panels of vectors [begin, end).
template <class Body>
FASTGRU_INLINE void with_panels(ptrdiff_t begin, ptrdiff_t end, Body&& body) {
    EqualParts(begin, end, kPanelVectors).for_each([&](ptrdiff_t vector, ptrdiff_t width) FASTGRU_INLINED {
        with_rows<kPanelVectors>(width, [&](auto w) { body(w, vector); });
    });
}

}  // namespace fastgru::FASTGRU_LEVEL
