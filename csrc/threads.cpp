#include "threads.h"

#include <pthread.h>

#include <chrono>
#include <cstdint>

namespace fastgru {

namespace {

bool forked = false;

// GNU's OpenMP lets idle threads spin for some milliseconds before they sleep.
constexpr int64_t kAwakeNanoseconds = 200'000;
int64_t last_end = 0;

int64_t nanoseconds() {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

// Registered when the library is loaded.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

bool is_forked() { return forked; }

bool threads_are_awake() {
    return nanoseconds() - __atomic_load_n(&last_end, __ATOMIC_RELAXED) < kAwakeNanoseconds;
}

void note_end_of_call() { __atomic_store_n(&last_end, nanoseconds(), __ATOMIC_RELAXED); }

}  // namespace fastgru
