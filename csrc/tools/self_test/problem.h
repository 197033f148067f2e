// Layers and batches by chance, with everything that a forward and a backward pass read and write. Every buffer has
// exactly the size that is promised, so that a byte too many shows.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <random>
#include <type_traits>
#include <vector>

#include "fastgru.h"
#include "tools/self_test/checks.h"

namespace fastgru {

inline std::mt19937 generator(7);

inline bool one_in(unsigned count) { return generator() % count == 0; }
inline ptrdiff_t pick(std::initializer_list<ptrdiff_t> values) {
    return values.begin()[generator() % values.size()];
}

template <class T>
std::vector<T> random_values(size_t count, double size = 1) {
    std::vector<T> values(count);
    for (T& value : values) value = T(size * (double(generator() % 20001) / 10000 - 1));
    return values;
}

template <class T>
T* data_or_null(std::vector<T>& values) {
    return values.empty() ? nullptr : values.data();
}

// A layer, a batch, and everything that a forward and a backward pass read.
template <class T>
struct Problem {
    Spec spec;
    std::vector<int64_t> batch_sizes, lengths;
    Batch batch;
    bool has_bias, has_h_0, recomputes, wants_input, batch_first;
    std::vector<unsigned char> marks;  // [T][B]; empty: no resets
    std::vector<T> reset_state;
    ptrdiff_t reset_stride;
    std::vector<std::vector<T>> parameters;  // four per cell
    std::vector<T> input, h_0, d_output, d_h_n;

    // Vectors of a sequence in memory: those of the flat rows, or all of the padded batch.
    ptrdiff_t slots() const { return batch_sizes.empty() ? batch.steps * batch.rows : batch.total(); }
    ptrdiff_t features() const { return spec.num_directions * spec.hidden_size; }
    size_t states() const { return size_t(spec.cells() * batch.rows * spec.hidden_size); }
    template <class V>
    auto sequence(V& values, ptrdiff_t width) const {
        return Sequence<std::remove_pointer_t<decltype(values.data())>>{
            .data = values.data(),
            .row_stride = batch_first ? batch.steps * width : width,
            .step_stride = batch_first ? width : batch.rows * width,
            .is_flat = !batch_sizes.empty(),
        };
    }
    Resets<T> resets() const {
        if (marks.empty()) return {};
        return {
            .marks = marks.data(),
            .step_stride = batch.rows,
            .row_stride = 1,
            .state = reset_state.empty() ? nullptr : reset_state.data(),
            .state_stride = reset_stride,
        };
    }
};

template <class T>
void choose_sizes(Problem<T>& p) {
    p.spec = {
        .input_size = pick({1, 3, 7, 40}),
        .hidden_size = pick({1, 5, 16, 17, 33, 100}),
        .num_layers = pick({1, 1, 2, 3}),
        .num_directions = pick({1, 2}),
        .reset_after = !one_in(3),
    };
    p.batch = {.steps = pick({1, 2, 5, 40}), .rows = pick({1, 2, 3, 6, 9, 33})};
    if (one_in(8)) {  // few rows and many steps: one thread goes through them, others work ahead
        p.spec.hidden_size = 100;
        p.batch = {.steps = 40, .rows = pick({1, 2, 5})};
    }
    if (!is_emulated) return;
    p.spec.hidden_size = std::min<ptrdiff_t>(p.spec.hidden_size, 33);
    p.batch.steps = std::min<ptrdiff_t>(p.batch.steps, 5);
    p.batch.rows = std::min<ptrdiff_t>(p.batch.rows, 9);
}

// How the sequences end: packed, by lengths, or all of them after the last step.
template <class T>
void choose_ends(Problem<T>& p) {
    if (one_in(3)) {
        p.batch_sizes.assign(size_t(p.batch.steps), p.batch.rows);
        for (size_t t = 1; t < p.batch_sizes.size(); ++t) {
            const int64_t before = p.batch_sizes[t - 1];
            p.batch_sizes[t] = one_in(4) ? 1 + int64_t(generator() % size_t(before)) : before;
        }
        p.batch.batch_sizes = p.batch_sizes.data();
    } else if (one_in(2)) {
        for (ptrdiff_t b = 0; b < p.batch.rows; ++b)
            p.lengths.push_back(one_in(8) ? 0 : int64_t(generator() % size_t(p.batch.steps + 1)));
        p.batch.lengths = p.lengths.data();
    }
    p.batch_first = p.batch_sizes.empty() && one_in(2);
}

template <class T>
void choose_resets(Problem<T>& p) {
    p.reset_stride = 0;
    if (!one_in(2)) return;
    for (ptrdiff_t i = 0; i < p.batch.steps * p.batch.rows; ++i) p.marks.push_back(one_in(4));
    p.reset_stride = pick({0, p.spec.hidden_size});
    const ptrdiff_t rows = p.reset_stride == 0 ? 1 : p.batch.rows;
    if (!one_in(3)) p.reset_state = random_values<T>(size_t(p.spec.cells() * rows * p.spec.hidden_size));
}

template <class T>
void choose_values(Problem<T>& p) {
    p.has_bias = !one_in(4);
    p.has_h_0 = !one_in(2);
    p.recomputes = !one_in(2);
    p.wants_input = !one_in(4);
    const size_t H = size_t(p.spec.hidden_size);
    for (ptrdiff_t cell = 0; cell < p.spec.cells(); ++cell) {
        const size_t width = size_t(p.spec.width(cell / p.spec.num_directions));
        for (const size_t count : {3 * H * width, 3 * H * H, 3 * H, 3 * H})
            p.parameters.push_back(random_values<T>(count, 0.3));
    }
    p.input = random_values<T>(size_t(p.slots() * p.spec.input_size));
    p.d_output = random_values<T>(size_t(p.slots() * p.features()));
    p.h_0 = random_values<T>(p.states());
    p.d_h_n = random_values<T>(p.states());
}

// The members point into each other, so it is filled where it stays.
template <class T>
void fill(Problem<T>& p) {
    choose_sizes(p);
    choose_ends(p);
    choose_resets(p);
    choose_values(p);
}

// Everything that the two passes write: output, h_n, d_input, d_h_0, d_reset, then four gradients per cell.
template <class T>
using Results = std::vector<std::vector<T>>;
constexpr size_t kFirstGradient = 5;

template <class T>
Results<T> empty_results(const Problem<T>& p) {
    Results<T> results;
    results.emplace_back(p.slots() * p.features());
    results.emplace_back(p.states());
    results.emplace_back(p.wants_input ? p.input.size() : 0);
    results.emplace_back(p.has_h_0 ? p.states() : 0);
    results.emplace_back(p.marks.empty() ? 0 : p.states());
    for (size_t i = 0; i < p.parameters.size(); ++i)
        results.emplace_back(p.has_bias || i % 4 < 2 ? p.parameters[i].size() : 0);
    return results;
}

}  // namespace fastgru
