#include "threads.h"

#include <pthread.h>

namespace fastgru {

namespace {

bool forked = false;

// Registered when the library is loaded.
[[maybe_unused]] const int registered = pthread_atfork(nullptr, nullptr, [] { forked = true; });

}  // namespace

bool is_forked() { return forked; }

}  // namespace fastgru
