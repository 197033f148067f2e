// A word that one thread waits for and another sets: by which a thread of the pool gets its work, and its caller
// learns that it is done.
#pragma once

#include <stdint.h>

#include <atomic>
#include <chrono>

#include "host/platform.h"
#include "shared/barrier.h"

namespace fastgru {

// All times are in nanoseconds.
constexpr int64_t kMicrosecond = 1000;

inline int64_t now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::nanoseconds>(time).count();
}

class WaitWord {
  public:
    // Returns whether somebody had to be woken.
    bool set(uint32_t value) {
        // In one order with what a waiting thread does: either it sees the value, or we see that it sleeps.
        value_.store(value, std::memory_order_seq_cst);
        if (sleepers_.load(std::memory_order_seq_cst) == 0) return false;
        wake_one(value_);
        return true;
    }

    // Spins until the word is something else, for so long at most, then sleeps until it is.
    void wait_while(uint32_t value, int64_t patience) {
        if (!spin_while(value, patience)) sleep_while(value);
    }

  private:
    std::atomic<uint32_t> value_{0};
    std::atomic<uint32_t> sleepers_{0};

    bool is(uint32_t value) const { return value_.load(std::memory_order_acquire) == value; }

    // False if the word is still the same. Where the system takes the core away meanwhile, others want it, and
    // spinning ends.
    bool spin_while(uint32_t value, int64_t patience) const {
        constexpr int spins_between_looks = 32;
        constexpr int64_t preempted = 20 * kMicrosecond;
        const int64_t begin = is(value) ? now() : 0;
        int64_t last = begin;
        for (int spins = 1; is(value); ++spins) {
            pause_processor();
            if (spins % spins_between_looks != 0) continue;
            const int64_t time = now();
            if (time - begin >= patience || time - last > preempted) return !is(value);
            last = time;
        }
        return true;
    }

    void sleep_while(uint32_t value) {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        while (value_.load(std::memory_order_seq_cst) == value) sleep_on(value_, value);
        sleepers_.fetch_sub(1, std::memory_order_relaxed);
    }
};

}  // namespace fastgru
