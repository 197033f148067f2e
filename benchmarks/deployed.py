"""One way to run a trained model, in its own process: what it costs to install, import, load and run.

`deployed.py NAME FOLDER` prints one line of JSON; FOLDER has model.onnx and model.safetensors. `deploy.py` calls it.
"""

from __future__ import annotations

import json
import re
import sys
import time
from importlib import metadata
from pathlib import Path

STEPS = 100
# What each way needs to be installed; NumPy, which all need, is not counted.
PACKAGES = {
    "fastgru.runtime": "fastgru",
    "fastgru by NumPy": "fastgru",
    "torch": "torch",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tract": "tract",
}


def resident_megabytes():
    """Memory of this process that is in use."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def installed_megabytes(package, seen=None):
    """The files of a package and of all that it depends on."""
    seen = {"numpy"} if seen is None else seen
    name = re.sub(r"[-_.]+", "-", package).lower()
    if name in seen:
        return 0
    seen.add(name)
    try:
        distribution = metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return 0
    files = [Path(distribution.locate_file(file)) for file in distribution.files or []]
    needed = [re.match(r"[\w.-]+", one)[0] for one in distribution.requires or [] if "extra ==" not in one]
    own = sum(file.stat().st_size for file in files if file.is_file()) / 2**20
    return own + sum(installed_megabytes(one, seen) for one in needed)


def by_runtime(folder):
    """Our runtime: a call for one step with the state from before, and one for a sequence."""
    from fastgru import runtime

    model = runtime.load(folder / "model.safetensors", threads=1)
    state = [None]

    def step(x):
        output, state[0] = model.run(x, state[0])
        return output

    return step, lambda x: model.run(x)[0]


def by_numpy(folder):
    """The definitions of the operators, as a person would write them down in NumPy."""
    from fastgru import runtime
    from fastgru.runtime.numpy_execution import NumPyExecution

    model = runtime.load(folder / "model.safetensors", threads=1)
    model._execution = NumPyExecution(model.graph)
    return lambda x: model.run(x)[0], lambda x: model.run(x)[0]


def by_torch(folder):
    """Torch's own layers with the same weights, in inference mode."""
    import torch
    from safetensors.torch import load_file

    torch.set_num_threads(1)
    weights = load_file(folder / "model.safetensors")
    header = json.loads((folder / "model.json").read_text())
    modules = []
    for node in header["nodes"]:
        given = node["attributes"]
        if node["operator"] == "Linear":
            module = torch.nn.Linear(given["in_features"], given["out_features"])
        elif node["operator"] == "GRU":
            module = torch.nn.GRU(given["input_size"], given["hidden_size"], batch_first=True)
        else:
            module = {"ReLU": torch.nn.ReLU, "Sigmoid": torch.nn.Sigmoid}[node["operator"]]()
        module.load_state_dict({role: weights[key] for role, key in node["parameters"].items()})
        modules.append(module)

    def run(x):
        with torch.inference_mode():
            y = torch.from_numpy(x)
            for module in modules:
                y = module(y)
                y = y[0] if isinstance(y, tuple) else y
            return y.numpy()

    return run, run


def by_onnxruntime(folder):
    """A session of one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=["CPUExecutionProvider"])

    def run(x):
        return session.run(None, {"noisy": x})[0]

    return run, run


def by_openvino(folder):
    """A compiled model with one thread, for latency, in float32."""
    import openvino

    config = {"INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": "1"}
    request = openvino.Core().compile_model(folder / "model.onnx", "CPU", config).create_infer_request()

    def run(x):
        return request.infer([x])[0]

    return run, run


def by_tract(folder):
    """Two runnable models, for it wants fixed sizes; it uses one thread."""
    import numpy as np
    import tract

    features = np.load(folder / "input.npy").shape[-1]

    def runner(steps):
        model = tract.onnx().load(str(folder / "model.onnx"))
        model.set_input_fact(0, f"1,{steps},{features},f32")
        runnable = model.into_model().into_runnable()
        return lambda x: runnable.run([tract.Tensor.from_numpy(x)])[0].to_numpy()

    return runner(1), runner(STEPS)


WAYS = {
    "fastgru.runtime": ("fastgru.runtime", by_runtime),
    "fastgru by NumPy": ("fastgru.runtime", by_numpy),
    "torch": ("torch", by_torch),
    "onnxruntime": ("onnxruntime", by_onnxruntime),
    "openvino": ("openvino", by_openvino),
    "tract": ("tract", by_tract),
}


def median_microseconds(call, x, seconds):
    """The median time of a call, over about so many seconds and at least five calls."""
    call(x)
    times, end = [], time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        begin = time.perf_counter()
        call(x)
        times.append(time.perf_counter() - begin)
    return sorted(times)[len(times) // 2] * 1e6


def main():
    """Measures one way."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    module, make = WAYS[name]
    import numpy as np

    bare, begin = resident_megabytes(), time.perf_counter()
    __import__(module)
    imported, loaded = time.perf_counter() - begin, time.perf_counter()
    imported_megabytes = resident_megabytes() - bare
    step, sequence = make(folder)
    loaded = time.perf_counter() - loaded
    x = np.load(folder / "input.npy")
    frame = np.ascontiguousarray(x[:, :1])
    np.save(folder / f"{name}.npy", sequence(x))
    print(
        json.dumps(
            {
                "disk": installed_megabytes(PACKAGES[name]),
                "import": imported,
                "imported": imported_megabytes,
                "load": loaded,
                "loaded": resident_megabytes() - bare - imported_megabytes,
                "step": median_microseconds(step, frame, 1.0),
                "sequence": median_microseconds(sequence, x, 1.0),
            }
        )
    )


if __name__ == "__main__":
    main()
