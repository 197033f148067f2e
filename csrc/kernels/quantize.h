// Rows of floats as integers of 8 bits, each row with a scale of its own: x = scale * q, and |q| <= 127 for the
// largest value. A row's integers depend on that row alone.
#pragma once

#include "kernels/dot_products.h"
#include "shared/integer_math.h"
#include "shared/kernel_table.h"

namespace fastgru::FASTGRU_LEVEL {

typedef RowValue RowValues __attribute__((vector_size(kLanes<float> * int(sizeof(RowValue)))));

template <int N>
struct IntsOf {
    typedef int32_t type __attribute__((vector_size(4 * N)));
};

// The largest of all lanes.
template <int N>
FASTGRU_INLINE int32_t largest_lane(typename IntsOf<N>::type v) {
    if constexpr (N == 2) {
        return v[0] > v[1] ? v[0] : v[1];
    } else {
        typename IntsOf<N / 2>::type halves[2];
        __builtin_memcpy(halves, &v, sizeof v);
        return largest_lane<N / 2>(halves[0] > halves[1] ? halves[0] : halves[1]);
    }
}

// Calls body(k, lanes) for vectors that cover K values. The last one overlaps the one before it if it would not be
// full.
template <class Body>
FASTGRU_INLINE void for_vectors(ptrdiff_t K, Body body) {
    constexpr int L = kLanes<float>;
    if (K < L) return body(0, int(K));
    for (ptrdiff_t k = 0; k + L <= K; k += L) body(k, Index<L>{});
    if (K % L != 0) body(K - L, Index<L>{});
}

// The largest absolute value, but no less than what a quotient by it can bear. A NaN is larger than all numbers, as
// it is among bit patterns.
FASTGRU_INLINE float largest_value(const float* row, ptrdiff_t K) {
    constexpr float least = 1e-30f;
    Ints most = __builtin_bit_cast(int32_t, least) - Ints{};
    for_vectors(K, [&](ptrdiff_t k, auto lanes) FASTGRU_INLINED {
        const Ints size = (Ints)load_upto(row + k, lanes) & 0x7FFFFFFF;
        most = size > most ? size : most;
    });
    return __builtin_bit_cast(float, largest_lane<kLanes<float>>(most));
}

FASTGRU_INLINE void quantize_row(const float* row, ptrdiff_t K, unsigned char* values, float* scale) {
    // Adding 1.5 * 2^23 rounds to an integer, to the nearest, of two the even one, and leaves it in the low bits.
    constexpr float magic = 3 << 22;
    const float most = largest_value(row, K);
    const Vec<float> inverse = broadcast(127 / most);
    *scale = most / 127 + (most - most);  // NaN where a value is infinite: no integers stand for the others
    // The last group may have room for more values than the row has. They are multiplied by weights of zero.
    if (K % kDotGroup != 0) __builtin_memset(values + K / kDotGroup * 4, 0, 4);
    for_vectors(K, [&](ptrdiff_t k, auto lanes) FASTGRU_INLINED {
        const Ints rounded = (Ints)(load_upto(row + k, lanes) * inverse + broadcast(magic + kRowOffset));
        const RowValues narrow = __builtin_convertvector(rounded, RowValues);
        __builtin_memcpy(values + k * ptrdiff_t(sizeof(RowValue)), &narrow, sizeof narrow);
    });
}

// Int8Kernels::quantize
inline void quantize(const float* const* row, ptrdiff_t rows, ptrdiff_t K, const QuantizedRows& to) {
    for (ptrdiff_t i = 0; i < rows; ++i) quantize_row(row[i], K, to.values + i * to.stride, to.scales + i);
}

}  // namespace fastgru::FASTGRU_LEVEL
