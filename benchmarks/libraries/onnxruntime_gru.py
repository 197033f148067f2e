"""ONNX Runtime on its CPU provider, inference only; input and output are bound, so that a call copies nothing."""

from __future__ import annotations

import numpy as np
import onnxruntime

from libraries.onnx_model import model

VERSIONS = {"onnxruntime": onnxruntime.__version__}


def make(case, weights, x, d_output, threads):
    """A call of the session, and its output."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model(case, weights), options, providers=["CPUExecutionProvider"])
    y = onnxruntime.OrtValue.ortvalue_from_numpy(np.empty((case.steps, 1, case.batch, case.hidden), np.float32))
    binding = session.io_binding()
    binding.bind_ortvalue_input("x", onnxruntime.OrtValue.ortvalue_from_numpy(x))
    binding.bind_ortvalue_output("y", y)

    def run():
        session.run_with_iobinding(binding)

    def results():
        run()
        return {"output": y.numpy().reshape(x.shape)}

    return run, results
