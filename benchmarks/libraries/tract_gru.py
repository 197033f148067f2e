"""tract, inference only, with the model that ONNX Runtime runs. It uses one thread."""

from __future__ import annotations

import tempfile
from pathlib import Path

import tract

from libraries.onnx_model import model

VERSIONS = {"tract": tract.version()}


def make(case, weights, x, d_output, threads):
    """A call of the runnable model, and its output."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gru.onnx"  # it reads files only
        path.write_bytes(model(case, weights))
        runnable = tract.onnx().load(str(path)).into_model().into_runnable()
    inputs = [tract.Tensor.from_numpy(x)]

    def run():
        return runnable.run(inputs)

    def results():
        return {"output": run()[0].to_numpy().reshape(x.shape)}

    return run, results
