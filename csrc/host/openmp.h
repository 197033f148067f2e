// The threads of the OpenMP library that another part of the process has loaded, as torch does.
//
// Idle threads of OpenMP spin for some milliseconds. Threads of our own would compete with them for the cores, so
// where there is OpenMP its threads work for us too. We are linked with none: a second copy would be a second pool.
#pragma once

#include "host/shared_work.h"

namespace fastgru {

// Whether the process has one. It may get one at any time; one that came a moment ago may not be known yet.
bool has_openmp();

// Runs the work on up to `wanted` threads; OpenMP may grant fewer. Only where there is OpenMP.
void run_on_openmp(int wanted, const SharedWork& work);

}  // namespace fastgru
