// The core against the equations and against itself, without Python: for the sanitizers (scripts/sanitize).
//
//   self_test [PROBLEMS [emulated]]     emulated: small problems, and no forks
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/self_test/checks.h"

using namespace fastgru;

// Windows has no forks.
static bool check_children() {
#if !defined(_WIN32)
    if (!is_emulated) {
        if (!check_fork() || !check_pool_in_children()) return false;
        return printf("forked children agree, and share no lock of the pool\n"), true;
    }
#endif
    return printf("no child was forked\n"), true;
}

int main(int argc, char** argv) {
    setvbuf(stdout, nullptr, _IONBF, 0);  // a file has each line as soon as it is true: emulators take long
    const int problems = argc > 1 ? atoi(argv[1]) : 200;
    is_emulated = argc >= 3 && strcmp(argv[2], "emulated") == 0;
    for (int i = 0; i < problems; ++i)
        if (!check_problem() || !check_halves() || !check_stored() || !check_rows()) return 1;
    if (!check_rounding()) return 1;
    printf("%d problems of each type agree with the equations, at every level, the same bits on any threads\n",
           problems);
    if (!check_concurrent_calls()) return 1;
    printf("concurrent calls agree\n");
    if (!check_children()) return 1;
    if (!check_team() || !check_callers() || !check_plan()) return 1;
    printf("teams and plans are as they should be\n");
    if (!check_tangents()) return 1;
    printf("second derivatives agree with differences of gradients, at every level\n");
    return 0;
}
