// exp, log and erf, elementwise on one vector, and what is close to them. Their errors are below 2 units in the
// last place (docs/numerics.md, tests/test_rows_functions.py); NaN is propagated, and infinities and subnormal
// numbers give what they should. All levels with fused multiply-adds round alike, for there is nothing here but
// correctly rounded operations.
//
//   exp(x)  = 2^k (1 + p)          k = round(x / ln 2), p = expm1(x - k ln 2), as in activations.h
//   log(x)  = k ln 2 + log(1 + f)  x = 2^k (1 + f), 1 + f in [sqrt 1/2, sqrt 2)
//             log(1 + f) = f - f^2/2 + s (f^2/2 + R(s^2))   s = f / (2 + f), as log((1 + s) / (1 - s)) is a series
//             in s
//   erf(x)  = x + x P(x^2)         |x| < 1
//             sign(x) (1 - exp(-x^2) T(u))   else, T(u) = exp(x^2) erfc(|x|), u = (|x| - 2) / (|x| + 2)
//
// The polynomials are fitted in the Chebyshev sense; relative errors of R s / 2, P and of T exp(-x^2), which is
// subtracted from 1: 4e-9, 2e-9, 3e-11 in float32 and 3e-19, 2e-19, 2e-20 in float64.
#pragma once

#include "kernels/activations.h"

namespace fastgru::FASTGRU_LEVEL {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
    // exp is 0 below the first and infinite above the second.
    static constexpr float least_exponent = -105.0f, most_exponent = 90.0f;
    static constexpr float smallest_normal = 1.17549435e-38f, to_normal = 16777216.0f, to_normal_exponent = 24;
    static constexpr int32_t below_one = 0x3F800000 - 0x3F3504F3;  // bits of 1 less those of the root of 1/2
    static constexpr float r[] = {0.6666694707f, 0.3995719555f, 0.303817076f};
    static constexpr float erf_limit = 4.0f;  // where it rounds to 1
    static constexpr float p[] = {0.1283791659f,   -0.3761262714f,    0.1128360021f,  -0.02685444558f,
                                  0.005189536462f, -0.0008020845698f, 7.889119157e-5f};
    static constexpr float t[] = {0.2553956768f,   -0.4271858751f, 0.2416574588f,   -0.07898137216f,
                                  0.003767264203f, 0.00731653325f, 0.0001039344443f};
};

template <>
struct MathConstants<double> {
    static constexpr double least_exponent = -750.0, most_exponent = 711.0;
    static constexpr double smallest_normal = 2.2250738585072014e-308, to_normal = 18014398509481984.0,
                            to_normal_exponent = 54;
    static constexpr int64_t below_one = 0x3FF0000000000000 - 0x3FE6A09E667F3BCD;
    static constexpr double r[] = {0.6666666666666662465,  0.40000000000044600926, 0.28571428557587252528,
                                   0.22222224181014023834, 0.18181669359450342466, 0.15391079048260308492,
                                   0.13173135314949697559, 0.13851474073993950196};
    static constexpr double erf_limit = 6.0;
    static constexpr double p[] = {
        0.12837916709551257377,    -0.37612638903183748178,     0.11283791670954884473,
        -0.026866170645077875148,  0.0052239776248284306696,    -0.00085483269814255420875,
        0.00012055331132955819588, -0.000014925595772180905342, 1.6461008477802701324e-6,
        -1.6350396222864616262e-7, 1.4660328722742259544e-8,    -1.1374955736070149599e-9,
        5.9606853385209710332e-11};
    static constexpr double t[] = {
        0.25539567631050574395,     -0.42718584741395835827,    0.24165819424246677449,
        -0.078978581015748395635,   0.0037328924041148671013,   0.0069974617401774601968,
        -0.00084714322576233620307, -0.00098197697305229242632, 0.000043554707421614342489,
        0.00017435646272468954656,  0.000027531694908098694347, -0.000027487416508175030999,
        -0.00001382558292106029016, 9.4643112141173354143e-7,   2.2150604200666235037e-6};
};

template <class T>
FASTGRU_INLINE Vec<T> absolute(Vec<T> x) {
    return (Vec<T>)((Bits<T>)x & ~(Bits<T>)broadcast(T(-0.0)));
}
// With the sign of another.
template <class T>
FASTGRU_INLINE Vec<T> signed_like(Vec<T> x, Vec<T> sign) {
    const Bits<T> bit = (Bits<T>)broadcast(T(-0.0));
    return (Vec<T>)(((Bits<T>)x & ~bit) | ((Bits<T>)sign & bit));
}

// c[0] + c[1] x + ...
template <class T, int N, int I = 0>
FASTGRU_INLINE Vec<T> horner(const T (&c)[N], Vec<T> x) {
    if constexpr (I == N - 1)
        return broadcast(c[I]);
    else
        return fma(horner<T, N, I + 1>(c, x), x, broadcast(c[I]));
}

// Rounds to an integer by adding it: |x| below 2^(mantissa - 1).
template <class T>
constexpr T kRounder = T(int64_t(3) << (ExpConstants<T>::mantissa - 1));
// 2^n for integers n in the range of exponents.
template <class T>
FASTGRU_INLINE Vec<T> two_to(Vec<T> n) {
    using C = ExpConstants<T>;
    return (Vec<T>)((Bits<T>)(n + broadcast(kRounder<T> + T(C::bias))) << C::mantissa);
}

// exp(x) = 2^k (1 + p)
template <class T>
struct PartsOfExp {
    Vec<T> k, p;
};
template <class T>
FASTGRU_INLINE PartsOfExp<T> parts_of_exp(Vec<T> x) {
    using C = ExpConstants<T>;
    const Vec<T> k = fma(x, broadcast(C::log2e), broadcast(kRounder<T>)) - broadcast(kRounder<T>);
    const Vec<T> f = fma(k, broadcast(-C::ln2_low), fma(k, broadcast(-C::ln2_high), x));
    return {k, fma(horner<T>(C::q, f), f * f, f)};
}

template <class T>
FASTGRU_INLINE Vec<T> exponential(Vec<T> x) {
    using M = MathConstants<T>;
    const PartsOfExp<T> e =
        parts_of_exp<T>(larger(broadcast(M::least_exponent), smaller(broadcast(M::most_exponent), x)));
    // In two factors: 2^k itself may be no normal number. The first product is exact.
    const Vec<T> half = fma(e.k, broadcast(T(0.5)), broadcast(kRounder<T>)) - broadcast(kRounder<T>);
    return (e.p + broadcast(T(1))) * two_to<T>(half) * two_to<T>(e.k - half);
}

// exp(x) - 1 for x <= 0.
template <class T>
FASTGRU_INLINE Vec<T> expm1_of_negative(Vec<T> x) {
    const PartsOfExp<T> e = parts_of_exp<T>(larger(broadcast(T(-80)), x));
    const Vec<T> scale = two_to<T>(e.k);
    return fma(scale, e.p, scale - broadcast(T(1)));
}

// k ln 2 + log(1 + f)
template <class T>
FASTGRU_INLINE Vec<T> sum_of_logs(Vec<T> k, Vec<T> f) {
    using C = ExpConstants<T>;
    const Vec<T> s = f / (f + broadcast(T(2))), z = s * s;
    const Vec<T> half_square = f * f * broadcast(T(0.5));
    const Vec<T> small = fma(s, fma(horner<T>(MathConstants<T>::r, z), z, half_square), k * broadcast(C::ln2_low));
    return fma(k, broadcast(C::ln2_high), f - (half_square - small));
}

template <class T>
FASTGRU_INLINE Vec<T> logarithm(Vec<T> x) {
    using C = ExpConstants<T>;
    using M = MathConstants<T>;
    const Bits<T> one = (Bits<T>)broadcast(T(1));
    const auto is_subnormal = x < broadcast(M::smallest_normal);
    const Bits<T> bits = (Bits<T>)(is_subnormal ? x * broadcast(M::to_normal) : x);
    const Bits<T> exponent = (bits + M::below_one) >> C::mantissa;  // of numbers above 0
    // An integer below 2^mantissa becomes a number by standing in the mantissa.
    constexpr T base = T(int64_t(1) << C::mantissa);
    Vec<T> k = (Vec<T>)(exponent | (Bits<T>)broadcast(base)) - broadcast(base + T(C::bias));
    k = is_subnormal ? k - broadcast(T(M::to_normal_exponent)) : k;
    const Vec<T> m = (Vec<T>)(bits - (exponent << C::mantissa) + one);
    const Vec<T> infinity = broadcast(T(__builtin_inf()));
    Vec<T> y = sum_of_logs<T>(k, m - broadcast(T(1)));
    y = x == Vec<T>{} ? -infinity : y;
    y = x < Vec<T>{} ? broadcast(T(__builtin_nan(""))) : y;
    return x < infinity ? y : x;  // infinity and NaN as they are
}

// log(1 + y) for y in [0, 1].
template <class T>
FASTGRU_INLINE Vec<T> log1p_of_fraction(Vec<T> y) {
    const Vec<T> half = broadcast(T(0.5)), one = broadcast(T(1));
    const auto is_large = y >= half;
    return sum_of_logs<T>(is_large ? one : Vec<T>{}, is_large ? (y - one) * half : y);  // exact, both
}

template <class T>
FASTGRU_INLINE Vec<T> error_function(Vec<T> x) {
    using M = MathConstants<T>;
    const Vec<T> one = broadcast(T(1)), two = broadcast(T(2));
    const Vec<T> small = fma(x, horner<T>(M::p, x * x), x);
    const Vec<T> a = smaller(broadcast(M::erf_limit), absolute<T>(x));
    const Vec<T> large = one - exponential<T>(-(a * a)) * horner<T>(M::t, (a - two) / (a + two));
    return a < one ? small : signed_like<T>(large, x);
}

#if defined(__AVX512F__)
FASTGRU_INLINE Vec<float> square_root(Vec<float> x) {
    return (Vec<float>)_mm512_maskz_sqrt_ps(__mmask16(-1), (__m512)x);
}
FASTGRU_INLINE Vec<double> square_root(Vec<double> x) {
    return (Vec<double>)_mm512_maskz_sqrt_pd(__mmask8(-1), (__m512d)x);
}
#elif defined(__AVX2__)
FASTGRU_INLINE Vec<float> square_root(Vec<float> x) { return (Vec<float>)_mm256_sqrt_ps((__m256)x); }
FASTGRU_INLINE Vec<double> square_root(Vec<double> x) { return (Vec<double>)_mm256_sqrt_pd((__m256d)x); }
#elif defined(__ARM_NEON)
FASTGRU_INLINE Vec<float> square_root(Vec<float> x) { return (Vec<float>)vsqrtq_f32((float32x4_t)x); }
FASTGRU_INLINE Vec<double> square_root(Vec<double> x) { return (Vec<double>)vsqrtq_f64((float64x2_t)x); }
#else
FASTGRU_INLINE Vec<float> square_root(Vec<float> x) {
    for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
    return x;
}
FASTGRU_INLINE Vec<double> square_root(Vec<double> x) {
    for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_sqrt(x[i]);
    return x;
}
#endif

}  // namespace fastgru::FASTGRU_LEVEL
