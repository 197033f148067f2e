// The vector type of one instruction-set level and the few operations the kernels need.
//
// Compiled once per level, inside a namespace named after it, so that no inline function of one level
// can be linked in place of another's (numpy/numpy#25274 tells what happens otherwise). For the same
// reason no standard container or algorithm header may be included from here.
//
// Vectors are GCC/Clang vector extensions; intrinsics appear only where the extensions have no word:
// fused multiply-add and partial loads. Contraction is off (CMakeLists.txt), so a product and a sum are
// fused where `fma` says so and nowhere else: that keeps every template instance rounding alike.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/element_types.h"
#include "shared/inline.h"

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef FASTGRU_LEVEL
#error "FASTGRU_LEVEL names the instruction-set level; CMakeLists.txt defines it"
#endif

namespace fastgru::FASTGRU_LEVEL {

#if defined(__AVX512F__)
constexpr int kVectorBytes = 64;
constexpr int kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kVectorBytes = 32;
constexpr int kRegisters = 16;
#elif defined(__ARM_NEON)
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 32;
#else
constexpr int kVectorBytes = 16;
constexpr int kRegisters = 16;
#endif

// Whether the level is made to be fast. The baseline of x86 runs everywhere; it compiles less code instead.
constexpr bool kIsTuned = kVectorBytes * kRegisters > 16 * 16;

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
    typedef float type __attribute__((vector_size(kVectorBytes)));
    typedef int32_t bits __attribute__((vector_size(kVectorBytes)));
    using lane_bits = int32_t;
};
template <>
struct VectorOf<double> {
    typedef double type __attribute__((vector_size(kVectorBytes)));
    typedef int64_t bits __attribute__((vector_size(kVectorBytes)));
    using lane_bits = int64_t;
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
using Bits = typename VectorOf<T>::bits;
template <class T>
constexpr int kLanes = kVectorBytes / int(sizeof(T));

template <class T>
FASTGRU_INLINE Vec<T> load(const T* p) {
    Vec<T> v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

template <class T>
FASTGRU_INLINE void store(T* p, Vec<T> v) {
    __builtin_memcpy(p, &v, sizeof v);
}

// s in every lane; s - 0 keeps the sign of -0, where 0 + s would lose it.
template <class T>
FASTGRU_INLINE Vec<T> broadcast(T s) {
    return s - Vec<T>{};
}

// a * b + c, rounded once where the level has a fused instruction, twice where it has none.
#if defined(__AVX512F__)
FASTGRU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
    return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
FASTGRU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
    return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
#elif defined(__AVX2__)
FASTGRU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
    return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
FASTGRU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
    return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
#elif defined(__ARM_NEON)
FASTGRU_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) {
    return (Vec<float>)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
FASTGRU_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) {
    return (Vec<double>)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#else
template <class V>
FASTGRU_INLINE V fma(V a, V b, V c) {
    return a * b + c;
}
#endif

// ---- numbers of 16 bits: loads widen them, stores round them to the nearest, of two the even one

typedef uint16_t HalfBits __attribute__((vector_size(kVectorBytes / 2)));
typedef uint32_t WordBits __attribute__((vector_size(kVectorBytes)));

// Each number to a word and back. Compilers' own conversion of vectors takes five instructions for the first. The
// masked forms, here and below, with nothing masked, for the sake of g++ 12: see `smaller`.
#if defined(__AVX512F__)
FASTGRU_INLINE WordBits to_words(HalfBits half) {
    return (WordBits)_mm512_maskz_cvtepu16_epi32(__mmask16(-1), (__m256i)half);
}
FASTGRU_INLINE HalfBits to_halves(WordBits words) {
    return (HalfBits)_mm512_maskz_cvtepi32_epi16(__mmask16(-1), (__m512i)words);
}
#elif defined(__AVX2__)
FASTGRU_INLINE WordBits to_words(HalfBits half) { return (WordBits)_mm256_cvtepu16_epi32((__m128i)half); }
FASTGRU_INLINE HalfBits to_halves(WordBits words) { return __builtin_convertvector(words, HalfBits); }
#else
FASTGRU_INLINE WordBits to_words(HalfBits half) { return __builtin_convertvector(half, WordBits); }
FASTGRU_INLINE HalfBits to_halves(WordBits words) { return __builtin_convertvector(words, HalfBits); }
#endif

FASTGRU_INLINE Vec<float> widen(HalfBits half, BFloat16) { return (Vec<float>)(to_words(half) << 16); }
FASTGRU_INLINE HalfBits narrow(Vec<float> v, BFloat16) {
    const WordBits bits = (WordBits)v, rounded = bits + 0x7FFF + (bits >> 16 & 1);
    return to_halves(v == v ? rounded >> 16 : WordBits{} + 0x7FC0);
}

#if defined(__AVX512F__)
FASTGRU_INLINE Vec<float> widen(HalfBits half, Float16) {
    return (Vec<float>)_mm512_maskz_cvtph_ps(__mmask16(-1), (__m256i)half);
}
FASTGRU_INLINE HalfBits narrow(Vec<float> v, Float16) {
    return (HalfBits)_mm512_maskz_cvtps_ph(__mmask16(-1), (__m512)v, _MM_FROUND_TO_NEAREST_INT);
}
#elif defined(__AVX2__)
FASTGRU_INLINE Vec<float> widen(HalfBits half, Float16) { return (Vec<float>)_mm256_cvtph_ps((__m128i)half); }
FASTGRU_INLINE HalfBits narrow(Vec<float> v, Float16) {
    return (HalfBits)_mm256_cvtps_ph((__m256)v, _MM_FROUND_TO_NEAREST_INT);
}
#elif defined(__ARM_NEON)
FASTGRU_INLINE Vec<float> widen(HalfBits half, Float16) {
    return (Vec<float>)vcvt_f32_f16(vreinterpret_f16_u16((uint16x4_t)half));
}
FASTGRU_INLINE HalfBits narrow(Vec<float> v, Float16) {
    return (HalfBits)vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)v));
}
#else
// Without instructions for it. Exponents begin 112 higher; below the normal numbers, adding 0.5 lets the adder do
// the shift and the rounding.
constexpr uint32_t kRebias = 112u << 23, kOneHalf = 126u << 23;
FASTGRU_INLINE Vec<float> widen(HalfBits half, Float16) {
    const WordBits bits = to_words(half), size = bits & 0x7FFF;
    WordBits wide = (size << 13) + kRebias;
    wide = size >= 0x7C00 ? wide + kRebias : wide;
    wide = size < 0x400 ? (WordBits)((Vec<float>)(size + kOneHalf) - 0.5f) : wide;
    return (Vec<float>)(wide | (bits & 0x8000) << 16);
}
FASTGRU_INLINE HalfBits narrow(Vec<float> v, Float16) {
    const WordBits bits = (WordBits)v, size = bits & 0x7FFFFFFF;
    WordBits half = (size - kRebias + 0xFFF + (size >> 13 & 1)) >> 13;
    half = size < (113u << 23) ? (WordBits)((Vec<float>)size + 0.5f) - kOneHalf : half;
    half = size >= (143u << 23) ? WordBits{} + 0x7C00 : half;
    half = size > (255u << 23) ? WordBits{} + 0x7E00 : half;
    return to_halves(half | (bits >> 16 & 0x8000));
}
#endif

// Of two numbers in each word, the first and the second in memory.
FASTGRU_INLINE Vec<float> widen_first(Vec<float> pairs, BFloat16) { return (Vec<float>)((WordBits)pairs << 16); }
// Without a vector for the mask, which tiles have no register for.
FASTGRU_INLINE Vec<float> widen_second(Vec<float> pairs, BFloat16) {
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_maskz_mov_epi16(0xAAAAAAAA, (__m512i)pairs);
#elif defined(__AVX2__)
    return (Vec<float>)_mm256_blend_epi16(_mm256_setzero_si256(), (__m256i)pairs, 0xAA);
#else
    return (Vec<float>)((WordBits)pairs & 0xFFFF0000);
#endif
}
FASTGRU_INLINE Vec<float> widen_first(Vec<float> pairs, Float16 type) {
    return widen(to_halves((WordBits)pairs & 0xFFFF), type);
}
FASTGRU_INLINE Vec<float> widen_second(Vec<float> pairs, Float16 type) {
    return widen(to_halves((WordBits)pairs >> 16), type);
}

template <class S>
FASTGRU_INLINE Vec<float> load_half(const S* p) {
    HalfBits half;
    __builtin_memcpy(&half, p, sizeof half);
    return widen(half, S{});
}
FASTGRU_INLINE Vec<float> load(const BFloat16* p) { return load_half(p); }
FASTGRU_INLINE Vec<float> load(const Float16* p) { return load_half(p); }

template <class S>
FASTGRU_INLINE void store_half(S* p, Vec<float> v) {
    const HalfBits half = narrow(v, S{});
    __builtin_memcpy(p, &half, sizeof half);
}
FASTGRU_INLINE void store(BFloat16* p, Vec<float> v) { store_half(p, v); }
FASTGRU_INLINE void store(Float16* p, Vec<float> v) { store_half(p, v); }

// The numbers of two vectors in the words of one, as widen_first and widen_second find them.
FASTGRU_INLINE void store_pairs(BFloat16* p, Vec<float> first, Vec<float> second) {
    const WordBits words = to_words(narrow(first, BFloat16{})) | to_words(narrow(second, BFloat16{})) << 16;
    __builtin_memcpy(p, &words, sizeof words);
}

// The first n lanes, as below.
template <class S>
FASTGRU_INLINE Vec<float> load_first_half(const S* p, int n) {
    HalfBits half{};
    for (int i = 0; i < n; ++i) half[i] = p[i].bits;
    return widen(half, S{});
}
FASTGRU_INLINE Vec<float> load_first(const BFloat16* p, int n) { return load_first_half(p, n); }
FASTGRU_INLINE Vec<float> load_first(const Float16* p, int n) { return load_first_half(p, n); }

template <class S>
FASTGRU_INLINE void store_first_half(S* p, Vec<float> v, int n) {
    const HalfBits half = narrow(v, S{});
    for (int i = 0; i < n; ++i) p[i].bits = half[i];
}
FASTGRU_INLINE void store_first(BFloat16* p, Vec<float> v, int n) { store_first_half(p, v, n); }
FASTGRU_INLINE void store_first(Float16* p, Vec<float> v, int n) { store_first_half(p, v, n); }

// Minimum and maximum, of which the second operand is the result where the two do not compare: a NaN in `b` stays.
// The masked forms, with nothing masked, are those that g++ 12 does not warn about; the instruction is the same.
#if defined(__AVX512F__)
FASTGRU_INLINE Vec<float> smaller(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm512_mask_min_ps((__m512)b, __mmask16(-1), (__m512)a, (__m512)b);
}
FASTGRU_INLINE Vec<double> smaller(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm512_mask_min_pd((__m512d)b, __mmask8(-1), (__m512d)a, (__m512d)b);
}
FASTGRU_INLINE Vec<float> larger(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm512_mask_max_ps((__m512)b, __mmask16(-1), (__m512)a, (__m512)b);
}
FASTGRU_INLINE Vec<double> larger(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm512_mask_max_pd((__m512d)b, __mmask8(-1), (__m512d)a, (__m512d)b);
}
#elif defined(__AVX2__)
FASTGRU_INLINE Vec<float> smaller(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm256_min_ps((__m256)a, (__m256)b);
}
FASTGRU_INLINE Vec<double> smaller(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm256_min_pd((__m256d)a, (__m256d)b);
}
FASTGRU_INLINE Vec<float> larger(Vec<float> a, Vec<float> b) {
    return (Vec<float>)_mm256_max_ps((__m256)a, (__m256)b);
}
FASTGRU_INLINE Vec<double> larger(Vec<double> a, Vec<double> b) {
    return (Vec<double>)_mm256_max_pd((__m256d)a, (__m256d)b);
}
#else
template <class V>
FASTGRU_INLINE V smaller(V a, V b) {
    return a < b ? a : b;
}
template <class V>
FASTGRU_INLINE V larger(V a, V b) {
    return a > b ? a : b;
}
#endif

// The first n lanes (0 < n < lanes) of a vector; memory behind them is not touched, lanes behind them are 0.
#if defined(__AVX512F__)
FASTGRU_INLINE Vec<float> load_first(const float* p, int n) {
    return (Vec<float>)_mm512_maskz_loadu_ps(__mmask16((1u << n) - 1), p);
}
FASTGRU_INLINE Vec<double> load_first(const double* p, int n) {
    return (Vec<double>)_mm512_maskz_loadu_pd(__mmask8((1u << n) - 1), p);
}
FASTGRU_INLINE void store_first(float* p, Vec<float> v, int n) {
    _mm512_mask_storeu_ps(p, __mmask16((1u << n) - 1), (__m512)v);
}
FASTGRU_INLINE void store_first(double* p, Vec<double> v, int n) {
    _mm512_mask_storeu_pd(p, __mmask8((1u << n) - 1), (__m512d)v);
}
#elif defined(__AVX2__)
FASTGRU_INLINE Vec<float> load_first(const float* p, int n) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return (Vec<float>)_mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32(n), lane));
}
FASTGRU_INLINE Vec<double> load_first(const double* p, int n) {
    const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
    return (Vec<double>)_mm256_maskload_pd(p, _mm256_cmpgt_epi64(_mm256_set1_epi64x(n), lane));
}
// In pieces of 16, 8 and 4 bytes: a loop over lanes becomes a call that copies memory, and masked stores are slow
// on some processors.
template <class T>
FASTGRU_INLINE void store_first(T* p, Vec<T> v, int n) {
    __m128i piece = _mm256_castsi256_si128((__m256i)v);
    char* to = reinterpret_cast<char*>(p);
    const int bytes = n * int(sizeof(T));
    if (bytes & 16) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(to), piece);
        piece = _mm256_extracti128_si256((__m256i)v, 1);
        to += 16;
    }
    if (bytes & 8) {
        _mm_storel_epi64(reinterpret_cast<__m128i*>(to), piece);
        piece = _mm_unpackhi_epi64(piece, piece);
        to += 8;
    }
    if (bytes & 4) {
        const int word = _mm_cvtsi128_si32(piece);
        __builtin_memcpy(to, &word, sizeof word);
    }
}
#else
template <class T>
FASTGRU_INLINE Vec<T> load_first(const T* p, int n) {
    Vec<T> v{};
    for (int i = 0; i < n; ++i) v[i] = p[i];
    return v;
}
template <class T>
FASTGRU_INLINE void store_first(T* p, Vec<T> v, int n) {
    for (int i = 0; i < n; ++i) p[i] = v[i];
}
#endif

template <class S>
FASTGRU_INLINE Vec<Sum<S>> load_upto(const S* p, int n) {
    return n >= kLanes<Sum<S>> ? load(p) : load_first(p, n);
}
template <class S>
FASTGRU_INLINE void store_upto(S* p, Vec<Sum<S>> v, int n) {
    if (n >= kLanes<Sum<S>>)
        store(p, v);
    else
        store_first(p, v, n);
}

// body(0), body(1), ... body(N - 1) with compile-time indices. Unrolling pragmas leave accumulator arrays in
// memory with g++ 12 (24 instead of 172 GF/s); indices known at compile time keep them in registers.
template <int I>
struct Index {
    static constexpr int value = I;
    constexpr operator int() const { return I; }
};
template <int N, int I = 0, class Body>
FASTGRU_INLINE void unroll(Body&& body) {
    if constexpr (I < N) {
        body(Index<I>{});
        unroll<N, I + 1>(body);
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
