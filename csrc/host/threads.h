// Threads are OpenMP's, so that a process with torch in it has one pool of threads.
#pragma once

#include <omp.h>

#if defined(FASTGRU_STD_THREADS)
#include <thread>
#include <vector>
#endif

namespace fastgru {

// True in a child process that was forked after this library was loaded. GNU's OpenMP would wait there forever for
// the parent's pool of threads, so such a child uses only the calling thread.
bool is_forked();

// Called after several threads have worked together.
void note_team();

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
    long begin_;
};

// Runs work(thread, threads) on up to `wanted` threads at once; OpenMP may grant fewer. `work` must not throw. The
// thread sanitizer knows nothing of OpenMP's locks and would report each of them, so builds for it take the
// standard library's threads.
template <class Work>
void on_threads(int wanted, const Work& work) {
    if (wanted <= 1 || is_forked()) {
        work(0, 1);
        return;
    }
#if defined(FASTGRU_STD_THREADS)
    std::vector<std::thread> team;
    for (int i = 1; i < wanted; ++i) team.emplace_back([&work, i, wanted] { work(i, wanted); });
    work(0, wanted);
    for (std::thread& thread : team) thread.join();
#else
#pragma omp parallel num_threads(wanted)
    work(omp_get_thread_num(), omp_get_num_threads());
#endif
    note_team();
}

// The part of thread `index` out of `count` of [0, total): contiguous and in order.
struct Share {
    long begin, end;
    Share(long total, int index, int count) : begin(total * index / count), end(total * (index + 1) / count) {}
};

// A counter from which threads take work items.
struct WorkQueue {
    alignas(64) long next = 0;
    long take() { return __atomic_fetch_add(&next, 1, __ATOMIC_RELAXED); }
};

}  // namespace fastgru
