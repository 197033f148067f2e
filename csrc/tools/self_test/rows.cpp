// Row-wise operations against long double by the book, and against themselves: the same bits for any threads, any
// other rows, packed weights or not, and at all levels with fused multiply-adds.
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <functional>
#include <string>

#include "fastgru_rows.h"
#include "host/run_calls.h"
#include "tools/self_test/checks.h"
#include "tools/self_test/problem.h"

namespace fastgru {

namespace {

using Real = long double;

// A matrix in memory of its own with a gap after each vector, which nobody may touch.
template <class T>
struct Held {
    ptrdiff_t rows, width, stride;
    std::vector<T> values;

    Held(ptrdiff_t rows_, ptrdiff_t width_, double size)
        : rows(rows_),
          width(width_),
          stride(width_ + ptrdiff_t(generator() % 3)),
          values(random_values<T>(size_t(rows_ * stride), size)) {}
    T* data() { return data_or_null(values); }
    T& at(ptrdiff_t i, ptrdiff_t j) { return values[size_t(i * stride + j)]; }
    Matrix<T> matrix() { return {data(), stride}; }
    Matrix<const T> view() { return {data(), stride}; }
};

template <class T>
bool is_close(T got, Real want, Real scale, const char* what) {
    const Real eps = sizeof(T) == 4 ? 1.2e-7L : 2.3e-16L;
    if (fabsl(Real(got) - want) <= 8 * eps * (scale + 1)) return true;
    printf("%s: %g instead of %Lg\n", what, double(got), want);
    return false;
}

// ---- linear

template <class T>
struct LinearProblem {
    ptrdiff_t rows = pick({0, 1, 2, 3, 7, 8, 15, 16, 17, 33, 130, 300}), K = pick({0, 1, 5, 16, 33, 100, 257});
    ptrdiff_t N = pick({0, 1, 3, 16, 31, 48, 65, 130});
    bool has_bias = !one_in(3);
    Held<T> x{rows, K, 1}, dy{rows, N, 1};
    std::vector<T> weight = random_values<T>(size_t(N * K), 0.3), bias = random_values<T>(size_t(N));
    Activation activation{.function = Function(pick({0, 0, int(Function::relu), int(Function::tanh)}))};

    Linear<T> call(Matrix<T> output, int threads) {
        return {.rows = rows,
                .in_features = K,
                .out_features = N,
                .input = x.view(),
                .weight = data_or_null(weight),
                .bias = has_bias ? data_or_null(bias) : nullptr,
                .output = output,
                .activation = activation,
                .threads = threads};
    }
    LinearBackward<T> backward(Held<T>& dx, std::vector<T>& dw, std::vector<T>& db, int threads) {
        return {.rows = rows,
                .in_features = K,
                .out_features = N,
                .d_output = dy.view(),
                .input = x.view(),
                .weight = data_or_null(weight),
                .d_input = dx.matrix(),
                .d_weight = data_or_null(dw),
                .d_bias = data_or_null(db),
                .threads = threads};
    }
};

template <class T>
bool is_right(LinearProblem<T>& p, Held<T>& y) {
    for (ptrdiff_t i = 0; i < p.rows; ++i)
        for (ptrdiff_t n = 0; n < p.N; ++n) {
            Real sum = p.has_bias ? Real(p.bias[size_t(n)]) : 0;
            for (ptrdiff_t k = 0; k < p.K; ++k) sum += Real(p.x.at(i, k)) * Real(p.weight[size_t(n * p.K + k)]);
            const Real want = p.activation.function == Function::relu   ? fmaxl(sum, 0)
                              : p.activation.function == Function::tanh ? tanhl(sum)
                                                                        : sum;
            if (!is_close(y.at(i, n), want, sqrtl(Real(p.K)), "linear")) return false;
        }
    return true;
}

template <class T>
bool gradients_are_right(LinearProblem<T>& p, Held<T>& dx, std::vector<T>& dw, std::vector<T>& db) {
    bool right = true;
    for (ptrdiff_t k = 0; k < p.K; ++k) {
        for (ptrdiff_t i = 0; i < p.rows; ++i) {
            Real sum = 0;
            for (ptrdiff_t n = 0; n < p.N; ++n) sum += Real(p.dy.at(i, n)) * Real(p.weight[size_t(n * p.K + k)]);
            right &= is_close(dx.at(i, k), sum, sqrtl(Real(p.N)), "gradient of the input");
        }
        for (ptrdiff_t n = 0; n < p.N; ++n) {
            Real sum = 0;
            for (ptrdiff_t i = 0; i < p.rows; ++i) sum += Real(p.dy.at(i, n)) * Real(p.x.at(i, k));
            right &= is_close(dw[size_t(n * p.K + k)], sum, sqrtl(Real(p.rows)), "gradient of the weight");
        }
    }
    for (ptrdiff_t n = 0; n < p.N; ++n) {
        Real sum = 0;
        for (ptrdiff_t i = 0; i < p.rows; ++i) sum += Real(p.dy.at(i, n));
        right &= is_close(db[size_t(n)], sum, sqrtl(Real(p.rows)), "gradient of the bias");
    }
    return right;
}

template <class T>
using Results = std::vector<std::vector<T>>;

template <class T>
void append(Results<T>& results, Held<T>& held) {
    std::vector<T> dense;
    for (ptrdiff_t i = 0; i < held.rows; ++i)
        for (ptrdiff_t j = 0; j < held.width; ++j) dense.push_back(held.at(i, j));
    results.push_back(dense);
}

template <class T>
bool run_linear(LinearProblem<T>& p, const KernelTable& table, int threads, Results<T>& results) {
    Held<T> y(p.rows, p.N, 1), of_packed(p.rows, p.N, 1), alone(p.rows, p.N, 1), dx(p.rows, p.K, 1);
    std::vector<T> dw(p.weight.size()), db(size_t(p.N));
    Linear<T> call = p.call(y.matrix(), threads);
    if (run_call(table, call) != 0) return false;
    const Block packed(packed_linear_bytes<T>(table, p.K, p.N));
    pack_linear(table, p.K, p.N, data_or_null(p.weight), packed.data());
    Linear<T> other = p.call(of_packed.matrix(), threads);
    other.packed = packed.data();
    run_call(table, other);
    for (ptrdiff_t i = 0; i < p.rows; ++i) {
        Linear<T> one = p.call(alone.matrix().from(i), 1);
        one.rows = 1, one.input = p.x.view().from(i);
        run_call(table, one);
    }
    run_call(table, p.backward(dx, dw, db, threads));
    for (Held<T>* held : {&y, &of_packed, &alone, &dx}) append(results, *held);
    results.push_back(dw), results.push_back(db);
    if (results[0] != results[1] || results[0] != results[2])
        return printf("packed weights, or rows alone, give other bits\n"), false;
    return is_right(p, y) && gradients_are_right(p, dx, dw, db);
}

// ---- the others

using Book = std::function<Real(Real)>;
struct Known {
    Activation activation;
    Book book;
};

Real sigmoid_of(Real x) { return 1 / (1 + expl(-x)); }
Real clip_of(Real x, Real a, Real b) { return fminl(fmaxl(x, a), b); }

const Known kKnown[] = {
    {{Function::none}, [](Real x) { return x; }},
    {{Function::relu}, [](Real x) { return fmaxl(x, 0); }},
    {{Function::leaky_relu, 0.25}, [](Real x) { return x > 0 ? x : x / 4; }},
    {{Function::elu, 0.5}, [](Real x) { return x > 0 ? x : expm1l(x) / 2; }},
    {{Function::selu},
     [](Real x) { return 1.0507009873554804934L * (x > 0 ? x : 1.6732632423543772848L * expm1l(x)); }},
    {{Function::gelu}, [](Real x) { return x / 2 * (1 + erfl(x * sqrtl(0.5L))); }},
    {{Function::gelu_tanh},
     [](Real x) { return x / 2 * (1 + tanhl(0.79788456080286535588L * (x + 0.044715L * x * x * x))); }},
    {{Function::silu}, [](Real x) { return x * sigmoid_of(x); }},
    {{Function::sigmoid}, sigmoid_of},
    {{Function::tanh}, [](Real x) { return tanhl(x); }},
    {{Function::softplus, 2, 20}, [](Real x) { return 2 * x > 20 ? x : log1pl(expl(2 * x)) / 2; }},
    {{Function::softsign}, [](Real x) { return x / (1 + fabsl(x)); }},
    {{Function::hard_sigmoid, 0.25, 0.5}, [](Real x) { return clip_of(x / 4 + 0.5L, 0, 1); }},
    {{Function::clip, -1, 2}, [](Real x) { return clip_of(x, -1, 2); }},
    {{Function::hard_swish}, [](Real x) { return x * clip_of(x / 6 + 0.5L, 0, 1); }},
    {{Function::exp}, [](Real x) { return expl(x); }},
    {{Function::log}, [](Real x) { return logl(x); }},
    {{Function::erf}, [](Real x) { return erfl(x); }},
    {{Function::abs}, [](Real x) { return fabsl(x); }},
    {{Function::negate}, [](Real x) { return -x; }},
    {{Function::sqrt}, [](Real x) { return sqrtl(x); }},
};
static_assert(sizeof kKnown / sizeof kKnown[0] == kFunctions);

// Values that each function takes.
template <class T>
Held<T> argument_of(Function function, ptrdiff_t rows, ptrdiff_t width) {
    Held<T> x(rows, width, 5);
    if (function == Function::log || function == Function::sqrt)
        for (T& value : x.values) value = value < 0 ? -value : value + T(1e-3);
    return x;
}

template <class T>
bool check_functions(const KernelTable& table, int threads, Results<T>& results) {
    const ptrdiff_t rows = pick({0, 1, 3}), width = pick({0, 1, 15, 16, 17, 40});
    for (const Known& known : kKnown) {
        Held<T> x = argument_of<T>(known.activation.function, rows, width), y(rows, width, 1);
        run(table, Activate<T>{.rows = rows,
                               .width = width,
                               .input = x.view(),
                               .output = y.matrix(),
                               .activation = known.activation,
                               .threads = threads});
        for (ptrdiff_t i = 0; i < rows; ++i)
            for (ptrdiff_t j = 0; j < width; ++j) {
                const Real want = known.book(Real(x.at(i, j)));
                const std::string name = "function " + std::to_string(int(known.activation.function));
                if (!is_close(y.at(i, j), want, fabsl(want), name.c_str())) return false;
            }
        append(results, y);
    }
    return true;
}

template <class T>
bool check_operations(const KernelTable& table, int threads, Results<T>& results) {
    const ptrdiff_t rows = pick({1, 2, 5}), width = pick({1, 15, 16, 33});
    for (const Operation operation :
         {Operation::add, Operation::subtract, Operation::multiply, Operation::divide}) {
        Held<T> a(rows, width, 5), b(rows, width, 5), y(rows, width, 1);
        for (T& value : b.values) value += T(6);
        const bool is_row = one_in(2), is_value = one_in(2);
        run(table, Combine<T>{.operation = operation,
                              .rows = rows,
                              .width = width,
                              .left = {a.data(), a.stride},
                              .right = {b.data(), is_row ? 0 : b.stride, is_value},
                              .output = y.matrix(),
                              .threads = threads});
        for (ptrdiff_t i = 0; i < rows; ++i)
            for (ptrdiff_t j = 0; j < width; ++j) {
                const Real l = Real(a.at(i, j)), r = Real(b.at(is_row ? 0 : i, is_value ? 0 : j));
                const Real want[] = {l + r, l - r, l * r, l / r};
                if (!is_close(y.at(i, j), want[int(operation)], 50, "operation")) return false;
            }
        append(results, y);
    }
    return true;
}

template <class T>
bool softmax_is_right(Held<T>& x, Held<T>& y, Held<T>& log) {
    for (ptrdiff_t i = 0; i < x.rows; ++i) {
        Real sum = 0;
        for (ptrdiff_t j = 0; j < x.width; ++j) sum += expl(Real(x.at(i, j)));
        for (ptrdiff_t j = 0; j < x.width; ++j)
            if (!is_close(y.at(i, j), expl(Real(x.at(i, j))) / sum, 0, "softmax") ||
                !is_close(log.at(i, j), Real(x.at(i, j)) - logl(sum), 10, "log_softmax"))
                return false;
    }
    return true;
}

template <class T>
bool norm_is_right(Held<T>& x, const std::vector<T>& weight, const std::vector<T>& bias, Held<T>& y) {
    for (ptrdiff_t i = 0; i < x.rows; ++i) {
        Real mean = 0, square = 0;
        for (ptrdiff_t j = 0; j < x.width; ++j) mean += Real(x.at(i, j)) / Real(x.width);
        for (ptrdiff_t j = 0; j < x.width; ++j)
            square += (Real(x.at(i, j)) - mean) * (Real(x.at(i, j)) - mean) / Real(x.width);
        const Real scale = 1 / sqrtl(square + 1e-5L);
        for (size_t j = 0; j < size_t(x.width); ++j) {
            const Real want = (Real(x.at(i, ptrdiff_t(j))) - mean) * scale * Real(weight[j]) + Real(bias[j]);
            // Values of up to 5 are rounded before the scale makes more of that.
            if (!is_close(y.at(i, ptrdiff_t(j)), want, 20 + 5 * scale, "layer_norm")) return false;
        }
    }
    return true;
}

template <class T>
bool check_sums(const KernelTable& table, int threads, Results<T>& results) {
    const ptrdiff_t rows = pick({0, 1, 4}), width = pick({1, 2, 15, 16, 17, 40, 300});
    Held<T> x(rows, width, 5), y(rows, width, 1), log(rows, width, 1), norm(rows, width, 1);
    const std::vector<T> weight = random_values<T>(size_t(width)), bias = random_values<T>(size_t(width));
    std::vector<T> mean(size_t(rows + 1)), scale(size_t(rows + 1));
    Softmax<T> softmax{.rows = rows, .width = width, .input = x.view(), .output = y.matrix(), .threads = threads};
    run(table, softmax);
    softmax.output = log.matrix(), softmax.is_log = true;
    run(table, softmax);
    run(table, LayerNorm<T>{.rows = rows,
                            .width = width,
                            .input = x.view(),
                            .weight = weight.data(),
                            .bias = bias.data(),
                            .output = norm.matrix(),
                            .mean = mean.data(),
                            .scale = scale.data(),
                            .threads = threads});
    for (Held<T>* held : {&y, &log, &norm}) append(results, *held);
    results.push_back(mean), results.push_back(scale);
    return softmax_is_right(x, y, log) && norm_is_right(x, weight, bias, norm);
}

// ---- the same bits

// The same problem, drawn again, for each level and number of threads; those of the baseline are its own.
template <class T>
bool check_type(unsigned seed) {
    Results<T> first;
    return at_every_level([&](const KernelTable& table) {
        for (const int threads : {1, 2, 3}) {
            generator.seed(seed);
            LinearProblem<T> p;
            Results<T> results;
            if (!run_linear(p, table, threads, results) || !check_functions(table, threads, results) ||
                !check_operations(table, threads, results) || !check_sums(table, threads, results))
                return printf("at level %s\n", table.name), false;
            if (first.empty()) first = results;
            if (results != first && strcmp(table.name, "baseline") != 0)
                return printf("other bits at level %s with %d threads\n", table.name, threads), false;
        }
        return true;
    });
}

}  // namespace

bool check_rows() {
    const unsigned seed = unsigned(generator());
    const bool is_right = check_type<float>(seed) && check_type<double>(seed);
    generator.seed(seed + 1);
    return is_right;
}

}  // namespace fastgru
