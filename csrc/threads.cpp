#include "threads.h"

#include <pthread.h>

#include <chrono>

namespace fastgru {

namespace {

bool forked = false;

constexpr long kMicrosecond = 1000;  // all times in nanoseconds

// GNU's OpenMP lets idle threads spin for some milliseconds before they sleep.
constexpr long kAwake = 200 * kMicrosecond;
// Where other programs keep the cores busy, a call waits for a thread until the system gives it its turn, which
// takes milliseconds. A call that lasted so much longer than it should is taken as a sign of that; for a while,
// calls shorter than such a wait then stay on one thread. What is left is one slow call in so much time.
constexpr double kMostTimesSlower = 8;
constexpr long kLeastDelay = 1000 * kMicrosecond;
constexpr long kCrowded = 100'000 * kMicrosecond;
constexpr double kShortMicroseconds = 5000;

long last_end = 0;
long crowded_until = 0;

long now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return long(std::chrono::duration_cast<std::chrono::nanoseconds>(time).count());
}

// Registered when the library is loaded.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

bool is_forked() { return forked; }

Team::Team(int wanted, double microseconds) : microseconds_(microseconds), threads_(wanted), begin_(now()) {
    is_awake_ = begin_ - __atomic_load_n(&last_end, __ATOMIC_RELAXED) < kAwake;
    const bool is_crowded = begin_ < __atomic_load_n(&crowded_until, __ATOMIC_RELAXED);
    if (is_crowded && microseconds < kShortMicroseconds) threads_ = 1;
}

Team::~Team() {
    const long end = now();
    const double most = kMostTimesSlower * microseconds_ * double(kMicrosecond) + double(kLeastDelay);
    if (threads_ > 1 && double(end - begin_) > most)
        __atomic_store_n(&crowded_until, end + kCrowded, __ATOMIC_RELAXED);
    __atomic_store_n(&last_end, end, __ATOMIC_RELAXED);
}

}  // namespace fastgru
