// The team and the plan by themselves, without a call.
#include "tools/self_test/checks.h"

#include <stdio.h>

#include <chrono>
#include <initializer_list>
#include <thread>

#include "host/plan.h"
#include "host/threads.h"

namespace fastgru {

namespace {

using std::chrono::microseconds;
using std::this_thread::sleep_for;

// A layer of float32 at AVX-512, as wide as its input.
LayerShape shape_of(ptrdiff_t H, ptrdiff_t B, ptrdiff_t T, int threads, bool is_awake) {
    return {
        .steps = T,
        .batch = B,
        .total = T * B,
        .width = H,
        .hidden_size = H,
        .directions = 1,
        .lanes = 16,
        .tile_rows = 8,
        .value_bytes = sizeof(float),
        .weight_bytes = sizeof(float),
        .threads = threads,
        .is_awake = is_awake,
        .is_ragged = false,
        .partition = Partition::best,
    };
}

bool is_told(bool is_right, const char* what, const LayerShape& shape) {
    if (!is_right)
        printf("%s: H %td B %td T %td threads %d awake %d: forward takes %d, backward %d\n", what,
               shape.hidden_size, shape.batch, shape.steps, shape.threads, shape.is_awake,
               plan_forward(shape).threads, plan_backward(shape).threads);
    return is_right;
}

// One row of a narrow layer has little to share; a wide layer with many rows has work for all.
bool check_how_many(bool is_awake, int threads) {
    bool is_right = true;
    for (const ptrdiff_t H : {32, 64}) {
        for (const ptrdiff_t T : {1, 100, 1000}) {
            const LayerShape one_row = shape_of(H, 1, T, threads, is_awake);
            is_right &= is_told(plan_forward(one_row).threads <= 2, "too many", one_row);
            is_right &= is_told(plan_backward(one_row).threads <= 4, "too many", one_row);
        }
        const LayerShape eight_rows = shape_of(H, 8, 100, threads, is_awake);
        is_right &= is_told(plan_forward(eight_rows).threads <= 8, "more than rows", eight_rows);
        is_right &= is_told(plan_backward(eight_rows).threads < threads, "too many", eight_rows);
    }
    const LayerShape wide = shape_of(1024, 128, 100, threads, is_awake);
    is_right &= is_told(plan_forward(wide).threads == threads, "too few", wide);
    is_right &= is_told(plan_backward(wide).threads == threads, "too few", wide);
    return is_right;
}

// The order in which gradients are summed, and so their bits, must not depend on the threads.
bool check_chunks() {
    for (const ptrdiff_t H : {32, 100, 1024})
        for (const ptrdiff_t B : {1, 7, 300})
            for (const int threads : {2, 3, 17, 64}) {
                const LayerShape one = shape_of(H, B, 1000, 1, true), many = shape_of(H, B, 1000, threads, true);
                if (!is_told(plan_backward(one).chunk_steps == plan_backward(many).chunk_steps, "chunks differ",
                             many))
                    return false;
            }
    return true;
}

// Layers run at once where there are several, of few rows, and enough steps to be behind each other.
bool check_layers_at_once(bool is_awake) {
    const auto threads = [&](ptrdiff_t H, ptrdiff_t B, ptrdiff_t T, ptrdiff_t layers) {
        const LayerShape shape = shape_of(H, B, T, 2, is_awake);
        return plan_layers_at_once(shape, shape, layers).threads;
    };
    if (threads(64, 1, 100, 2) == 2 && threads(64, 1, 100, 1) == 1 && threads(64, 1, 4, 2) == 1 &&
        threads(64, 32, 100, 2) == 1 && threads(1024, 1, 100, 2) == 1)
        return true;
    return printf("layers run at once where they should not, or do not where they should\n"), false;
}

bool check_whole_calls() {
    const int few = threads_for_calls(64, 0.2, 64, true), all = threads_for_calls(64, 1000, 64, true);
    const int alone = threads_for_calls(2, 0.5, 64, false), no_more = threads_for_calls(5, 1000, 64, false);
    if (few > 8 || all != 64 || alone != 1 || no_more != 5)
        return printf("whole calls are taken by %d, %d, %d, %d threads\n", few, all, alone, no_more), false;
    return true;
}

}  // namespace

bool check_team() {
    constexpr microseconds slow{3000}, long_ago{1000};
    for (int i = 0; i < 2; ++i) {
        const Team team(2, 1);
        sleep_for(slow);  // no other thread took part, so none was waited for
    }
    if (Team(2, 1).threads() != 2) return printf("one slow thread is taken for a crowded machine\n"), false;
    // Threads that worked a moment ago are awake; a try may last longer than they stay so.
    for (int i = 0; i < 100; ++i) {
        sleep_for(long_ago);
        if (Team(2, 1000).is_awake()) return printf("threads that slept for long count as awake\n"), false;
        sleep_for(long_ago);
        {
            const Team team(2, 1000);
            on_threads(2, [](int, int) {});
        }
        if (Team(2, 1000).is_awake()) return true;
    }
    return printf("threads that have just worked count as asleep\n"), false;
}

// A call that is alone may have all threads; beside another one only those that are left.
bool check_callers() {
    const int cores = int(std::thread::hardware_concurrency());
    {
        const Team first(cores, 1000), second(cores, 1000);
        if (first.threads() != cores || second.threads() > (cores > 1 ? cores - 1 : 1))
            return printf("two callers get %d and %d threads\n", first.threads(), second.threads()), false;
    }
    sleep_for(microseconds(3000));  // longer than callers stay away between two calls
    const Team alone(cores, 1000);
    return alone.threads() == cores || (printf("a call that is alone gets %d threads\n", alone.threads()), false);
}

bool check_plan() {
    bool is_right = check_chunks() && check_whole_calls();
    for (const bool is_awake : {false, true})
        is_right &= check_how_many(is_awake, 64) && check_layers_at_once(is_awake);
    return is_right;
}

}  // namespace fastgru
