// What each partition of a layer among threads takes, beside the one that host/plan.cpp chooses: the figures its
// estimate is fitted to. Prints the table of host/plan.md; run it on a quiet machine.
//
//   time_partitions LEVEL forward|backward|stack THREADS
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <chrono>
#include <vector>

#include "fastgru.h"
#include "host/rows.h"
#include "tools/one_layer.h"

using namespace fastgru;

namespace {

constexpr ptrdiff_t kSteps = 100;
constexpr double kMicrosecondsPerRound = 5'000;
constexpr int kPasses = 8;  // over the whole grid: what disturbs lasts seconds
constexpr Partition kPartitions[] = {Partition::alone, Partition::rows, Partition::columns, Partition::ahead};
constexpr const char* kNames[] = {"alone", "rows", "columns", "ahead"};

double now() {
    using namespace std::chrono;
    return duration<double, std::micro>(steady_clock::now().time_since_epoch()).count();
}

// One layer, and workspace that is kept from call to call.
struct Problem {
    OneLayer layer;
    int threads;

    template <class Call>
    void once(Call call, Partition partition) const {
        call.threads = threads;
        call.is_awake = true;
        call.partition = partition;
        static size_t held = 0;
        static void* workspace = nullptr;
        const size_t bytes = workspace_bytes(active_table(), call);
        if (bytes > held) {
            free_aligned(workspace);
            workspace = memory_for(call);
            held = bytes;
        }
        run(active_table(), call, workspace);
    }

    void forward(Partition partition) { once(forward_of(layer, true), partition); }
    void backward(Partition partition) { once(backward_of(layer), partition); }
};

Problem problem_of(ptrdiff_t H, ptrdiff_t B, int threads, ptrdiff_t layers = 1) {
    return {.layer = {.H = H, .B = B, .T = kSteps, .layers = layers}, .threads = threads};
}

LayerShape shape_of(Problem problem) {
    Forward<float> call = forward_of(problem.layer, true);
    call.threads = problem.threads;
    call.is_awake = true;
    return layer_shape(active_table().float32, call, 0);
}

struct Figures {
    ptrdiff_t H, B;
    double least[4];  // microseconds of each partition, in the best round
};

// The mean of a round of calls, if it is less.
template <class Once>
double least_of(double least, const Once& once) {
    const double begin = now();
    int calls = 0;
    do {
        once();
        ++calls;
    } while (now() - begin < kMicrosecondsPerRound);
    const double mean = (now() - begin) / calls;
    return mean < least ? mean : least;
}

// One round of each partition.
void measure(Problem& problem, bool is_backward, double (&least)[4]) {
    for (int i = 0; i < (is_backward ? 3 : 4); ++i)
        least[i] = least_of(
            least[i], [&] { is_backward ? problem.backward(kPartitions[i]) : problem.forward(kPartitions[i]); });
}

void print(const Figures& figures, int threads, bool is_backward) {
    const LayerShape shape = shape_of(problem_of(figures.H, figures.B, threads));
    const Partition chosen = is_backward ? plan_backward(shape).partition : plan_forward(shape).partition;
    printf("| %td | %td |", figures.H, figures.B);
    double own = 0, best = 1e30;
    for (int i = 0; i < (is_backward ? 3 : 4); ++i) {
        printf(" %.0f |", figures.least[i]);
        if (figures.least[i] < best) best = figures.least[i];
        if (kPartitions[i] == chosen) own = figures.least[i];
    }
    printf(" %s | %.0f %% |\n", kNames[int(chosen) - int(Partition::alone)], (own / best - 1) * 100);
}

// Layers one after another, each divided as well as possible, beside all of them at once.
void time_stacks(int threads) {
    printf("| layers | H | B | in turn | at once | chosen |\n|---|---|---|---|---|---|\n");
    for (const ptrdiff_t layers : {2, 3})
        for (const ptrdiff_t H : {16, 32, 64, 128, 256})
            for (const ptrdiff_t B : {1, 2, 4, 8}) {
                Problem stack = problem_of(H, B, threads, layers), one = problem_of(H, B, threads);
                double in_turn = 1e30, at_once = 1e30;
                for (int pass = 0; pass < kPasses; ++pass) {
                    in_turn = least_of(in_turn, [&] { one.forward(Partition::best); });
                    at_once = least_of(at_once, [&] { stack.forward(Partition::layers); });
                }
                const LayerShape shape = shape_of(stack);
                const bool is_chosen = plan_layers_at_once(shape, shape, layers).threads > 1;
                printf("| %td | %td | %td | %.0f | %.0f | %s |\n", layers, H, B, double(layers) * in_turn, at_once,
                       is_chosen ? "at once" : "in turn");
                fflush(stdout);
            }
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4 || !set_active_level(argv[1])) {
        fprintf(stderr,
                "usage: time_partitions LEVEL forward|backward|stack THREADS, at a level of this machine\n");
        return 2;
    }
    const bool is_backward = strcmp(argv[2], "backward") == 0;
    const int threads = atoi(argv[3]);
    if (strcmp(argv[2], "stack") == 0) return time_stacks(threads), 0;
    std::vector<Figures> grid;
    for (const ptrdiff_t H : {32, 64, 128, 256, 512, 1024})
        for (const ptrdiff_t B : {1, 2, 3, 4, 5, 8, 16, 32}) grid.push_back({H, B, {1e30, 1e30, 1e30, 1e30}});
    for (int pass = 0; pass < kPasses; ++pass) {
        for (Figures& figures : grid) {
            Problem problem = problem_of(figures.H, figures.B, threads);
            problem.forward(Partition::alone);  // fills what the backward pass reads
            measure(problem, is_backward, figures.least);
        }
    }
    printf("| H | B | alone | rows | columns%s | chosen | slower than the best |\n", is_backward ? "" : " | ahead");
    printf("|---|---|---|---|---|%s---|---|\n", is_backward ? "" : "---|");
    for (const Figures& figures : grid) print(figures, threads, is_backward);
    return 0;
}
