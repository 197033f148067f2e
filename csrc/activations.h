// Sigmoid and tanh, elementwise on one vector.
//
//   exp(x)   = 2^k * (1 + p)            k = round(x / ln 2), f = x - k ln 2, p = expm1(f)
//   sigmoid  = 1 / (1 + exp(-x))
//   tanh     = sign(x) * E / (E + 2)    E = expm1(2|x|) = 2^k * p + (2^k - 1): no cancellation near 0
//
// expm1 on |f| <= ln(2)/2 is f + f^2 * Q(f), Q fitted in the Chebyshev sense; relative error of the
// polynomial 2.3e-8 in float32 (degree 6) and 3.7e-17 in float64 (degree 11). docs/numerics.md states the
// error of the whole functions and tests/test_core.py repeats it. NaN goes through: each clamp compares so
// that an unordered operand is kept.
#pragma once

#include "simd.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
struct ExpConstants;

template <>
struct ExpConstants<float> {
    static constexpr float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
    static constexpr float log2e = 1.44269504088896341f;
    static constexpr float ln2_high = 0.693145751953125f;  // 16 bits, so that k * ln2_high is exact
    static constexpr float ln2_low = 1.42860682030941723e-6f;
    static constexpr int mantissa = 23;
    static constexpr float sigmoid_limit = 87.0f;  // exp(87) is finite, and 1 / exp(87) a normal number
    static constexpr float tanh_limit = 10.0f;     // tanh(10) rounds to 1
    static constexpr float shared_limit = 60.0f;   // (exp(20) + 1)(exp(60) + 1) is finite
    static constexpr int terms = 5;
    static constexpr float q[terms] = {0.5f, 0.16666576989698775683f, 0.041666554617204574203f,
                                       0.0083631790527225773704f, 0.0013926183587713494542f};
};

template <>
struct ExpConstants<double> {
    static constexpr double magic = 6755399441055744.0;  // 1.5 * 2^52
    static constexpr double log2e = 1.44269504088896340736;
    static constexpr double ln2_high = 0.693147180369123816490;  // 33 bits
    static constexpr double ln2_low = 1.90821492927058770002e-10;
    static constexpr int mantissa = 52;
    static constexpr double sigmoid_limit = 708.0;
    static constexpr double tanh_limit = 20.0;
    static constexpr double shared_limit = 600.0;
    static constexpr int terms = 10;
    static constexpr double q[terms] = {
        0.50000000000000010221,   0.16666666666666667453,    0.041666666666624127873,    0.0083333333333300618325,
        0.0013888888917213716901, 0.00019841269863053616878, 0.000024801521295954375131, 2.7557268459997064772e-6,
        2.7620088445409748161e-7, 2.5100385495510319078e-8};
};

// 2^k and p = expm1(x - k ln 2), for finite |x| within the exponent range.
template <class T>
struct ScaledExp {
    Vec<T> scale, p;
};

template <class T>
FASTGRU_INLINE ScaledExp<T> scaled_exp(Vec<T> x) {
    using C = ExpConstants<T>;
    const Vec<T> shifted = fma(x, broadcast(C::log2e), broadcast(C::magic));
    const Vec<T> k = shifted - broadcast(C::magic);
    Vec<T> f = fma(k, broadcast(-C::ln2_high), x);
    f = fma(k, broadcast(-C::ln2_low), f);
    Vec<T> q = broadcast(C::q[C::terms - 1]);
    unroll<C::terms - 1>([&](auto i) FASTGRU_INLINED {
        constexpr int term = C::terms - 2 - decltype(i)::value;
        q = fma(q, f, broadcast(C::q[term]));
    });
    const Vec<T> p = fma(f * f, q, f);
    const Bits<T> one = (Bits<T>)broadcast(T(1));
    const Vec<T> scale = (Vec<T>)(((Bits<T>)shifted << C::mantissa) + one);
    return {scale, p};
}

template <class T>
FASTGRU_INLINE Vec<T> exp(Vec<T> x) {
    const ScaledExp<T> e = scaled_exp<T>(x);
    return fma(e.p, e.scale, e.scale);
}

template <class T>
FASTGRU_INLINE Vec<T> expm1(Vec<T> x) {
    const ScaledExp<T> e = scaled_exp<T>(x);
    return fma(e.p, e.scale, e.scale - broadcast(T(1)));
}

// x within [-limit, limit]; NaN stays NaN, because both comparisons are false for it.
template <class T>
FASTGRU_INLINE Vec<T> clamp(Vec<T> x, T limit) {
    const Vec<T> high = broadcast(limit), low = broadcast(-limit);
    x = x > high ? high : x;
    return x < low ? low : x;
}

// Below the limit a sigmoid is 0, as it must be for -inf: a gate that stays open by 1e-27 would let an infinite
// state through as infinity, where torch gives NaN.
template <class T>
FASTGRU_INLINE Vec<T> zero_below(Vec<T> x, T limit, Vec<T> y) {
    return x < broadcast(limit) ? Vec<T>{} : y;
}

template <class T>
FASTGRU_INLINE Vec<T> sigmoid(Vec<T> x) {
    constexpr T limit = ExpConstants<T>::sigmoid_limit;
    const Vec<T> one = broadcast(T(1));
    return zero_below<T>(x, -limit, one / (one + exp<T>(-clamp<T>(x, limit))));
}

// tanh as a fraction E / (E + 2) of |x|, and the sign bits to put back.
template <class T>
struct TanhFraction {
    Vec<T> numerator, denominator;
    Bits<T> sign;
};

template <class T>
FASTGRU_INLINE TanhFraction<T> tanh_fraction(Vec<T> x) {
    const Bits<T> sign_mask = (Bits<T>)broadcast(T(-0.0));
    const Bits<T> sign = (Bits<T>)x & sign_mask;
    const Vec<T> size = clamp<T>((Vec<T>)((Bits<T>)x & ~sign_mask), ExpConstants<T>::tanh_limit);
    const Vec<T> e = expm1<T>(size + size);
    return {e, e + broadcast(T(2)), sign};
}

template <class T>
FASTGRU_INLINE Vec<T> tanh(Vec<T> x) {
    const TanhFraction<T> t = tanh_fraction<T>(x);
    return (Vec<T>)((Bits<T>)(t.numerator / t.denominator) | t.sign);
}

// z = sigmoid(a_z) and n = tanh(a_n) with one division between them. The limit on a_z is closer than in `sigmoid`,
// to keep the common denominator finite: z below exp(-60) (float32) is 0.
template <class T>
FASTGRU_INLINE void sigmoid_and_tanh(Vec<T> a_z, Vec<T> a_n, Vec<T>& z, Vec<T>& n) {
    constexpr T limit = ExpConstants<T>::shared_limit;
    const TanhFraction<T> t = tanh_fraction<T>(a_n);
    const Vec<T> s = broadcast(T(1)) + exp<T>(-clamp<T>(a_z, limit));
    const Vec<T> inverse = broadcast(T(1)) / (t.denominator * s);
    z = zero_below<T>(a_z, -limit, inverse * t.denominator);
    n = (Vec<T>)((Bits<T>)(t.numerator * (inverse * s)) | t.sign);  // E * inverse alone could underflow
}

}  // namespace fastgru::FASTGRU_LEVEL
