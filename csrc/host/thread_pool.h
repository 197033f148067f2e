// The core's own threads, for processes without OpenMP: started when a call first wants them, kept for the next
// ones, and asleep meanwhile.
//
// A child process that is forked has none of them and starts its own.
#pragma once

#include "host/shared_work.h"

namespace fastgru {

// Runs the work on the calling thread and on `wanted` - 1 others, or on fewer where the system starts no more.
void run_on_pool(int wanted, const SharedWork& work);

// Called around a fork.
void lock_threads();
void unlock_threads();
void forget_threads();

}  // namespace fastgru
