// The results of a problem by the equations of docs/equations.md, one number at a time, in double precision.
#pragma once

#include <math.h>

#include <algorithm>
#include <vector>

#include "tools/self_test/problem.h"

namespace fastgru {

// Which sequences are alive at each step, and where their vectors lie.
template <class T>
class BookRows {
  public:
    struct Row {
        ptrdiff_t slot, before;  // of the vectors in memory; before: -1 where it is the first
        ptrdiff_t b;
        bool starts_anew;  // by a reset
    };

    explicit BookRows(const Problem<T>& problem) : p(problem) {
        for (ptrdiff_t t = 0; t < steps; ++t)
            first[size_t(t) + 1] = first[size_t(t)] + (p.batch_sizes.empty() ? B : p.batch_sizes[size_t(t)]);
    }

    // Visits the rows of a direction in the order of its steps.
    template <class Visit>
    void visit_all(ptrdiff_t d, bool is_backward, const Visit& visit) const {
        for (ptrdiff_t i = 0; i < steps; ++i) {
            const ptrdiff_t s = is_backward ? steps - 1 - i : i, t = d == 0 ? s : steps - 1 - s;
            for (ptrdiff_t b = 0; b < B; ++b)
                if (is_alive(t, b)) visit(row(d, t, b));
        }
    }

  private:
    const Problem<T>& p;
    const ptrdiff_t steps = p.batch.steps, B = p.batch.rows;
    std::vector<ptrdiff_t> first = std::vector<ptrdiff_t>(size_t(steps) + 1);

    bool is_alive(ptrdiff_t t, ptrdiff_t b) const;
    ptrdiff_t slot(ptrdiff_t t, ptrdiff_t b) const { return p.batch_first ? b * steps + t : first[size_t(t)] + b; }
    Row row(ptrdiff_t d, ptrdiff_t t, ptrdiff_t b) const;
};

template <class T>
bool BookRows<T>::is_alive(ptrdiff_t t, ptrdiff_t b) const {
    if (t < 0 || t >= steps) return false;
    return p.lengths.empty() ? b < first[size_t(t) + 1] - first[size_t(t)] : t < p.lengths[size_t(b)];
}

template <class T>
typename BookRows<T>::Row BookRows<T>::row(ptrdiff_t d, ptrdiff_t t, ptrdiff_t b) const {
    const ptrdiff_t before = d == 0 ? t - 1 : t + 1;
    // Where a reset may stand between this step and the one processed before it.
    const ptrdiff_t border = d == 0 ? t : t + 1;
    return {
        .slot = slot(t, b),
        .before = is_alive(before, b) ? slot(before, b) : -1,
        .b = b,
        .starts_anew = !p.marks.empty() && is_alive(border, b) && p.marks[size_t(border * B + b)] != 0,
    };
}

template <class T>
class Book {
  public:
    explicit Book(const Problem<T>& problem);

    const Results<double>& all() const { return results; }

  private:
    using Values = std::vector<double>;
    using Row = typename BookRows<T>::Row;
    struct Gates {
        double r, z, n, a_n, c_n, h;
    };

    const Problem<T>& p;
    const BookRows<T> rows{p};
    const ptrdiff_t H = p.spec.hidden_size, D = p.spec.num_directions, B = p.batch.rows;
    std::vector<Values> layers{{p.input.begin(), p.input.end()}};  // the input, then each layer's output
    std::vector<std::vector<Gates>> gates;                         // by cell
    Values d_y;                                                    // of the layer's output
    Results<double> results{{}, Values(p.states()), {}, Values(p.states()), Values(p.states())};

    static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

    double state_before(ptrdiff_t cell, const Values& y, const Row& row, ptrdiff_t u) const;
    void forward(ptrdiff_t cell);
    void open_unit(ptrdiff_t cell, const Row& row, ptrdiff_t u);
    void move_unit(ptrdiff_t cell, const Row& row, ptrdiff_t u);
    // What the rows of n are multiplied with: h, or r * h where the reset comes before the product.
    double right_of_n(const Gates& unit) const { return p.spec.reset_after ? unit.h : unit.r * unit.h; }
    void backward(ptrdiff_t cell, Values& d_x);
    Values backward_row(ptrdiff_t cell, const Row& row, const double* d_h, Values& d_x);
    // From the gradients of one unit's sums of one gate to all that went into them.
    struct Sums {
        ptrdiff_t gate, u;
        double d_a, d_c;
    };
    template <class Right>
    void spread(ptrdiff_t cell, const Row& row, const Sums& from, const Right& right, Values& d_x, Values& d_right);
};

template <class T>
Book<T>::Book(const Problem<T>& problem) : p(problem) {
    if (p.has_h_0) results[1].assign(p.h_0.begin(), p.h_0.end());
    for (ptrdiff_t cell = 0; cell < p.spec.cells(); ++cell) forward(cell);
    results[0] = layers.back();
    for (const auto& parameter : p.parameters) results.emplace_back(parameter.size());
    d_y.assign(p.d_output.begin(), p.d_output.end());
    for (ptrdiff_t layer = p.spec.num_layers - 1; layer >= 0; --layer) {
        Values d_x(layers[size_t(layer)].size());
        for (ptrdiff_t d = 0; d < D; ++d) backward(layer * D + d, d_x);
        d_y = d_x;
    }
    results[2] = d_y;
}

template <class T>
double Book<T>::state_before(ptrdiff_t cell, const Values& y, const Row& row, ptrdiff_t u) const {
    const ptrdiff_t state = p.reset_stride == 0 ? cell : cell * B + row.b;
    if (row.starts_anew) return p.reset_state.empty() ? 0.0 : double(p.reset_state[size_t(state * H + u)]);
    if (row.before >= 0) return y[size_t((row.before * D + cell % D) * H + u)];
    return p.has_h_0 ? double(p.h_0[size_t((cell * B + row.b) * H + u)]) : 0.0;
}

template <class T>
void Book<T>::forward(ptrdiff_t cell) {
    if (cell % D == 0) layers.emplace_back(p.slots() * D * H);
    gates.emplace_back(p.slots() * H);
    rows.visit_all(cell % D, false, [&](const Row& row) {
        for (ptrdiff_t u = 0; u < H; ++u) open_unit(cell, row, u);
        for (ptrdiff_t u = 0; u < H; ++u) move_unit(cell, row, u);
    });
}

// r, z and what is already known of n.
template <class T>
void Book<T>::open_unit(ptrdiff_t cell, const Row& row, ptrdiff_t u) {
    const ptrdiff_t width = p.spec.width(cell / D);
    const Values &x = layers[size_t(cell / D)], &y = layers[size_t(cell / D) + 1];
    const auto* w = &p.parameters[size_t(cell) * 4];
    const auto h = [&](ptrdiff_t k) { return state_before(cell, y, row, k); };
    double a[3], c[2];
    for (ptrdiff_t gate = 0; gate < 3; ++gate) {
        const ptrdiff_t i = gate * H + u;
        a[gate] = p.has_bias ? double(w[2][size_t(i)]) : 0;
        for (ptrdiff_t k = 0; k < width; ++k)
            a[gate] += double(w[0][size_t(i * width + k)]) * x[size_t(row.slot * width + k)];
        if (gate == 2) continue;
        c[gate] = p.has_bias ? double(w[3][size_t(i)]) : 0;
        for (ptrdiff_t k = 0; k < H; ++k) c[gate] += double(w[1][size_t(i * H + k)]) * h(k);
    }
    gates.back()[size_t(row.slot * H + u)] = {
        .r = sigmoid(a[0] + c[0]), .z = sigmoid(a[1] + c[1]), .n = 0, .a_n = a[2], .c_n = 0, .h = h(u)};
}

// n and the state.
template <class T>
void Book<T>::move_unit(ptrdiff_t cell, const Row& row, ptrdiff_t u) {
    const auto* w = &p.parameters[size_t(cell) * 4];
    Gates* all = &gates.back()[size_t(row.slot * H)];
    Gates& q = all[u];
    const ptrdiff_t i = 2 * H + u;
    q.c_n = p.has_bias ? double(w[3][size_t(i)]) : 0;
    for (ptrdiff_t k = 0; k < H; ++k) q.c_n += double(w[1][size_t(i * H + k)]) * right_of_n(all[k]);
    q.n = tanh(q.a_n + (p.spec.reset_after ? q.r * q.c_n : q.c_n));
    const double next = (1 - q.z) * q.n + q.z * q.h;
    layers[size_t(cell / D) + 1][size_t((row.slot * D + cell % D) * H + u)] = next;
    results[1][size_t((cell * B + row.b) * H + u)] = next;
}

template <class T>
void Book<T>::backward(ptrdiff_t cell, Values& d_x) {
    Values d_h(p.d_h_n.begin() + cell * B * H, p.d_h_n.begin() + (cell + 1) * B * H);
    rows.visit_all(cell % D, true, [&](const Row& row) {
        const Values next = backward_row(cell, row, &d_h[size_t(row.b * H)], d_x);
        for (ptrdiff_t u = 0; u < H; ++u) {
            d_h[size_t(row.b * H + u)] = row.starts_anew ? 0 : next[size_t(u)];
            if (row.starts_anew) results[4][size_t((cell * B + row.b) * H + u)] += next[size_t(u)];
        }
    });
    std::copy(d_h.begin(), d_h.end(), results[3].begin() + cell * B * H);
}

// From the gradient of a state to that of the state before.
template <class T>
typename Book<T>::Values Book<T>::backward_row(ptrdiff_t cell, const Row& row, const double* d_h, Values& d_x) {
    const Gates* all = &gates[size_t(cell)][size_t(row.slot * H)];
    Values next(static_cast<size_t>(H)), d_right(static_cast<size_t>(H)), d_n(static_cast<size_t>(H));
    const auto gradient = [&](ptrdiff_t u) { return d_h[u] + d_y[size_t((row.slot * D + cell % D) * H + u)]; };
    for (ptrdiff_t u = 0; u < H; ++u) {
        const Gates& q = all[u];
        d_n[size_t(u)] = gradient(u) * (1 - q.z) * (1 - q.n * q.n);
        const Sums sums{
            .gate = 2, .u = u, .d_a = d_n[size_t(u)], .d_c = d_n[size_t(u)] * (p.spec.reset_after ? q.r : 1)};
        spread(cell, row, sums, [&](ptrdiff_t k) { return right_of_n(all[k]); }, d_x, d_right);
    }
    for (ptrdiff_t u = 0; u < H; ++u) {
        const Gates& q = all[u];
        const double d_u = d_right[size_t(u)], by_r = p.spec.reset_after ? d_n[size_t(u)] * q.c_n : d_u * q.h;
        next[size_t(u)] += gradient(u) * q.z + (p.spec.reset_after ? d_u : d_u * q.r);
        const double d_r = by_r * q.r * (1 - q.r), d_z = gradient(u) * (q.h - q.n) * q.z * (1 - q.z);
        const auto state = [&](ptrdiff_t k) { return all[k].h; };
        spread(cell, row, {.gate = 0, .u = u, .d_a = d_r, .d_c = d_r}, state, d_x, next);
        spread(cell, row, {.gate = 1, .u = u, .d_a = d_z, .d_c = d_z}, state, d_x, next);
    }
    return next;
}

template <class T>
template <class Right>
void Book<T>::spread(ptrdiff_t cell, const Row& row, const Sums& from, const Right& right, Values& d_x,
                     Values& d_right) {
    const size_t width = size_t(p.spec.width(cell / D)), at = size_t(row.slot) * width, units = size_t(H);
    const size_t i = size_t(from.gate) * units + size_t(from.u);
    const Values& x = layers[size_t(cell / D)];
    const auto* w = &p.parameters[size_t(cell) * 4];
    auto* d_w = &results[kFirstGradient + size_t(cell) * 4];
    d_w[2][i] += from.d_a;
    d_w[3][i] += from.d_c;
    for (size_t k = 0; k < width; ++k) {
        d_w[0][i * width + k] += from.d_a * x[at + k];
        d_x[at + k] += from.d_a * double(w[0][i * width + k]);
    }
    for (size_t k = 0; k < units; ++k) {
        d_w[1][i * units + k] += from.d_c * right(ptrdiff_t(k));
        d_right[k] += from.d_c * double(w[1][i * units + k]);
    }
}

}  // namespace fastgru
