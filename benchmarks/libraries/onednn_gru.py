"""oneDNN's lbr_gru through its C++ interface; `make-environments` compiles `onednn_gru.cpp` into the environment."""

from __future__ import annotations

import ctypes
import sys
from pathlib import Path

import numpy as np

from libraries.cases import update_first

_LIBRARY = ctypes.CDLL(str(Path(sys.prefix) / "onednn_gru.so"))
_LIBRARY.gru_make.restype = ctypes.c_void_p
_LIBRARY.gru_make.argtypes = [ctypes.c_long] * 3 + [ctypes.c_void_p] * 5
_LIBRARY.gru_run.argtypes = [ctypes.c_void_p]
_LIBRARY.gru_results.argtypes = [ctypes.c_void_p] * 4
_LIBRARY.gru_free.argtypes = [ctypes.c_void_p]
_LIBRARY.gru_version.restype = ctypes.c_char_p

VERSIONS = {"onednn": _LIBRARY.gru_version().decode()}


class _Handle(int):
    """A GRU in the library, freed with the closures that hold it."""

    def __del__(self):
        _LIBRARY.gru_free(self)


def make(case, weights, x, d_output, threads):
    """A call of the primitive, and its results; the worker has set OMP_NUM_THREADS before the import."""
    size = case.hidden
    matrices = [np.ascontiguousarray(update_first(weights[name]).T) for name in ("weight_ih", "weight_hh")]
    b_ih, b_hh = (update_first(weights[name]) for name in ("bias_ih", "bias_hh"))
    # Four biases: z, r, n of the input, and n of the state, which alone stays inside the reset gate's product.
    bias = np.concatenate([b_ih[: 2 * size] + b_hh[: 2 * size], b_ih[2 * size :], b_hh[2 * size :]])
    arrays = [*matrices, bias, x]
    addresses = [array.ctypes.data for array in arrays] + [d_output.ctypes.data if case.train else None]
    handle = _Handle(_LIBRARY.gru_make(case.steps, case.batch, size, *addresses))

    def results():
        _LIBRARY.gru_run(handle)
        output, d_x, d_weight_hh = np.empty_like(x), np.empty_like(x), np.empty((size, 3 * size), np.float32)
        _LIBRARY.gru_results(handle, output.ctypes.data, d_x.ctypes.data, d_weight_hh.ctypes.data)
        if not case.train:
            return {"output": output}
        # Back to rows r, z, n: the same exchange of the first two.
        return {"output": output, "weight_hh": update_first(d_weight_hh.T), "x": d_x}

    return lambda: _LIBRARY.gru_run(handle), results
