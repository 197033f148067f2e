// Single steps from C++ of a GRU layer of RTNeural and of ours, in turns in one process, on one thread.
//
// RTNeural's layer has its sizes as template arguments, so the compiler unrolls it; ours takes any size. Both keep
// a state and have their weights in an order of their own. benchmarks/rtneural-steps compiles this and runs it.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <vector>

#include "RTNeural/RTNeural.h"
#include "fastgru.h"
#include "host/workspace.h"

namespace {

using Values = std::vector<float>;
using Clock = std::chrono::steady_clock;
constexpr int kRounds = 51;
constexpr double kMostDifference = 1e-4;  // RTNeural's tanh and sigmoid are Eigen's, which are not exact

Values random_values(size_t count, float bound, std::mt19937& random) {
    std::uniform_real_distribution<float> uniform(-bound, bound);
    Values values(count);
    for (float& value : values) value = uniform(random);
    return values;
}

// One layer as wide as its input, rows r, z, n.
struct Weights {
    ptrdiff_t H;
    Values ih, hh, bias_ih, bias_hh;

    explicit Weights(ptrdiff_t hidden) : H(hidden) {
        std::mt19937 random(0);
        const float bound = 1 / sqrtf(float(H));
        ih = random_values(size_t(3 * H * H), bound, random), hh = random_values(size_t(3 * H * H), bound, random);
        bias_ih = random_values(size_t(3 * H), bound, random),
        bias_hh = random_values(size_t(3 * H), bound, random);
    }
};

class OurSteps {
  public:
    explicit OurSteps(const Weights& w)
        : H_(w.H),
          cell_{.weight_ih = w.ih.data(),
                .weight_hh = w.hh.data(),
                .bias_ih = w.bias_ih.data(),
                .bias_hh = w.bias_hh.data()},
          spec_{.input_size = H_, .hidden_size = H_, .num_layers = 1, .num_directions = 1},
          state_(size_t(H_)),
          output_(size_t(H_)),
          packed_(fastgru::packed_bytes<float>(fastgru::active_table(), spec_)) {
        fastgru::pack<float>(fastgru::active_table(), spec_, &cell_, packed_.data());
        call_ = {.spec = spec_,
                 .batch = {.steps = 1, .rows = 1},
                 .input = {.data = nullptr, .row_stride = H_, .step_stride = H_, .is_flat = false},
                 .h_0 = state_.data(),
                 .cells = &cell_,
                 .output = {.data = output_.data(), .row_stride = H_, .step_stride = H_, .is_flat = false},
                 .h_n = state_.data(),
                 .packed = packed_.data()};
        memory_ = std::make_unique<fastgru::Block>(workspace_bytes(fastgru::active_table(), call_));
    }

    void reset() { std::fill(state_.begin(), state_.end(), 0.0f); }
    const float* step(const float* x) {
        call_.input.data = x;
        run(fastgru::active_table(), call_, memory_->data());
        return output_.data();
    }

  private:
    ptrdiff_t H_;
    fastgru::Cell<float> cell_;
    fastgru::Spec spec_;
    Values state_, output_;
    fastgru::Block packed_;
    fastgru::Forward<float> call_{};
    std::unique_ptr<fastgru::Block> memory_;
};

template <int H>
class TheirSteps {
  public:
    explicit TheirSteps(const Weights& w) {
        layer_.setWVals(columns(w.ih)), layer_.setUVals(columns(w.hh));
        layer_.setBVals({update_first(w.bias_ih.data(), 1), update_first(w.bias_hh.data(), 1)});
        layer_.reset();
    }

    void reset() { layer_.reset(); }
    const float* step(const float* x) {
        std::copy(x, x + H, input_.data());
        layer_.forward(input_);
        return layer_.outs.data();
    }

  private:
    // Values of rows r, z, n as z, r, n.
    static Values update_first(const float* values, ptrdiff_t stride) {
        Values result;
        for (int gate : {1, 0, 2})
            for (int i = 0; i < H; ++i) result.push_back(values[(gate * H + i) * stride]);
        return result;
    }
    static std::vector<Values> columns(const Values& matrix) {
        std::vector<Values> result;
        for (int k = 0; k < H; ++k) result.push_back(update_first(matrix.data() + k, H));
        return result;
    }

    RTNeural::GRULayerT<float, H, H> layer_;
    Eigen::Matrix<float, H, 1> input_;
};

// Largest difference of the outputs of some steps.
template <class A, class B>
double difference(A& ours, B& theirs, const Values& x, ptrdiff_t H) {
    double most = 0;
    ours.reset(), theirs.reset();
    for (size_t at = 0; at < x.size(); at += size_t(H)) {
        const float *a = ours.step(&x[at]), *b = theirs.step(&x[at]);
        for (ptrdiff_t i = 0; i < H; ++i) most = std::max(most, fabs(double(a[i]) - double(b[i])));
    }
    return most;
}

template <class Steps>
double seconds_of(Steps& steps, const Values& x, ptrdiff_t H, int calls) {
    const size_t count = x.size() / size_t(H);
    const auto start = Clock::now();
    for (int i = 0; i < calls; ++i) steps.step(&x[size_t(i) % count * size_t(H)]);
    return std::chrono::duration<double>(Clock::now() - start).count() / calls;
}

double median(Values& values) {
    std::sort(values.begin(), values.end());
    return values[values.size() / 2];
}

template <int H>
void compare() {
    const Weights weights(H);
    std::mt19937 random(1);
    const Values x = random_values(size_t(16 * H), 1, random);
    OurSteps ours(weights);
    const auto theirs = std::make_unique<TheirSteps<H>>(weights);
    const double most = difference(ours, *theirs, x, H);
    if (!(most < kMostDifference)) {
        fprintf(stderr, "H=%d: outputs differ by %g\n", H, most);
        exit(1);
    }
    const int calls = std::max(20, int(2e-3 / seconds_of(ours, x, H, 100)));
    Values our_times, their_times;
    for (int round = 0; round < kRounds; ++round) {
        our_times.push_back(float(seconds_of(ours, x, H, calls)));
        their_times.push_back(float(seconds_of(*theirs, x, H, calls)));
    }
    const double our_us = median(our_times) * 1e6, their_us = median(their_times) * 1e6;
    printf("%6d %12.3f %12.3f %14.2f\n", H, their_us, our_us, their_us / our_us);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 2 || !fastgru::set_active_level(argv[1])) {
        fprintf(stderr, "usage: rtneural_steps LEVEL, a level of this machine\n");
        return 2;
    }
    printf("level %s, one row, one step, microseconds\n%6s %12s %12s %14s\n", argv[1], "H", "RTNeural", "fastgru",
           "RTNeural/ours");
    compare<8>(), compare<16>(), compare<24>(), compare<32>(), compare<64>(), compare<128>();
    return 0;
}
