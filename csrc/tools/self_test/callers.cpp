// Calls from several threads at once.
#include <stdio.h>

#include <thread>

#include "tools/self_test/by_the_core.h"
#include "tools/self_test/checks.h"

namespace fastgru {

bool check_concurrent_calls() {
    Problem<float> p;
    fill(p);
    const Results<float> wanted = by_the_core(p, active_table(), 1, false);
    bool is_right[4] = {};
    std::vector<std::thread> callers;
    for (bool& own : is_right)
        callers.emplace_back([&] {
            own = true;
            for (int i = 0; i < 10; ++i) own &= by_the_core(p, active_table(), 2, i % 2 == 0) == wanted;
        });
    for (std::thread& caller : callers) caller.join();
    if (is_right[0] && is_right[1] && is_right[2] && is_right[3]) return true;
    return printf("concurrent calls disturb each other\n"), false;
}

}  // namespace fastgru
