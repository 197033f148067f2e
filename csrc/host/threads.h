// Threads that work together: those of the process's OpenMP, so that a process with torch in it has one pool of
// threads, and the core's own where there is none and in a forked child, where OpenMP's no longer work.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "host/shared_work.h"

namespace fastgru {

// Decides how many threads a call should request, based on the calls before it. Created at the beginning of a call
// and destroyed at its end.
class Team {
  public:
    // `microseconds` is about what one thread would take.
    Team(int wanted, double microseconds);
    ~Team();
    Team(const Team&) = delete;
    Team& operator=(const Team&) = delete;

    int threads() const { return threads_; }
    // Whether a call ended so recently that its threads still spin and start work immediately. Sleeping threads
    // take 45 to 85 us to wake up, longer than many calls take.
    bool is_awake() const { return is_awake_; }

  private:
    double microseconds_;
    int threads_;
    bool is_awake_;
    int64_t begin_;
};

void run_on_threads(int wanted, const SharedWork& work);

// Runs work(thread, threads) on up to `wanted` threads at once. `work` must not throw.
template <class Work>
void on_threads(int wanted, const Work& work) {
    if (wanted <= 1) return work(0, 1);
    const auto run = [](const void* context, int thread, int threads) {
        (*static_cast<const Work*>(context))(thread, threads);
    };
    run_on_threads(wanted, {run, &work});
}

// A part of some work: that of thread `index` out of `count` of [0, total), contiguous and in order; or a given
// one.
struct Share {
    ptrdiff_t begin, end;
    Share(ptrdiff_t begin_, ptrdiff_t end_) : begin(begin_), end(end_) {}
    Share(ptrdiff_t total, int index, int count) : begin(total * index / count), end(total * (index + 1) / count) {}
};

// A counter from which threads take work items.
struct WorkQueue {
    alignas(64) ptrdiff_t next = 0;
    ptrdiff_t take() { return __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED); }
};

}  // namespace fastgru
