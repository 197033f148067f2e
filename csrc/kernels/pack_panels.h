// Parameters and rows to panels: the only place that knows the order of values inside a panel.
#pragma once

#include "kernels/register_tiles.h"
#include "kernels/transpose.h"
#include "shared/integer_math.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
FASTGRU_INLINE ptrdiff_t blocks_of(ptrdiff_t values) {
    return ceil_div(values, kLanes<T>);
}

// In a panel of three gates.
template <class P>
FASTGRU_INLINE ptrdiff_t panel_values(ptrdiff_t K) {
    return panel_columns<P>(K) * 3 * kLanes<Sum<P>>;
}

// A few columns of words, from column k on, of up to L rows of a matrix. Rows and columns outside it are zero.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void load_words(const S* weight, ptrdiff_t K, ptrdiff_t rows, ptrdiff_t k,
                               Vec<T> (&words)[kPartLanes<T>]) {
    constexpr int L = kLanes<T>, part = kPartLanes<S>;
    if (rows >= L && K - k >= part) return load_words(weight + k, K, words);
    alignas(64) S padded[L * part] = {};
    for (ptrdiff_t i = 0; i < min(L, rows); ++i)
        for (ptrdiff_t j = 0; j < min(part, K - k); ++j) padded[i * part + j] = weight[i * K + k + j];
    load_words(padded, part, words);
}

// The same, value by value.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void load_columns(const S* weight, ptrdiff_t K, ptrdiff_t rows, ptrdiff_t k,
                                 Vec<T> (&column)[kPartLanes<S>]) {
    Vec<T> words[kPartLanes<T>];
    load_words(weight, K, rows, k, words);
    split_words<S>(words, column);
}

// Columns from k on of one gate to its place in a panel of K columns. In words of a matrix of bfloat16, pairs lie
// as they do in panels.
template <class S, class P>
FASTGRU_INLINE void pack_columns(const S* weight, ptrdiff_t K, ptrdiff_t rows, ptrdiff_t k, P* panel, int gate) {
    constexpr int L = kLanes<Sum<S>>, part = kPartLanes<S>;
    if constexpr (__is_same(S, BFloat16) && __is_same(P, BFloat16)) {
        Vec<float> words[part / 2];
        load_words(weight, K, rows, k, words);
        unroll<part / 2>([&](auto i) FASTGRU_INLINED {
            P* to = panel + ((k + 2 * i) * 3 + gate * 2) * L;
            if (k + 2 * i < K) __builtin_memcpy(to, &words[i], sizeof words[i]);
        });
    } else {
        Vec<Sum<S>> column[part];
        load_columns(weight, K, rows, k, column);
        unroll<part>([&](auto j) FASTGRU_INLINED {
            if (k + j >= K) return;
            if constexpr (kWordRows<P> == 1)
                store(panel + ((k + j) * 3 + gate) * L, column[j]);
            else if constexpr (j % 2 == 0)
                store_pairs(panel + ((k + j) * 3 + gate * 2) * L, column[j], column[j + 1]);
        });
    }
}

// Kernels::pack_gates, HalfKernels::pack_wide and pack_narrow
template <class S, class P>
void pack_gates(const S* weight, ptrdiff_t H, ptrdiff_t K, P* packed, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<Sum<S>>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        P* panel = packed + block * panel_values<P>(K);
        for (int gate = 0; gate < 3; ++gate) {
            const S* rows = weight + (gate * H + block * L) * K;
            for (ptrdiff_t k = 0; k < K; k += kPartLanes<S>) pack_columns(rows, K, H - block * L, k, panel, gate);
        }
    }
}

// HalfKernels::widen_panels
template <class S>
void widen_panels(const S* panels, ptrdiff_t K, float* wide, ptrdiff_t begin, ptrdiff_t end) {
    constexpr int L = kLanes<float>;
    for (ptrdiff_t block = begin; block < end; ++block) {
        const S* from = panels + block * panel_values<S>(K);
        float* to = wide + block * K * 3 * L;
        for (ptrdiff_t k = 0; k < K; ++k, to += 3 * L) {
            const int j = int(k % kWordRows<S>);
            unroll<3>([&](auto gate)
                          FASTGRU_INLINED { store(to + gate * L, load_right(from + (k - j) * 3 * L, j, gate)); });
        }
    }
}

// Rows [begin, end) of one panel of W vectors. Where the panel ends with the matrix, its last vector may not be
// full.
template <class T, int W, bool kIsFull>
FASTGRU_INLINE void pack_panel(const RowsToPack<T>& from, ptrdiff_t begin, ptrdiff_t end, ptrdiff_t vector) {
    constexpr int L = kLanes<T>;
    const ptrdiff_t left = from.K - vector * L;
    T* to = from.packed + (vector * from.rows + begin * W) * L;
    for (ptrdiff_t i = begin; i < end; ++i, to += W * L) {
        const T* row = from.row[i];
        unroll<W>([&](auto w) FASTGRU_INLINED {
            const int lanes = kIsFull ? L : int(min(L, left - w * L));
            store(to + w * L, row == nullptr ? Vec<T>{} : load_upto(row + (vector + w) * L, lanes));
        });
    }
}

// Bytes of the rows that are packed together, panel by panel: narrow rows would else change the panel too often,
// and wide ones be read in too many pieces.
constexpr ptrdiff_t kPackedBytes = 2048, kMostPackedRows = 8;

// Kernels::pack_rows
template <class T>
void pack_rows(const RowsToPack<T>& from, ptrdiff_t first, ptrdiff_t last) {
    if (first == last) return;
    const EqualParts panels(first, last, from.panel_vectors);
    const ptrdiff_t together = max(1, min(kMostPackedRows, kPackedBytes / ((last - first) * kVectorBytes)));
    for (ptrdiff_t begin = from.begin; begin < from.end; begin += together) {
        const ptrdiff_t end = min(begin + together, from.end);
        panels.for_each([&](ptrdiff_t vector, ptrdiff_t width) {
            with_rows<kMostPanelVectors>(width, [&](auto w) {
                constexpr int W = decltype(w)::value;
                if ((vector + W) * kLanes<T> <= from.K)
                    pack_panel<T, W, true>(from, begin, end, vector);
                else
                    pack_panel<T, W, false>(from, begin, end, vector);
            });
        });
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
