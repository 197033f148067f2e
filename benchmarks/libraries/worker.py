"""One contender at one number of threads, in its own process and environment: JSON lines in, JSON lines out."""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time

import numpy as np

from libraries.cases import Case, numbers

# Rounding alone differs by 1e-6; a wrong gate order by 1.
_RELATIVE_DIFFERENCE = 1e-3
_PAUSE = 0.01


def largest_difference(found, expected):
    """The largest difference of any array, relative to the largest value that array should have."""
    return max(float(np.abs(found[name] - expected[name]).max() / np.abs(expected[name]).max()) for name in expected)


class Contender:
    """The state of the worker between requests."""

    def __init__(self, module, function, threads):
        self._module = importlib.import_module(f"libraries.{module}")
        self._make, self._threads = getattr(self._module, function), threads
        self.versions = self._module.VERSIONS
        self._run = self._results = self._seconds = None

    def prepare(self, case, reference):
        """Makes the call and checks its results; the first one writes the reference. Returns seconds per call."""
        self._run = self._results = None
        gc.collect()
        case = Case(**case)
        # Both are kept: libraries that borrow x keep no reference to it, but `results` does.
        self._run, self._results = self._make(case, *numbers(case), self._threads)
        found = self._results()
        if os.path.exists(reference):
            with np.load(reference) as expected:
                difference = largest_difference(found, expected)
            if not difference <= _RELATIVE_DIFFERENCE:
                raise ValueError(f"results differ from torch's by {difference:.1g}")
        else:
            np.savez(reference, **found)
        self._seconds = self._timed(1)
        if self._seconds < 10 * _PAUSE:
            self._seconds = min(self._timed(3) for _ in range(3))
        return self._seconds

    def turn(self, seconds):
        """Mean seconds of a call, over about that time, after a pause in which other threads stop spinning."""
        time.sleep(_PAUSE)
        if self._seconds < seconds:
            self._run()  # brings the weights back into the cache
        return self._timed(max(1, int(seconds / self._seconds)))

    def _timed(self, calls):
        run, start = self._run, time.perf_counter()
        for _ in range(calls):
            run()
        return (time.perf_counter() - start) / calls


def main():
    """Answers each request with {"answer": ...} or {"error": ...}."""
    # Libraries may print: that goes to the error stream.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, function, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    if module == "jax_gru":  # its thread pool has as many threads as there are processors
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    contender = Contender(module, function, threads)
    gc.disable()
    print(json.dumps({"answer": contender.versions}), file=answers)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        try:
            reply = {"answer": getattr(contender, name)(*arguments)}
        except Exception as error:
            reply = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(json.dumps(reply), file=answers)


if __name__ == "__main__":
    main()
