// The pool and the team by themselves, without a call.
#include "selftest.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "threads.h"
#include "workspace.h"

namespace fastgru {

namespace {

constexpr int kForks = 300;
constexpr unsigned kSecondsForAChild = 20;
constexpr size_t kBlock = 1 << 16;

// Whether a child gets a block from the pool; one that waits for ever is ended by its own alarm.
bool child_gets_a_block() {
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
        alarm(kSecondsForAChild);
        const Block block(kBlock);
        _exit(block.data() == nullptr);
    }
    int status = 1;
    return waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace

bool check_pool_in_children() {
    std::atomic<bool> ends{false};
    std::vector<std::thread> busy;
    for (int i = 0; i < 2; ++i)
        busy.emplace_back([&] {
            while (!ends) const Block block(kBlock);
        });
    int forks = 0;
    while (forks < kForks && child_gets_a_block()) ++forks;
    ends = true;
    for (std::thread& thread : busy) thread.join();
    if (forks < kForks) printf("the child of fork %d gets no block of the pool\n", forks);
    return forks == kForks;
}

bool check_team() {
    constexpr useconds_t slow = 3000, long_ago = 1000;
    for (int i = 0; i < 2; ++i) {
        const Team team(2, 1);
        usleep(slow);  // no other thread took part, so none was waited for
    }
    if (Team(2, 1).threads() != 2) return printf("one slow thread is taken for a crowded machine\n"), false;
    // Threads that worked a moment ago are awake; a try may last longer than they stay so.
    for (int i = 0; i < 100; ++i) {
        usleep(long_ago);
        if (Team(2, 1000).is_awake()) return printf("threads that slept for long count as awake\n"), false;
        usleep(long_ago);
        {
            const Team team(2, 1000);
            on_threads(2, [](int, int) {});
        }
        if (Team(2, 1000).is_awake()) return true;
    }
    return printf("threads that have just worked count as asleep\n"), false;
}

}  // namespace fastgru
