"""oneDNN's primitives lbr_gru and gru; `onednn_layer.cpp` is compiled into the environment."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
from cases import Case, cases

CASES = cases(resets=(True, False))
NAMES = ("weights_layer", "weights_iter", "bias")


def _library() -> ctypes.CDLL:
    source, path = Path(__file__).with_name("onednn_layer.cpp"), Path(sys.prefix, "onednn_layer.so")
    flags = [f"-I{sys.prefix}/include", f"-L{sys.prefix}/lib", "-ldnnl", f"-Wl,-rpath,{sys.prefix}/lib"]
    compiler = os.environ.get("CXX", "c++")
    subprocess.run([compiler, "-std=c++17", "-shared", "-fPIC", str(source), "-o", str(path), *flags], check=True)
    library = ctypes.CDLL(str(path))
    library.run_gru.restype = ctypes.c_char_p
    library.run_gru.argtypes = [ctypes.c_bool, *[ctypes.c_long] * 6, *[ctypes.c_void_p] * 3]
    return library


LIBRARY = _library()


def make(features: int, hidden: int, case: Case, seed: int) -> dict[str, np.ndarray]:
    """Arrays of a primitive of one layer: it has no initial values of its own."""
    random = np.random.default_rng(seed)
    shapes = [(features, 3, hidden), (hidden, 3, hidden), (4 if case.reset_after else 3, hidden)]
    arrays = [random.uniform(-0.6, 0.6, (1, 1 + case.bidirectional, *shape)).astype(np.float32) for shape in shapes]
    return dict(zip(NAMES, arrays, strict=True))


def run(arrays: dict[str, np.ndarray], x: np.ndarray, case: Case) -> np.ndarray:
    """The outputs (T, B, D*H) of a primitive with these arrays."""
    layers, directions, features, _, hidden = arrays["weights_layer"].shape
    plain = [np.ascontiguousarray(arrays[name]) for name in NAMES]
    addresses = (ctypes.c_void_p * 3)(*[array.ctypes.data for array in plain])
    x = np.ascontiguousarray(x)
    y = np.empty((*x.shape[:2], directions * hidden), np.float32)
    sizes = (layers, directions, *x.shape[:2], features, hidden)
    problem = LIBRARY.run_gru(case.reset_after, *sizes, addresses, x.ctypes.data, y.ctypes.data)
    if problem:
        raise RuntimeError(f"oneDNN: {problem.decode()}")
    return y
