// Numbers of 16 bits: calls on them, and how they are rounded.
#include <math.h>
#include <stdio.h>

#include "tools/self_test/by_the_core.h"
#include "tools/self_test/checks.h"

namespace fastgru {

namespace {

template <class S>
std::vector<S> rounded(const KernelTable& table, const std::vector<float>& values) {
    std::vector<S> to(values.size());
    kernels_of<S>(table).narrow(values.data(), to.data(), ptrdiff_t(values.size()));
    return to;
}

template <class S>
std::vector<float> all_widened(const KernelTable& table, const std::vector<S>& values) {
    std::vector<float> to(values.size());
    kernels_of<S>(table).widen(values.data(), to.data(), ptrdiff_t(values.size()));
    return to;
}

// The same problem in 16 bits; what it rounds is rounded in `wide` too.
template <class S>
void fill_from(Problem<float>& wide, const KernelTable& table, Problem<S>& p) {
    p.spec = wide.spec;
    p.batch_sizes = wide.batch_sizes, p.lengths = wide.lengths, p.batch = wide.batch;
    if (wide.batch.batch_sizes != nullptr) p.batch.batch_sizes = p.batch_sizes.data();
    if (wide.batch.lengths != nullptr) p.batch.lengths = p.lengths.data();
    p.has_bias = wide.has_bias, p.has_h_0 = wide.has_h_0, p.recomputes = wide.recomputes;
    p.wants_input = wide.wants_input, p.batch_first = wide.batch_first;
    p.marks = wide.marks, p.reset_stride = wide.reset_stride;
    const auto share = [&](std::vector<float>& from, std::vector<S>& to) {
        to = rounded<S>(table, from);
        from = all_widened(table, to);
    };
    share(wide.reset_state, p.reset_state);
    share(wide.input, p.input), share(wide.h_0, p.h_0);
    share(wide.d_output, p.d_output), share(wide.d_h_n, p.d_h_n);
    p.parameters.resize(wide.parameters.size());
    for (size_t i = 0; i < p.parameters.size(); ++i) share(wide.parameters[i], p.parameters[i]);
}

// Numbers of 16 bits give the rounded results of a call on float with the same numbers, bit for bit.
template <class S>
bool check_half() {
    Problem<float> wide;
    fill(wide);
    return at_every_level([&](const KernelTable& table) {
        Problem<S> p;
        fill_from(wide, table, p);
        const Results<float> wanted = by_the_core(wide, table, 1, false);
        for (const int threads : {1, 2}) {
            const Results<S> got = by_the_core(p, table, threads, threads == 2);
            for (size_t i = 0; i < got.size(); ++i) {
                if (all_widened(table, got[i]) == all_widened(table, rounded<S>(table, wanted[i]))) continue;
                printf("result %zu is not the rounded one at %s\n", i, table.name);
                return false;
            }
        }
        return true;
    });
}

// A number, the next one and their middle, and what stands next to it, are rounded to the nearest, of two the even
// one.
template <class S>
bool rounds_between(const HalfKernels<S>& kernels, size_t i) {
    const float one = widened(S{uint16_t(i)}), next = widened(S{uint16_t(i + 1)}), middle = one / 2 + next / 2;
    if (!isfinite(one) || !isfinite(next) || (i + 1) % (1 << 15) == 0) return true;
    const uint16_t even = uint16_t(i % 2 == 0 ? i : i + 1);
    const float from[] = {one, nextafterf(middle, one), middle, nextafterf(middle, next), next};
    const uint16_t to[] = {uint16_t(i), uint16_t(i), even, uint16_t(i + 1), uint16_t(i + 1)};
    S got[5];
    kernels.narrow(from, got, 5);
    for (int k = 0; k < 5; ++k)
        if (got[k].bits != to[k]) return printf("rounding %g to %x\n", double(from[k]), got[k].bits), false;
    return true;
}

template <class S>
bool rounds_what_has_no_neighbour(const HalfKernels<S>& kernels) {
    const float from[] = {INFINITY, -INFINITY, NAN, 3.4e38f};
    S got[4];
    kernels.narrow(from, got, 4);
    for (int k = 0; k < 4; ++k) {
        const float back = widened(got[k]);
        if (k == 2 ? !isnan(back) : back != (k == 1 ? -INFINITY : INFINITY))
            return printf("rounding %g gives %g\n", double(from[k]), double(back)), false;
    }
    return true;
}

// By kernels and one by one: all numbers that there are, and what lies between two of them.
template <class S>
bool check_rounding_of() {
    return at_every_level([](const KernelTable& table) {
        const HalfKernels<S>& kernels = kernels_of<S>(table);
        std::vector<S> all(1 << 16);
        for (size_t i = 0; i < all.size(); ++i) all[i].bits = uint16_t(i);
        const std::vector<float> wide = all_widened(table, all);
        for (size_t i = 0; i < all.size(); ++i) {
            const float one = widened(all[i]);
            if (one != wide[i] && !(isnan(one) && isnan(wide[i])))
                return printf("widening %zx at %s\n", i, table.name), false;
            if (!rounds_between(kernels, i)) return printf("at %s\n", table.name), false;
        }
        return rounds_what_has_no_neighbour(kernels) || (printf("at %s\n", table.name), false);
    });
}

}  // namespace

bool check_halves() { return check_half<BFloat16>() && check_half<Float16>(); }
bool check_rounding() { return check_rounding_of<BFloat16>() && check_rounding_of<Float16>(); }

}  // namespace fastgru
