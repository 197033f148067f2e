// The core against a loop in double precision written straight from the equations, without Python: for the
// sanitizers (scripts/sanitize). Every buffer has exactly the size that is promised, so that a byte too many shows.
#include <math.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "fastgru.h"
#include "host/workspace.h"
#include "tools/self_test/checks.h"

using namespace fastgru;

namespace {

std::mt19937 generator(7);

ptrdiff_t pick(std::initializer_list<ptrdiff_t> values) { return values.begin()[generator() % values.size()]; }

template <class T>
std::vector<T> random_values(size_t count, double size = 1) {
    std::vector<T> values(count);
    for (T& value : values) value = T(size * (double(generator() % 20001) / 10000 - 1));
    return values;
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
void fill(Problem<T>& p) {
    p.spec = {
        .input_size = pick({1, 3, 7, 40}),
        .hidden_size = pick({1, 5, 16, 17, 33, 100}),
        .num_layers = pick({1, 1, 2}),
        .num_directions = pick({1, 2}),
    };
    p.batch = {.steps = pick({1, 2, 5, 40}), .rows = pick({1, 2, 3, 9, 33})};
    if (generator() % 8 == 0) {  // few rows and many steps: one thread goes through them, others work ahead
        p.spec.hidden_size = 100;
        p.batch = {.steps = 40, .rows = pick({1, 2, 5})};
    }
    if (generator() % 3 == 0) {
        p.batch_sizes.assign(size_t(p.batch.steps), p.batch.rows);
        for (size_t t = 1; t < p.batch_sizes.size(); ++t) {
            const int64_t before = p.batch_sizes[t - 1];
            p.batch_sizes[t] = generator() % 4 == 0 ? 1 + int64_t(generator() % size_t(before)) : before;
        }
        p.batch.batch_sizes = p.batch_sizes.data();
    } else if (generator() % 2 == 0) {
        for (ptrdiff_t b = 0; b < p.batch.rows; ++b)
            p.lengths.push_back(generator() % 8 == 0 ? 0 : int64_t(generator() % size_t(p.batch.steps + 1)));
        p.batch.lengths = p.lengths.data();
    }
    p.batch_first = p.batch_sizes.empty() && generator() % 2 == 0;
    p.reset_stride = 0;
    if (generator() % 2 == 0) {
        for (ptrdiff_t i = 0; i < p.batch.steps * p.batch.rows; ++i) p.marks.push_back(generator() % 4 == 0);
        p.reset_stride = pick({0, p.spec.hidden_size});
        const ptrdiff_t rows = p.reset_stride == 0 ? 1 : p.batch.rows;
        if (generator() % 3 != 0)
            p.reset_state = random_values<T>(size_t(p.spec.cells() * rows * p.spec.hidden_size));
    }
    p.has_bias = generator() % 4 != 0;
    p.has_h_0 = generator() % 2 != 0;
    p.recomputes = generator() % 2 != 0;
    p.wants_input = generator() % 4 != 0;
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

// Everything that the two passes write: output, h_n, d_input, d_h_0, d_reset, then four gradients per cell.
template <class T>
using Results = std::vector<std::vector<T>>;

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

template <class T>
T* data_or_null(std::vector<T>& values) {
    return values.empty() ? nullptr : values.data();
}

template <class T>
Results<T> by_the_core(const Problem<T>& p, const KernelTable& table, int threads, bool is_packed,
                       Partition partition = Partition::best) {
    Results<T> results = empty_results(p);
    std::vector<Cell<T>> cells;
    std::vector<CellGradients<T>> d_cells;
    for (size_t i = 0; i < p.parameters.size(); i += 4) {
        const auto bias = [&](size_t k) { return p.has_bias ? p.parameters[i + k].data() : nullptr; };
        cells.push_back({
            .weight_ih = p.parameters[i].data(),
            .weight_hh = p.parameters[i + 1].data(),
            .bias_ih = bias(2),
            .bias_hh = bias(3),
        });
        d_cells.push_back({
            .weight_ih = data_or_null(results[5 + i]),
            .weight_hh = data_or_null(results[6 + i]),
            .bias_ih = data_or_null(results[7 + i]),
            .bias_hh = data_or_null(results[8 + i]),
        });
    }
    const Block packed(packed_bytes<T>(table, p.spec));
    if (is_packed) pack(table, p.spec, cells.data(), packed.data());
    std::vector<Sum<T>> saved(saved_values<T>(p.spec, p.batch, p.recomputes));
    const T* h_0 = p.has_h_0 ? p.h_0.data() : nullptr;

    const Forward<T> forward{
        .spec = p.spec,
        .batch = p.batch,
        .input = p.sequence(p.input, p.spec.input_size),
        .h_0 = h_0,
        .resets = p.resets(),
        .cells = cells.data(),
        .output = p.sequence(results[0], p.features()),
        .h_n = results[1].data(),
        .saved = data_or_null(saved),
        .recomputes = p.recomputes,
        .threads = threads,
        .is_awake = true,
        .packed = is_packed ? packed.data() : nullptr,
        .partition = partition,
    };
    const Backward<T> backward{
        .spec = p.spec,
        .batch = p.batch,
        .input = forward.input,
        .h_0 = h_0,
        .resets = p.resets(),
        .cells = cells.data(),
        .output = p.sequence(std::as_const(results[0]), p.features()),
        .saved = saved.data(),
        .recomputes = p.recomputes,
        .d_output = p.sequence(p.d_output, p.features()),
        .d_h_n = p.d_h_n.data(),
        .d_input = p.wants_input ? p.sequence(results[2], p.spec.input_size) : Sequence<T>{},
        .d_h_0 = data_or_null(results[3]),
        .d_reset = data_or_null(results[4]),
        .d_cells = d_cells.data(),
        .threads = threads,
        .is_awake = true,
        .partition = partition,
    };
    const auto in_workspace = [&](const auto& call) {
        void* workspace = nullptr;
        if (posix_memalign(&workspace, kAlignment, workspace_bytes(table, call)) != 0) abort();
        run(table, call, workspace);
        free(workspace);
    };
    in_workspace(forward);
    in_workspace(backward);
    return results;
}

// The equations of docs/equations.md, one number at a time.
template <class T>
Results<double> by_the_book(const Problem<T>& p) {
    const ptrdiff_t H = p.spec.hidden_size, D = p.spec.num_directions, T_ = p.batch.steps, B = p.batch.rows;
    std::vector<ptrdiff_t> first(size_t(T_) + 1);
    for (ptrdiff_t t = 0; t < T_; ++t)
        first[size_t(t) + 1] = first[size_t(t)] + (p.batch_sizes.empty() ? B : p.batch_sizes[size_t(t)]);
    const auto is_alive = [&](ptrdiff_t t, ptrdiff_t b) {
        if (t < 0 || t >= T_) return false;
        return p.lengths.empty() ? b < first[size_t(t) + 1] - first[size_t(t)] : t < p.lengths[size_t(b)];
    };
    const auto slot = [&](ptrdiff_t t, ptrdiff_t b) { return p.batch_first ? b * T_ + t : first[size_t(t)] + b; };
    const auto sigmoid = [](double x) { return 1 / (1 + exp(-x)); };
    struct Gates {
        double r, z, n, c_n, h;
    };
    // Where a reset stands between the step at time t and the one processed before it.
    const auto is_reset = [&](ptrdiff_t d, ptrdiff_t t, ptrdiff_t b) {
        const ptrdiff_t border = d == 0 ? t : t + 1;
        return !p.marks.empty() && is_alive(border, b) && p.marks[size_t(border * B + b)] != 0;
    };
    std::vector<std::vector<double>> layers{{p.input.begin(), p.input.end()}};
    std::vector<std::vector<Gates>> gates;
    Results<double> results{
        {}, std::vector<double>(p.states()), {}, std::vector<double>(p.states()), std::vector<double>(p.states())};
    if (p.has_h_0) results[1].assign(p.h_0.begin(), p.h_0.end());
    // Visits the rows of a direction in the order of its steps: visit(slot, slot before or -1, batch row, is
    // reset).
    const auto for_rows = [&](ptrdiff_t d, bool is_backward, const auto& visit) {
        for (ptrdiff_t i = 0; i < T_; ++i) {
            const ptrdiff_t s = is_backward ? T_ - 1 - i : i, t = d == 0 ? s : T_ - 1 - s;
            const ptrdiff_t before = d == 0 ? t - 1 : t + 1;
            for (ptrdiff_t b = 0; b < B; ++b)
                if (is_alive(t, b))
                    visit(slot(t, b), is_alive(before, b) ? slot(before, b) : -1, b, is_reset(d, t, b));
        }
    };
    for (ptrdiff_t cell = 0; cell < p.spec.cells(); ++cell) {
        const ptrdiff_t layer = cell / D, d = cell % D, width = p.spec.width(layer);
        if (d == 0) layers.emplace_back(p.slots() * D * H);
        const std::vector<double>& x = layers[size_t(layer)];
        std::vector<double>& y = layers[size_t(layer) + 1];
        const auto* w = &p.parameters[size_t(cell) * 4];
        gates.emplace_back(p.slots() * H);
        for_rows(d, false, [&](ptrdiff_t row, ptrdiff_t before, ptrdiff_t b, bool starts_anew) {
            const auto h = [&](ptrdiff_t u) {
                const ptrdiff_t state = p.reset_stride == 0 ? cell : cell * B + b;
                if (starts_anew) return p.reset_state.empty() ? 0.0 : double(p.reset_state[size_t(state * H + u)]);
                if (before >= 0) return y[size_t((before * D + d) * H + u)];
                return p.has_h_0 ? double(p.h_0[size_t((cell * B + b) * H + u)]) : 0.0;
            };
            for (ptrdiff_t u = 0; u < H; ++u) {
                double a[3], c[3];
                for (ptrdiff_t g = 0; g < 3; ++g) {
                    a[g] = p.has_bias ? double(w[2][size_t(g * H + u)]) : 0;
                    c[g] = p.has_bias ? double(w[3][size_t(g * H + u)]) : 0;
                    for (ptrdiff_t k = 0; k < width; ++k)
                        a[g] += double(w[0][size_t((g * H + u) * width + k)]) * x[size_t(row * width + k)];
                    for (ptrdiff_t k = 0; k < H; ++k) c[g] += double(w[1][size_t((g * H + u) * H + k)]) * h(k);
                }
                const double r = sigmoid(a[0] + c[0]), z = sigmoid(a[1] + c[1]), n = tanh(a[2] + r * c[2]);
                gates.back()[size_t(row * H + u)] = {.r = r, .z = z, .n = n, .c_n = c[2], .h = h(u)};
                y[size_t((row * D + d) * H + u)] = (1 - z) * n + z * h(u);
                results[1][size_t((cell * B + b) * H + u)] = y[size_t((row * D + d) * H + u)];
            }
        });
    }
    results[0] = layers.back();
    for (const auto& parameter : p.parameters) results.emplace_back(parameter.size());

    std::vector<double> d_y(p.d_output.begin(), p.d_output.end());
    for (ptrdiff_t layer = p.spec.num_layers - 1; layer >= 0; --layer) {
        const ptrdiff_t width = p.spec.width(layer);
        const std::vector<double>& x = layers[size_t(layer)];
        std::vector<double> d_x(x.size());
        for (ptrdiff_t d = 0; d < D; ++d) {
            const ptrdiff_t cell = layer * D + d;
            const auto* w = &p.parameters[size_t(cell) * 4];
            auto* d_w = &results[5 + size_t(cell) * 4];
            std::vector<double> d_h(p.d_h_n.begin() + cell * B * H, p.d_h_n.begin() + (cell + 1) * B * H);
            for_rows(d, true, [&](ptrdiff_t row, ptrdiff_t, ptrdiff_t b, bool starts_anew) {
                std::vector<double> next(static_cast<size_t>(H));
                const auto h = [&](ptrdiff_t u) { return gates[size_t(cell)][size_t(row * H + u)].h; };
                for (ptrdiff_t u = 0; u < H; ++u) {
                    const Gates& q = gates[size_t(cell)][size_t(row * H + u)];
                    const double g = d_h[size_t(b * H + u)] + d_y[size_t((row * D + d) * H + u)];
                    const double d_n = g * (1 - q.z) * (1 - q.n * q.n), d_r = d_n * q.c_n * q.r * (1 - q.r);
                    const double d_z = g * (q.h - q.n) * q.z * (1 - q.z);
                    const double d_a[3] = {d_r, d_z, d_n}, d_c[3] = {d_r, d_z, d_n * q.r};
                    next[size_t(u)] += g * q.z;
                    for (ptrdiff_t gate = 0; gate < 3; ++gate) {
                        const size_t i = size_t(gate * H + u);
                        d_w[2][i] += d_a[gate];
                        d_w[3][i] += d_c[gate];
                        for (ptrdiff_t k = 0; k < width; ++k) {
                            d_w[0][i * size_t(width) + size_t(k)] += d_a[gate] * x[size_t(row * width + k)];
                            d_x[size_t(row * width + k)] += d_a[gate] * double(w[0][i * size_t(width) + size_t(k)]);
                        }
                        for (ptrdiff_t k = 0; k < H; ++k) {
                            d_w[1][i * size_t(H) + size_t(k)] += d_c[gate] * h(k);
                            next[size_t(k)] += d_c[gate] * double(w[1][i * size_t(H) + size_t(k)]);
                        }
                    }
                }
                for (ptrdiff_t u = 0; u < H; ++u) {
                    d_h[size_t(b * H + u)] = starts_anew ? 0 : next[size_t(u)];
                    if (starts_anew) results[4][size_t((cell * B + b) * H + u)] += next[size_t(u)];
                }
            });
            std::copy(d_h.begin(), d_h.end(), results[3].begin() + cell * B * H);
        }
        d_y = d_x;
    }
    results[2] = d_y;
    return results;
}

template <class T>
bool agrees(const Results<T>& got, const Results<double>& wanted) {
    for (size_t i = 0; i < got.size(); ++i) {
        double size = 1, difference = 0;
        for (size_t k = 0; k < got[i].size(); ++k) {
            size = fmax(size, fabs(wanted[i][k]));
            const double distance = fabs(double(got[i][k]) - wanted[i][k]);
            if (!(distance <= difference)) difference = distance;  // NaN counts
        }
        if (!(difference <= size * (sizeof(T) == 4 ? 2e-5 : 1e-12))) {
            printf("result %zu differs by %g of %g\n", i, difference, size);
            return false;
        }
    }
    return true;
}

template <class T>
bool check_one() {
    Problem<T> p;
    fill(p);
    const Results<double> wanted = by_the_book(p);
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level) {
        if (!level->is_available) continue;
        const Results<T> alone = by_the_core(p, *level->table, 1, false);
        bool is_right = agrees(alone, wanted);
        for (const int threads : {2, 3 + int(generator() % 5)})
            for (const Partition partition :
                 {Partition::best, Partition::rows, Partition::columns, Partition::ahead})
                is_right &= by_the_core(p, *level->table, threads, threads == 2, partition) == alone;
        if (!is_right) {
            printf("wrong at %s: I %td H %td L %td D %td T %td B %td packed %d lengths %d resets %d\n",
                   level->table->name, p.spec.input_size, p.spec.hidden_size, p.spec.num_layers,
                   p.spec.num_directions, p.batch.steps, p.batch.rows, !p.batch_sizes.empty(), !p.lengths.empty(),
                   !p.marks.empty());
            return false;
        }
    }
    return true;
}

template <class S>
std::vector<S> rounded(const KernelTable& table, const std::vector<float>& values) {
    std::vector<S> to(values.size());
    kernels_of<S>(table).narrow(values.data(), to.data(), ptrdiff_t(values.size()));
    return to;
}

template <class S>
std::vector<float> widened(const KernelTable& table, const std::vector<S>& values) {
    std::vector<float> to(values.size());
    kernels_of<S>(table).widen(values.data(), to.data(), ptrdiff_t(values.size()));
    return to;
}

// Numbers of 16 bits give the rounded results of a call on float with the same numbers, bit for bit.
template <class S>
bool check_half() {
    Problem<float> wide;
    fill(wide);
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level) {
        if (!level->is_available) continue;
        const KernelTable& table = *level->table;
        Problem<S> p{
            .spec = wide.spec,
            .batch_sizes = wide.batch_sizes,
            .lengths = wide.lengths,
            .batch = wide.batch,
            .has_bias = wide.has_bias,
            .has_h_0 = wide.has_h_0,
            .recomputes = wide.recomputes,
            .wants_input = wide.wants_input,
            .batch_first = wide.batch_first,
            .marks = wide.marks,
            .reset_state = {},
            .reset_stride = wide.reset_stride,
            .parameters = {},
            .input = {},
            .h_0 = {},
            .d_output = {},
            .d_h_n = {},
        };
        if (wide.batch.batch_sizes != nullptr) p.batch.batch_sizes = p.batch_sizes.data();
        if (wide.batch.lengths != nullptr) p.batch.lengths = p.lengths.data();
        const auto share = [&](std::vector<float>& from, std::vector<S>& to) {
            to = rounded<S>(table, from);
            from = widened(table, to);
        };
        share(wide.reset_state, p.reset_state);
        share(wide.input, p.input);
        share(wide.h_0, p.h_0);
        share(wide.d_output, p.d_output);
        share(wide.d_h_n, p.d_h_n);
        p.parameters.resize(wide.parameters.size());
        for (size_t i = 0; i < p.parameters.size(); ++i) share(wide.parameters[i], p.parameters[i]);
        const Results<float> wanted = by_the_core(wide, table, 1, false);
        for (const int threads : {1, 2}) {
            const Results<S> got = by_the_core(p, table, threads, threads == 2);
            for (size_t i = 0; i < got.size(); ++i) {
                if (widened(table, got[i]) == widened(table, rounded<S>(table, wanted[i]))) continue;
                printf("result %zu is not the rounded one at %s\n", i, table.name);
                return false;
            }
        }
    }
    return true;
}

// Rounding to 16 bits and back, by kernels and one by one: all that there are, and what lies between two of them.
template <class S>
bool check_rounding() {
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level) {
        if (!level->is_available) continue;
        const HalfKernels<S>& kernels = kernels_of<S>(*level->table);
        std::vector<S> all(1 << 16);
        for (size_t i = 0; i < all.size(); ++i) all[i].bits = uint16_t(i);
        const std::vector<float> wide = widened(*level->table, all);
        for (size_t i = 0; i < all.size(); ++i) {
            const float one = fastgru::widened(all[i]);
            if (one != wide[i] && !(isnan(one) && isnan(wide[i]))) return printf("widening %zx\n", i), false;
            if (!isfinite(one) || !isfinite(fastgru::widened(S{uint16_t(i + 1)})) || (i + 1) % (1 << 15) == 0)
                continue;
            // Of neighbours and their middle, and what stands next to it.
            const float next = fastgru::widened(S{uint16_t(i + 1)}), middle = one / 2 + next / 2;
            const uint16_t even = uint16_t(i % 2 == 0 ? i : i + 1);
            const float from[] = {one, nextafterf(middle, one), middle, nextafterf(middle, next), next};
            const uint16_t to[] = {uint16_t(i), uint16_t(i), even, uint16_t(i + 1), uint16_t(i + 1)};
            S got[5];
            kernels.narrow(from, got, 5);
            for (int k = 0; k < 5; ++k)
                if (got[k].bits != to[k]) return printf("rounding %g to %x\n", double(from[k]), got[k].bits), false;
        }
        const float from[] = {INFINITY, -INFINITY, NAN, 3.4e38f};
        S got[4];
        kernels.narrow(from, got, 4);
        for (int k = 0; k < 4; ++k) {
            const float back = fastgru::widened(got[k]);
            if (k == 2 ? !isnan(back) : back != (k == 1 ? -INFINITY : INFINITY))
                return printf("rounding %g gives %g at %s\n", double(from[k]), double(back), level->table->name),
                       false;
        }
    }
    return true;
}

// Several threads of the caller's, each with its own calls on the shared pool of scratch memory.
bool check_concurrent_calls() {
    Problem<float> p;
    fill(p);
    const Results<float> wanted = by_the_core(p, active_table(), 1, false);
    bool is_right[4] = {};
    std::vector<std::thread> callers;
    for (bool& own : is_right)
        callers.emplace_back([&] {
            own = true;
            for (int i = 0; i < 10; ++i) own &= by_the_core(p, active_table(), 2, i % 2 == 0) == wanted;
        });
    for (std::thread& caller : callers) caller.join();
    return is_right[0] && is_right[1] && is_right[2] && is_right[3];
}

// A child process, in which OpenMP's threads of the parent do not exist.
bool check_fork() {
    Problem<float> p;
    fill(p);
    const Results<float> wanted = by_the_core(p, active_table(), 2, false);
    fflush(stdout);  // or the child would print it again
    const pid_t child = fork();
    if (child == 0) _exit(by_the_core(p, active_table(), 2, false) == wanted ? 0 : 1);
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

int main(int argc, char** argv) {
    const int problems = argc > 1 ? atoi(argv[1]) : 200;
    for (int i = 0; i < problems; ++i)
        if (!check_one<float>() || !check_one<double>() || !check_half<BFloat16>() || !check_half<Float16>())
            return 1;
    if (!check_rounding<BFloat16>() || !check_rounding<Float16>()) return 1;
    printf("%d problems of each type agree with the equations, at every level, the same bits on any threads\n",
           problems);
    if (!check_concurrent_calls()) return printf("concurrent calls disturb each other\n"), 1;
    if (!check_fork()) return printf("a call in a forked child is wrong\n"), 1;
    printf("concurrent calls and a forked child agree\n");
    if (!check_pool_in_children() || !check_team() || !check_plan()) return 1;
    printf("children share no lock of the pool, teams and plans are as they should be\n");
    if (!check_tangents()) return 1;
    printf("second derivatives agree with differences of gradients, at every level\n");
    return 0;
}
