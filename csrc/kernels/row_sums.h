// Softmax and normalization of vectors. Their sums have one order for all widths of vectors: 16 partial sums,
// number j over the elements j, j + 16, ..., each in order, then a fixed tree. A vector of L lanes holds L of the
// sums.
#pragma once

#include "kernels/elementwise.h"
#include "shared/row_kernels.h"

namespace fastgru::FASTGRU_LEVEL {

constexpr int kSums = 16;
template <class T>
constexpr int kSumVectors = kSums / kLanes<T>;

template <class T>
struct PartialSums {
    Vec<T> sum[kSumVectors<T>];
};

// With others in the lanes from `count` on.
template <class T>
FASTGRU_INLINE Vec<T> first_lanes(Vec<T> v, int count, Vec<T> other = Vec<T>{}) {
    Bits<T> lane;
    unroll<kLanes<T>>([&](auto i) FASTGRU_INLINED { lane[decltype(i)::value] = decltype(i)::value; });
    return lane < typename VectorOf<T>::lane_bits(count) ? v : other;
}

// visit(w, i, lanes) for the elements of a vector, sixteen by sixteen: those from i on belong to the partial sums
// of vector w; `lanes` of them are there, which may be none.
template <class T, class Visit>
FASTGRU_INLINE void for_sums(ptrdiff_t n, Visit visit) {
    constexpr int L = kLanes<T>;
    ptrdiff_t i = 0;
    for (; i + kSums <= n; i += kSums)
        unroll<kSumVectors<T>>([&](auto w) FASTGRU_INLINED { visit(w, i + w * L, Index<L>{}); });
    if (i < n)
        unroll<kSumVectors<T>>([&](auto w) FASTGRU_INLINED {
            const ptrdiff_t left = n - i - w * L;
            if (left > 0) visit(w, i + w * L, int(min(L, left)));
        });
}

// The sixteen as one.
template <class T, class Join>
FASTGRU_INLINE T joined(const PartialSums<T>& partial, Join join) {
    alignas(64) T part[kSums];
    unroll<kSumVectors<T>>([&](auto w) FASTGRU_INLINED { store(part + w * kLanes<T>, partial.sum[w]); });
    for (int half = kSums / 2; half > 0; half /= 2)
        for (int j = 0; j < half; ++j) part[j] = join(part[j], part[j + half]);
    return part[0];
}
template <class T>
FASTGRU_INLINE T total(const PartialSums<T>& partial) {
    return joined(partial, [](T a, T b) FASTGRU_INLINED { return a + b; });
}

template <class T>
FASTGRU_INLINE T largest(const T* x, ptrdiff_t n) {
    const Vec<T> least = broadcast(-T(__builtin_inf()));
    PartialSums<T> most;
    unroll<kSumVectors<T>>([&](auto w) FASTGRU_INLINED { most.sum[w] = least; });
    for_sums<T>(n, [&](auto w, ptrdiff_t i, auto lanes) FASTGRU_INLINED {
        most.sum[w] = larger(most.sum[w], first_lanes<T>(load_upto(x + i, lanes), lanes, least));
    });
    return joined(most, [](T a, T b) FASTGRU_INLINED { return a > b ? a : b; });
}

// exp(x - most) to y where `keeps`, and the sum of it.
template <bool keeps, class T>
FASTGRU_INLINE T sum_of_exps(const T* x, T* y, ptrdiff_t n, T most) {
    PartialSums<T> sums{};
    for_sums<T>(n, [&](auto w, ptrdiff_t i, auto lanes) FASTGRU_INLINED {
        const Vec<T> e = exponential<T>(load_upto(x + i, lanes) - broadcast(most));
        if constexpr (keeps) store_upto(y + i, e, lanes);
        sums.sum[w] += first_lanes<T>(e, lanes);
    });
    return total(sums);
}

// RowKernels::softmax. A NaN is lost among the largest, and comes back through its exponential.
template <class T>
void softmax(const T* x, T* y, ptrdiff_t n) {
    const T sum = sum_of_exps<true>(x, y, n, largest(x, n));
    map_values(y, y, n, [sum](Vec<T> v) FASTGRU_INLINED { return v / broadcast(sum); });
}

// RowKernels::log_softmax
template <class T>
void log_softmax(const T* x, T* y, ptrdiff_t n) {
    const T most = largest(x, n), sum = sum_of_exps<false, T>(x, nullptr, n, most);
    const Vec<T> log = logarithm<T>(broadcast(sum));
    map_values(x, y, n, [=](Vec<T> v) FASTGRU_INLINED { return (v - broadcast(most)) - log; });
}

template <class T>
FASTGRU_INLINE T sum_of(const T* x, ptrdiff_t n) {
    PartialSums<T> sums{};
    for_sums<T>(n,
                [&](auto w, ptrdiff_t i, auto lanes) FASTGRU_INLINED { sums.sum[w] += load_upto(x + i, lanes); });
    return total(sums);
}

template <class T>
struct Moments {
    T mean, variance;
};

// From a first mean, which is rounded: the deviations from it say by how much it is wrong. So the mean of equal
// values is that value.
template <class T>
FASTGRU_INLINE Moments<T> moments_of(const T* x, ptrdiff_t n) {
    const T count = T(n), first = sum_of(x, n) / count;
    PartialSums<T> deviations{}, squares{};
    for_sums<T>(n, [&](auto w, ptrdiff_t i, auto lanes) FASTGRU_INLINED {
        const Vec<T> d = first_lanes<T>(load_upto(x + i, lanes) - broadcast(first), lanes);
        deviations.sum[w] += d;
        squares.sum[w] = fma(d, d, squares.sum[w]);
    });
    const T off = total(deviations) / count, variance = total(squares) / count - off * off;
    return {first + off, variance < 0 ? T(0) : variance};
}

template <class T>
FASTGRU_INLINE void normalize_row(const Normalization<T>& call, const T* x, T* y, T mean, T scale) {
    constexpr int L = kLanes<T>;
    for (ptrdiff_t i = 0; i < call.width; i += L) {
        const int lanes = int(min(L, call.width - i));
        Vec<T> v = (load_upto(x + i, lanes) - broadcast(mean)) * broadcast(scale);
        if (call.weight != nullptr) {
            const Vec<T> bias = call.bias == nullptr ? Vec<T>{} : load_upto(call.bias + i, lanes);
            v = fma(v, load_upto(call.weight + i, lanes), bias);
        } else if (call.bias != nullptr) {
            v += load_upto(call.bias + i, lanes);
        }
        store_upto(y + i, v, lanes);
    }
}

// RowKernels::normalize
template <class T>
void normalize(const Normalization<T>& call, ptrdiff_t begin, ptrdiff_t end) {
    for (ptrdiff_t row = begin; row < end; ++row) {
        const T* x = call.input + row * call.input_stride;
        const auto [mean, variance] = moments_of(x, call.width);
        const T scale = (broadcast(T(1)) / square_root(broadcast(variance + T(call.eps))))[0];
        normalize_row(call, x, call.output + row * call.output_stride, mean, scale);
        if (call.mean != nullptr) call.mean[row] = mean;
        if (call.scale != nullptr) call.scale[row] = scale;
    }
}

}  // namespace fastgru::FASTGRU_LEVEL
