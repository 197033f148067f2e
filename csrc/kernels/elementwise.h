// Functions of one value and operations on two, over vectors of any length: each value by itself, so that its bits
// depend on nothing else.
#pragma once

#include "kernels/math_functions.h"
#include "shared/row_kernels.h"

namespace fastgru::FASTGRU_LEVEL {

// y[i] = function(x[i]) for n values; y may be x.
template <class T, class Apply>
FASTGRU_INLINE void map_values(const T* x, T* y, ptrdiff_t n, Apply apply) {
    constexpr int L = kLanes<T>;
    ptrdiff_t i = 0;
    for (; i + L <= n; i += L) store(y + i, apply(load(x + i)));
    if (i < n) store_first(y + i, apply(load_first(x + i, int(n - i))), int(n - i));
}

// ---- pieces of straight lines

template <class T>
FASTGRU_INLINE Vec<T> clipped(Vec<T> x, T least, T most) {
    return smaller(broadcast(most), larger(broadcast(least), x));
}
template <class T>
FASTGRU_INLINE Vec<T> hard_sigmoid(Vec<T> x, T a, T b) {
    return clipped<T>(fma(x, broadcast(a), broadcast(b)), T(0), T(1));
}

// False where the function is none of these.
template <class T>
FASTGRU_INLINE bool map_lines(const Activation& activation, const T* x, T* y, ptrdiff_t n) {
    const T a = T(activation.a), b = T(activation.b);
    const auto map = [&](auto apply) FASTGRU_INLINED { return map_values(x, y, n, apply), true; };
    switch (activation.function) {
        case Function::none:
            return map([](Vec<T> v) FASTGRU_INLINED { return v; });
        case Function::relu:
            return map([](Vec<T> v) FASTGRU_INLINED { return larger(Vec<T>{}, v); });
        case Function::leaky_relu:
            return map([a](Vec<T> v) FASTGRU_INLINED { return v > Vec<T>{} ? v : v * broadcast(a); });
        case Function::hard_sigmoid:
            return map([a, b](Vec<T> v) FASTGRU_INLINED { return hard_sigmoid<T>(v, a, b); });
        case Function::hard_swish:
            return map([](Vec<T> v) FASTGRU_INLINED { return v * hard_sigmoid<T>(v, T(1) / T(6), T(0.5)); });
        case Function::clip:
            return map([a, b](Vec<T> v) FASTGRU_INLINED { return clipped<T>(v, a, b); });
        case Function::abs:
            return map([](Vec<T> v) FASTGRU_INLINED { return absolute<T>(v); });
        case Function::negate:
            return map([](Vec<T> v) FASTGRU_INLINED { return -v; });
        default:
            return false;
    }
}

// ---- curves without a polynomial of their own

template <class T>
FASTGRU_INLINE Vec<T> gelu(Vec<T> x) {
    const Vec<T> half = x * broadcast(T(0.5));
    return fma(half, error_function<T>(x * broadcast(T(0.70710678118654752440))), half);
}
template <class T>
FASTGRU_INLINE Vec<T> gelu_tanh(Vec<T> x) {
    const Vec<T> half = x * broadcast(T(0.5));
    const Vec<T> inner = fma(x * x * x, broadcast(T(0.044715)), x) * broadcast(T(0.79788456080286535588));
    return fma(half, tanh<T>(inner), half);
}
// log(1 + exp(a x)) / a, of which log(1 + exp(v)) = max(0, v) + log(1 + exp(-|v|))
template <class T>
FASTGRU_INLINE Vec<T> softplus(Vec<T> x, T a, T most) {
    const Vec<T> v = x * broadcast(a);
    const Vec<T> sum = larger(Vec<T>{}, v) + log1p_of_fraction<T>(exponential<T>(-absolute<T>(v)));
    return v > broadcast(most) ? x : sum / broadcast(a);
}
template <class T>
FASTGRU_INLINE Vec<T> elu(Vec<T> x, T a) {
    return x > Vec<T>{} ? x : expm1_of_negative<T>(smaller(Vec<T>{}, x)) * broadcast(a);
}
template <class T>
FASTGRU_INLINE Vec<T> selu(Vec<T> x) {
    return elu<T>(x, T(1.6732632423543772848)) * broadcast(T(1.0507009873554804934));
}

template <class T>
FASTGRU_INLINE bool map_sigmoids(const Activation& activation, const T* x, T* y, ptrdiff_t n) {
    const T a = T(activation.a), b = T(activation.b);
    const auto map = [&](auto apply) FASTGRU_INLINED { return map_values(x, y, n, apply), true; };
    switch (activation.function) {
        case Function::sigmoid:
            return map([](Vec<T> v) FASTGRU_INLINED { return sigmoid<T>(v); });
        case Function::tanh:
            return map([](Vec<T> v) FASTGRU_INLINED { return tanh<T>(v); });
        case Function::silu:
            return map([](Vec<T> v) FASTGRU_INLINED { return v * sigmoid<T>(v); });
        case Function::gelu:
            return map([](Vec<T> v) FASTGRU_INLINED { return gelu<T>(v); });
        case Function::gelu_tanh:
            return map([](Vec<T> v) FASTGRU_INLINED { return gelu_tanh<T>(v); });
        case Function::elu:
            return map([a](Vec<T> v) FASTGRU_INLINED { return elu<T>(v, a); });
        case Function::selu:
            return map([](Vec<T> v) FASTGRU_INLINED { return selu<T>(v); });
        case Function::softplus:
            return map([a, b](Vec<T> v) FASTGRU_INLINED { return softplus<T>(v, a, b); });
        case Function::softsign:
            return map([](Vec<T> v) FASTGRU_INLINED { return v / (absolute<T>(v) + broadcast(T(1))); });
        default:
            return false;
    }
}

// RowKernels::activate
template <class T>
FASTGRU_TILE void activate(const Activation& activation, const T* x, T* y, ptrdiff_t n) {
    if (map_lines(activation, x, y, n) || map_sigmoids(activation, x, y, n)) return;
    switch (activation.function) {
        case Function::exp:
            return map_values(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return exponential<T>(v); });
        case Function::log:
            return map_values(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return logarithm<T>(v); });
        case Function::erf:
            return map_values(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return error_function<T>(v); });
        default:
            return map_values(x, y, n, [](Vec<T> v) FASTGRU_INLINED { return square_root(v); });
    }
}

// ---- two values

template <class T, class Apply>
FASTGRU_INLINE void map_pairs(const Operand<T>& left, const Operand<T>& right, T* y, ptrdiff_t n, Apply apply) {
    constexpr int L = kLanes<T>;
    const Vec<T> of_left = left.is_value ? broadcast(*left.data) : Vec<T>{};
    const Vec<T> of_right = right.is_value ? broadcast(*right.data) : Vec<T>{};
    for (ptrdiff_t i = 0; i < n; i += L) {
        const int lanes = int(min(L, n - i));
        const Vec<T> a = left.is_value ? of_left : load_upto(left.data + i, lanes);
        const Vec<T> b = right.is_value ? of_right : load_upto(right.data + i, lanes);
        store_upto(y + i, apply(a, b), lanes);
    }
}

// RowKernels::combine
template <class T>
void combine(Operation operation, const Operand<T>& left, const Operand<T>& right, T* y, ptrdiff_t n) {
    if (n == 0) return;
    const auto map = [&](auto apply) FASTGRU_INLINED { map_pairs(left, right, y, n, apply); };
    switch (operation) {
        case Operation::add:
            return map([](Vec<T> a, Vec<T> b) FASTGRU_INLINED { return a + b; });
        case Operation::subtract:
            return map([](Vec<T> a, Vec<T> b) FASTGRU_INLINED { return a - b; });
        case Operation::multiply:
            return map([](Vec<T> a, Vec<T> b) FASTGRU_INLINED { return a * b; });
        default:
            return map([](Vec<T> a, Vec<T> b) FASTGRU_INLINED { return a / b; });
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
