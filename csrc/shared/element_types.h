// Numbers of 16 bits: how parameters and vectors may be stored. Sums, states between steps and everything saved are
// float then.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "shared/inline.h"

namespace fastgru {

struct BFloat16 {
    uint16_t bits;
};
struct Float16 {
    uint16_t bits;
};
// A byte of weights in panels: integers of 8 bits, and the scales and so on that stand behind them.
struct Int8 {
    int8_t byte;
};

// The type that values of type S are computed in.
template <class S>
struct SumOf {
    using type = S;
};
template <>
struct SumOf<BFloat16> {
    using type = float;
};
template <>
struct SumOf<Float16> {
    using type = float;
};
template <>
struct SumOf<Int8> {
    using type = float;
};
template <class S>
using Sum = typename SumOf<S>::type;

template <class S>
concept Half = sizeof(S) == 2;

// Columns of a panel for vectors of K values: weights in bfloat16 lie in pairs.
template <class S>
FASTGRU_INLINE constexpr ptrdiff_t panel_columns(ptrdiff_t K) {
    return __is_same(S, BFloat16) ? K + K % 2 : K;
}

// One value by itself; kernels widen whole vectors (kernels/simd.h).
FASTGRU_INLINE float widened(float x) { return x; }
FASTGRU_INLINE double widened(double x) { return x; }
FASTGRU_INLINE float widened(BFloat16 x) { return __builtin_bit_cast(float, uint32_t(x.bits) << 16); }
FASTGRU_INLINE float widened(Float16 x) {
    const uint32_t size = x.bits & 0x7FFF, sign = uint32_t(x.bits & 0x8000) << 16;
    if (size < 0x400) return (sign == 0 ? 1.0f : -1.0f) * float(size) / (1 << 24);  // below the normal numbers
    const uint32_t rebias = size >= 0x7C00 ? 224u << 23 : 112u << 23;               // infinity and NaN; the others
    return __builtin_bit_cast(float, ((size << 13) + rebias) | sign);
}

}  // namespace fastgru
