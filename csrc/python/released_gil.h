// Python's lock, given up for a while.
#pragma once

#include <nanobind/nanobind.h>

#include "host/platform.h"

namespace fastgru::python {

// At the end of a process Python ends each daemon thread that asks for the lock again: an exception comes, and may
// not pass a destructor. Here such a thread sleeps until the process is gone, as it does from Python 3.14 on.
class ReleasedGil {
  public:
    ReleasedGil() : state_(PyEval_SaveThread()) {}
    ~ReleasedGil() {
        try {
            PyEval_RestoreThread(state_);
        } catch (...) {
            sleep_for_ever();
        }
    }
    ReleasedGil(const ReleasedGil&) = delete;
    ReleasedGil& operator=(const ReleasedGil&) = delete;

  private:
    PyThreadState* state_;
};

}  // namespace fastgru::python
