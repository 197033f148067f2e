// Sigmoid and tanh, elementwise on one vector.
//
//   exp(y)  = 2^k (1 + p)             k = round(y / ln 2), p = expm1(y - k ln 2)
//   sigmoid = 1 / (1 + exp(-x))
//   tanh    = sign(x) E / (E + 1)     E = expm1(2|x|) / 2: no cancellation near 0
//
// expm1(f) on |f| <= ln(2)/2 is f + f^2 Q(f), Q fitted in the Chebyshev sense; relative error of the polynomial
// 2.3e-8 in float32 (degree 6) and 3.7e-17 in float64 (degree 11). docs/numerics.md states the error of the whole
// functions and tests/test_core.py repeats it. NaN is propagated: `smaller` and `larger` return their second
// operand if one of the two is NaN.
//
// A recurrence waits for these functions at every step, so their latency matters as well as their number of
// instructions: the polynomial is summed in pairs (Estrin), and signs and factors of two are folded into constants.
#pragma once

#include "kernels/simd.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float log2e = 1.44269504088896341f;
    static constexpr float ln2 = 0.69314718055994530942f;
    static constexpr float ln2_high = 0.693145751953125f;  // 16 bits, so that k * ln2_high is exact
    static constexpr float ln2_low = 1.42860682030941723e-6f;
    static constexpr int mantissa = 23, bias = 127;
    static constexpr float sigmoid_limit = 87.0f;  // exp(87) is finite, and 1 / exp(87) a normal number
    static constexpr float tanh_limit = 10.0f;     // tanh(10) rounds to 1
    static constexpr int terms = 5;
    static constexpr float q[terms] = {0.5f, 0.16666576989698775683f, 0.041666554617204574203f,
                                       0.0083631790527225773704f, 0.0013926183587713494542f};
};

template <>
struct ExpConstants<double> {
    static constexpr double log2e = 1.44269504088896340736;
    static constexpr double ln2 = 0.69314718055994530942;
    static constexpr double ln2_high = 0.693147180369123816490;  // 33 bits
    static constexpr double ln2_low = 1.90821492927058770002e-10;
    static constexpr int mantissa = 52, bias = 1023;
    static constexpr double sigmoid_limit = 708.0;
    static constexpr double tanh_limit = 20.0;
    static constexpr int terms = 10;
    static constexpr double q[terms] = {
        0.50000000000000010221,   0.16666666666666667453,    0.041666666666624127873,    0.0083333333333300618325,
        0.0013888888917213716901, 0.00019841269863053616878, 0.000024801521295954375131, 2.7557268459997064772e-6,
        2.7620088445409748161e-7, 2.5100385495510319078e-8};
};

// Q(S g) S, the polynomial that belongs to a g that is f / S: coefficients q[i] S^(i + 1).
template <class T, int S>
constexpr T coefficient(int i) {
    T value = ExpConstants<T>::q[i];
    for (; i >= 0; --i) value *= T(S);
    return value;
}

// Terms [begin, begin + count) of that polynomial, halved until pairs are left.
template <class T, int S, int begin, int count>
FASTGRU_INLINE Vec<T> polynomial(Vec<T> g, Vec<T> g2, Vec<T> g4, Vec<T> g8) {
    if constexpr (count == 1) {
        return broadcast(coefficient<T, S>(begin));
    } else {
        constexpr int low = count > 8 ? 8 : count > 4 ? 4 : count > 2 ? 2 : 1;
        const Vec<T> power = low == 8 ? g8 : low == 4 ? g4 : low == 2 ? g2 : g;
        return fma(polynomial<T, S, begin + low, count - low>(g, g2, g4, g8), power,
                   polynomial<T, S, begin, low>(g, g2, g4, g8));
    }
}

// exp(S x) = 2^k (1 + S m), |x| within the exponent range; S is -1 or 2. `scale` is 2^k with the sign of S.
template <class T>
struct ScaledExp {
    Vec<T> scale, m;
};

template <int S, class T>
FASTGRU_INLINE ScaledExp<T> scaled_exp(Vec<T> x) {
    using C = ExpConstants<T>;
    // Adding 1.5 * 2^mantissa rounds to an integer. Adding the bias to it, and a bit where the sign will be, makes
    // the low bits those of the scale.
    constexpr T magic = T(int64_t(3) << (C::mantissa - 1)) + T(C::bias + (S < 0 ? 2 * (C::bias + 1) : 0));
    const Vec<T> shifted = fma(x, broadcast(S * C::log2e), broadcast(magic));
    const Vec<T> k = shifted - broadcast(magic);
    // What one constant lacks of ln 2 tells only in large exponentials; and there tanh is 1 in any case.
    Vec<T> g = fma(k, broadcast(-(S < 0 ? C::ln2_high : C::ln2) / S), x);
    if constexpr (S < 0) g = fma(k, broadcast(-C::ln2_low / S), g);
    const Vec<T> g2 = g * g, g4 = g2 * g2, g8 = g4 * g4;
    return {(Vec<T>)((Bits<T>)shifted << C::mantissa), fma(polynomial<T, S, 0, C::terms>(g, g2, g4, g8), g2, g)};
}

// Below the limit a sigmoid is 0, as it must be for -inf: a gate that stays open by 1e-38 would let an infinite
// state through as infinity, where torch gives NaN.
template <class T>
FASTGRU_INLINE Vec<T> sigmoid(Vec<T> x) {
    const Vec<T> one = broadcast(T(1)), limit = broadcast(ExpConstants<T>::sigmoid_limit);
    const ScaledExp<T> e = scaled_exp<-1, T>(larger(-limit, smaller(limit, x)));
    const Vec<T> one_plus_exp = fma(e.scale, e.m, one - e.scale);  // 1 + 2^k is exact unless it hardly matters
    return x < -limit ? Vec<T>{} : one / one_plus_exp;
}

template <class T>
FASTGRU_INLINE Vec<T> tanh(Vec<T> x) {
    const Bits<T> sign_bit = (Bits<T>)broadcast(T(-0.0));
    const Vec<T> one = broadcast(T(1)), half = broadcast(T(0.5)), limit = broadcast(ExpConstants<T>::tanh_limit);
    const ScaledExp<T> e = scaled_exp<2, T>(smaller(limit, (Vec<T>)((Bits<T>)x & ~sign_bit)));
    const Vec<T> half_expm1 = fma(e.scale, e.m, fma(e.scale, half, -half));
    return (Vec<T>)((Bits<T>)(half_expm1 / (half_expm1 + one)) | ((Bits<T>)x & sign_bit));
}

}  // namespace fastgru::FASTGRU_LEVEL
