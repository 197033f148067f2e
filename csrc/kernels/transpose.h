// Columns of a row-major matrix as vectors: loading them is transposing.
#pragma once

#include "kernels/simd.h"

namespace fastgru::FASTGRU_LEVEL {

// Values that fill 16 bytes: vectors consist of such parts, and instructions that stay within them are cheap.
template <class S>
constexpr int kPartLanes = 16 / int(sizeof(S));

// A vector whose parts come from places `stride` values apart; of 16 bits, two in each word.
#if defined(__AVX512F__)
template <class S>
FASTGRU_INLINE Vec<Sum<S>> load_parts(const S* p, ptrdiff_t stride) {
    const auto part = [&](int i)
                          FASTGRU_INLINED { return _mm_loadu_ps(reinterpret_cast<const float*>(p + i * stride)); };
    __m512 v = _mm512_castps128_ps512(part(0));
    v = _mm512_mask_broadcast_f32x4(v, 0x00F0, part(1));
    v = _mm512_mask_broadcast_f32x4(v, 0x0F00, part(2));
    return (Vec<Sum<S>>)_mm512_mask_broadcast_f32x4(v, 0xF000, part(3));
}
#elif defined(__AVX2__)
template <class S>
FASTGRU_INLINE Vec<Sum<S>> load_parts(const S* p, ptrdiff_t stride) {
    const auto part = [&](int i)
                          FASTGRU_INLINED { return _mm_loadu_ps(reinterpret_cast<const float*>(p + i * stride)); };
    return (Vec<Sum<S>>)_mm256_insertf128_ps(_mm256_castps128_ps256(part(0)), part(1), 1);
}
#else
template <class S>
FASTGRU_INLINE Vec<Sum<S>> load_parts(const S* p, ptrdiff_t) {
    return load(reinterpret_cast<const Sum<S>*>(p));
}
#endif

// Units of U values of a and b in turn, from the low or the high half of each part.
template <class T, int U, bool is_high>
FASTGRU_INLINE Vec<T> interleave(Vec<T> a, Vec<T> b) {
    constexpr auto source = [](int i) constexpr {
        const int unit = i % kPartLanes<T> / U;
        const int from = i / kPartLanes<T> * kPartLanes<T> + (is_high ? kPartLanes<T> / 2 : 0);
        return from + unit / 2 * U + i % U + (unit % 2) * kLanes<T>;
    };
#if defined(__clang__)
    Vec<T> picked;
    unroll<kLanes<T>>([&](auto i) FASTGRU_INLINED {
        constexpr int from = source(decltype(i)::value);
        picked[decltype(i)::value] = from < kLanes<T> ? a[from % kLanes<T>] : b[from % kLanes<T>];
    });
    return picked;
#else
    Bits<T> indices;
    unroll<kLanes<T>>([&](auto i) FASTGRU_INLINED { indices[decltype(i)::value] = source(decltype(i)::value); });
    return __builtin_shuffle(a, b, indices);
#endif
}

// Squares within parts, transposed.
template <class T>
FASTGRU_INLINE void transpose_parts(Vec<T> (&row)[kPartLanes<T>]) {
    if constexpr (kPartLanes<T> == 2) {
        const Vec<T> first = row[0];
        row[0] = interleave<T, 1, false>(first, row[1]);
        row[1] = interleave<T, 1, true>(first, row[1]);
    } else {
        const Vec<T> low_01 = interleave<T, 1, false>(row[0], row[1]),
                     high_01 = interleave<T, 1, true>(row[0], row[1]),
                     low_23 = interleave<T, 1, false>(row[2], row[3]),
                     high_23 = interleave<T, 1, true>(row[2], row[3]);
        row[0] = interleave<T, 2, false>(low_01, low_23);
        row[1] = interleave<T, 2, true>(low_01, low_23);
        row[2] = interleave<T, 2, false>(high_01, high_23);
        row[3] = interleave<T, 2, true>(high_01, high_23);
    }
}

// The first kPartLanes<T> columns of words, which hold one or two values each, of kLanes rows that are `stride`
// values apart. Parts that belong together are put together while they are loaded; what is left is to transpose
// small squares within parts.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void load_words(const S* p, ptrdiff_t stride, Vec<T> (&words)[kPartLanes<T>]) {
    constexpr int count = kPartLanes<T>;
    unroll<count>([&](auto r) FASTGRU_INLINED { words[r] = load_parts(p + r * stride, count * stride); });
    transpose_parts<T>(words);
}

// The values in columns of words.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void split_words(const Vec<T> (&words)[kPartLanes<T>], Vec<T> (&column)[kPartLanes<S>]) {
    unroll<kPartLanes<T>>([&](auto i) FASTGRU_INLINED {
        if constexpr (sizeof(S) == sizeof(T)) {
            column[i] = words[i];
        } else {
            column[2 * i] = widen_first(words[i], S{});
            column[2 * i + 1] = widen_second(words[i], S{});
        }
    });
}

// The first kPartLanes<S> columns.
template <class S, class T = Sum<S>>
FASTGRU_INLINE void load_columns(const S* p, ptrdiff_t stride, Vec<T> (&column)[kPartLanes<S>]) {
    Vec<T> words[kPartLanes<T>];
    load_words(p, stride, words);
    split_words<S>(words, column);
}

}  // namespace fastgru::FASTGRU_LEVEL
