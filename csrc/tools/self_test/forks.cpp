// Calls from forked children, on systems that have them. Windows has none, so this file is not built there.
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>
#include <vector>

#include "tools/self_test/by_the_core.h"
#include "tools/self_test/checks.h"

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

bool check_fork() {
    Problem<float> p;
    fill(p);
    const Results<float> wanted = by_the_core(p, active_table(), 2, false);
    fflush(stdout);  // or the child would print it again
    const pid_t child = fork();
    if (child == 0) _exit(by_the_core(p, active_table(), 2, false) == wanted ? 0 : 1);
    int status = 1;
    if (waitpid(child, &status, 0) == child && status == 0) return true;
    return printf("a call in a forked child is wrong\n"), false;
}

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

}  // namespace fastgru
