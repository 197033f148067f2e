// What the processor itself can do at one instruction-set level, for comparing the kernels with: multiply-adds out
// of registers, and reading. Both return what they counted on the way, so that nothing of it can be optimised away.
#pragma once

#include "kernels/simd.h"
#include "shared/integer_math.h"

namespace fastgru::FASTGRU_LEVEL {

// Independent sums, enough to hide the latency of every adder there is; the rest of the registers hold operands.
constexpr int kChains = kRegisters * 3 / 4;
constexpr int kReaders = 8;

template <class T, int N>
double total(const Vec<T> (&sums)[N]) {
    double result = 0;
    for (int i = 0; i < N; ++i)
        for (int lane = 0; lane < kLanes<T>; ++lane) result += double(sums[i][lane]);
    return result;
}

// Returns how many multiply-adds it did, exactly for up to 2^24 rounds; `one` is 1, which the compiler must not
// know.
template <class T>
double fma_chains(T one, ptrdiff_t rounds) {
    Vec<T> sums[kChains];
    // Different starts, which add up to 0: equal chains would be merged into one.
    for (int i = 0; i < kChains; ++i) sums[i] = broadcast(T(2 * i - (kChains - 1)));
    const Vec<T> ones = broadcast(one);
    for (ptrdiff_t round = 0; round < rounds; ++round)
        unroll<kChains>([&](auto i) FASTGRU_INLINED { sums[i] = fma(sums[i], ones, ones); });
    return total<T>(sums);
}

// The sum of n values, read `repeats` times.
template <class T>
double read_all(const T* values, ptrdiff_t n, ptrdiff_t repeats) {
    constexpr ptrdiff_t group = kReaders * kLanes<T>;
    Vec<T> sums[kReaders] = {};
    for (; repeats > 0; --repeats) {
        ptrdiff_t at = 0;
        for (; at + group <= n; at += group)
            unroll<kReaders>([&](auto i) FASTGRU_INLINED { sums[i] += load(values + at + i * kLanes<T>); });
        for (; at < n; at += kLanes<T>) sums[0] += load_upto(values + at, int(min(kLanes<T>, n - at)));
    }
    return total<T>(sums);
}

}  // namespace fastgru::FASTGRU_LEVEL
