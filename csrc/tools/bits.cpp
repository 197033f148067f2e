// Prints hashes of the results of a wide grid of cases, one line each: they must be the same at every level with
// fused multiply-adds, on every machine and with every compiler (docs/numerics.md).
//
//   bits        compares the levels of this machine, and prints the hashes
#include <stdio.h>
#include <string.h>

#include <string>

#include "fastgru_rows.h"
#include "host/run_calls.h"
#include "tools/self_test/by_the_core.h"

namespace fastgru {
namespace {

constexpr unsigned kCases = 150;

// FNV-1a, 64 bits.
class Hash {
  public:
    template <class T>
    void add(const std::vector<T>& values) {
        for (const T& value : values) {
            unsigned char bytes[sizeof(T)];
            memcpy(bytes, &value, sizeof(T));
            for (const unsigned char byte : bytes) value_ = (value_ ^ byte) * 1099511628211ull;
        }
    }
    unsigned long long value() const { return value_; }

  private:
    unsigned long long value_ = 14695981039346656037ull;
};

// A layer and a batch by chance: outputs, states and all gradients.
template <class T>
void add_layer(Hash& hash, const KernelTable& table) {
    Problem<T> p;
    fill(p);
    for (const std::vector<T>& result : by_the_core(p, table, 1, false)) hash.add(result);
}

template <class T>
Matrix<const T> view(const std::vector<T>& values, ptrdiff_t width) {
    return {values.data(), width};
}

// A linear layer and its gradients.
template <class T>
void add_linear(Hash& hash, const KernelTable& table) {
    const ptrdiff_t rows = pick({1, 3, 16, 33, 300}), K = pick({1, 5, 33, 257}), N = pick({1, 7, 48, 130});
    const auto size = [](ptrdiff_t a, ptrdiff_t b) { return size_t(a * b); };
    const std::vector<T> x = random_values<T>(size(rows, K)), w = random_values<T>(size(N, K), 0.3);
    const std::vector<T> b = random_values<T>(size_t(N)), d_y = random_values<T>(size(rows, N));
    std::vector<T> y(size(rows, N)), d_x(size(rows, K)), d_w(size(N, K)), d_b(size_t(N), T(0));
    const Linear<T> call{.rows = rows,
                         .in_features = K,
                         .out_features = N,
                         .input = view(x, K),
                         .weight = w.data(),
                         .bias = b.data(),
                         .output = {y.data(), N},
                         .activation = {Function(pick({int(Function::none), int(Function::tanh)}))}};
    run_call(table, call);
    LinearBackward<T> back{.rows = rows, .in_features = K, .out_features = N, .d_output = view(d_y, N)};
    back.input = view(x, K);
    back.weight = w.data();
    back.d_input = {d_x.data(), K};
    back.d_weight = d_w.data();
    back.d_bias = d_b.data();
    run_call(table, back);
    for (const std::vector<T>* result : {&y, &d_x, &d_w, &d_b}) hash.add(*result);
}

// Functions of values, softmax and layer norm.
template <class T>
void add_rows(Hash& hash, const KernelTable& table) {
    const ptrdiff_t rows = pick({1, 2, 9}), width = pick({1, 5, 16, 31, 100});
    const std::vector<T> x = random_values<T>(size_t(rows * width), 6), scale = random_values<T>(size_t(width));
    std::vector<T> y(x.size());
    const auto input = view(x, width);
    const Matrix<T> output{y.data(), width};
    for (int function = 0; function < kFunctions; ++function) {
        if (Function(function) == Function::log || Function(function) == Function::sqrt) continue;  // NaN has bits
        run(table, Activate<T>{.rows = rows,
                               .width = width,
                               .input = input,
                               .output = output,
                               .activation = {Function(function), 0.25, 0.5}});
        hash.add(y);
    }
    for (const bool is_log : {false, true}) {
        run(table, Softmax<T>{.rows = rows, .width = width, .input = input, .output = output, .is_log = is_log});
        hash.add(y);
    }
    run(table, LayerNorm<T>{.rows = rows,
                            .width = width,
                            .input = input,
                            .weight = scale.data(),
                            .bias = x.data(),
                            .output = output});
    hash.add(y);
}

template <class T>
std::string lines(const KernelTable& table, const char* type) {
    struct Kind {
        const char* name;
        void (*add)(Hash&, const KernelTable&);
    };
    std::string all;
    for (const Kind kind : {Kind{"layer", add_layer<T>}, {"linear", add_linear<T>}, {"rows", add_rows<T>}}) {
        for (unsigned seed = 1; seed <= kCases; ++seed) {
            generator.seed(seed);
            Hash hash;
            kind.add(hash, table);
            char line[80];
            snprintf(line, sizeof(line), "%s %s %u %016llx\n", kind.name, type, seed, hash.value());
            all += line;
        }
    }
    return all;
}

bool has_fused_multiply_add(const KernelTable& table) { return strcmp(table.name, "baseline") != 0; }

int compare_levels() {
    std::string first;
    const Level* level;
    for (int left = levels(&level); left > 0; --left, ++level) {
        if (!level->is_available || !has_fused_multiply_add(*level->table)) continue;
        const std::string own = lines<float>(*level->table, "float32") + lines<double>(*level->table, "float64");
        fprintf(stderr, "%s: %s\n", level->table->name, first.empty() || own == first ? "as expected" : "DIFFERS");
        if (!first.empty() && own != first) return 1;
        first = own;
    }
    fputs(first.c_str(), stdout);
    return 0;
}

}  // namespace
}  // namespace fastgru

int main() { return fastgru::compare_levels(); }
