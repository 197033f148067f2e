"""OpenVINO's CPU plugin, inference only, with the model that ONNX Runtime runs."""

from __future__ import annotations

import openvino

from libraries.onnx_model import model

VERSIONS = {"openvino": openvino.__version__}


def make(case, weights, x, d_output, threads):
    """A call of the infer request, and its output."""
    core = openvino.Core()
    config = {
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": str(threads),
    }
    compiled = core.compile_model(core.read_model(model(case, weights)), "CPU", config)
    request = compiled.create_infer_request()
    request.set_input_tensor(openvino.Tensor(x))  # a copy: a shared tensor would not keep x alive

    def results():
        request.infer()
        return {"output": request.get_output_tensor().data.reshape(x.shape).copy()}

    return request.infer, results
