// Products of integers of 8 bits, a few of them added up in each lane of 32 bits. All sums are exact, so they are
// the same integers at every level and in any order.
#pragma once

#include "kernels/simd.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#endif

namespace fastgru::FASTGRU_LEVEL {

using Ints = Bits<float>;

FASTGRU_INLINE Ints load_ints(const void* p) {
    Ints v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}
// The same four bytes in every lane.
FASTGRU_INLINE Ints broadcast_ints(const void* p) {
    int32_t four;
    __builtin_memcpy(&four, p, sizeof four);
    return four - Ints{};
}

// What a lane of rows holds: four values of 8 bits, or two of 16. x86 multiplies bytes without a sign by bytes with
// one, so an offset is added to rows; what that adds to a sum depends on the weights alone.
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__)
typedef unsigned char RowValue;
constexpr int kRowOffset = 128;
#define FASTGRU_DOTS_FOUR 1
#elif defined(__ARM_FEATURE_DOTPROD)
typedef int8_t RowValue;
constexpr int kRowOffset = 0;
#define FASTGRU_DOTS_FOUR 1
#else
typedef int16_t RowValue;
constexpr int kRowOffset = 0;
#endif
constexpr int kDotGroup = 4 / int(sizeof(RowValue));

// As many weights for each lane, ready for `dot`.
FASTGRU_INLINE Ints load_weights(const Int8* p) {
#if defined(FASTGRU_DOTS_FOUR)
    return load_ints(p);
#elif defined(__AVX2__)
    return (Ints)_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
    typedef int8_t HalfBytes __attribute__((vector_size(kVectorBytes / 2)));
    typedef int16_t Shorts __attribute__((vector_size(kVectorBytes)));
    HalfBytes half;
    __builtin_memcpy(&half, p, sizeof half);
    return (Ints) __builtin_convertvector(half, Shorts);
#endif
}

// sum + products of `weights` and `row`, both from -127 to 127 without the offset.
FASTGRU_INLINE Ints dot(Ints sum, Ints weights, Ints row) {
#if defined(__AVX512VNNI__)
    return (Ints)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)row, (__m512i)weights);
#elif defined(__AVXVNNI__)
    return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)row, (__m256i)weights);
#elif defined(__AVX2__)
    return sum + (Ints)_mm256_madd_epi16((__m256i)weights, (__m256i)row);
#elif defined(__SSE2__)
    return sum + (Ints)_mm_madd_epi16((__m128i)weights, (__m128i)row);
#elif defined(__ARM_FEATURE_DOTPROD)
    return (Ints)vdotq_s32((int32x4_t)sum, (int8x16_t)weights, (int8x16_t)row);
#else
    typedef int16_t Shorts __attribute__((vector_size(kVectorBytes)));
    const Ints products = (Ints)((Shorts)weights * (Shorts)row);  // no product needs more than 16 bits
    return sum + (products << 16 >> 16) + (products >> 16);
#endif
}

}  // namespace fastgru::FASTGRU_LEVEL
