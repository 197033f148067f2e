// How threads wait for each other between steps of a recurrence, which take well under a microsecond.
#pragma once

#include "shared/inline.h"

namespace fastgru {

// Tells the processor that this is a loop that waits.
FASTGRU_INLINE void pause_processor() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

// Lets another thread have this core for a while (host/threads.cpp).
void give_core_away();

// Spins for a bounded time, then gives its core away, so that a busy machine slows it down instead of
// stopping it.
template <class IsDone>
FASTGRU_INLINE void spin_until(const IsDone& is_done) {
    constexpr int spins_before_yield = 4000;  // some 50 to 100 us
    for (int spins = 0; !is_done(); ++spins) {
        if (spins >= spins_before_yield) {
            give_core_away();
            continue;
        }
        pause_processor();
    }
}

struct Barrier {
    alignas(64) int waiting = 0;
    alignas(64) int round = 0;

    // Returns when `threads` threads have come here.
    FASTGRU_INLINE void wait(int threads) {
        if (threads == 1) return;
        const int now = __atomic_load_n(&round, __ATOMIC_RELAXED);
        if (__atomic_add_fetch(&waiting, 1, __ATOMIC_ACQ_REL) == threads) {
            __atomic_store_n(&waiting, 0, __ATOMIC_RELAXED);
            __atomic_store_n(&round, now + 1, __ATOMIC_RELEASE);
            return;
        }
        spin_until([&]() FASTGRU_INLINED { return __atomic_load_n(&round, __ATOMIC_ACQUIRE) != now; });
    }
};

}  // namespace fastgru
