"""Checks ONNX models that other programs wrote, beside ONNX Runtime. scripts/check-converters runs this.

Those of tf2onnx have random weights. The others are trained, from packages that ship them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tf2onnx_models
from running_graphs import outputs_of

from fastgru.convert.onnx_graph import read_onnx
from fastgru.errors import ConversionError

ROWS, STEPS = 3, tf2onnx_models.STEPS  # other numbers than any model's example had
TRAINED_APART = 10  # times the tolerance: two layers of 128 units, over weights that are larger than random ones
# Packages, files in them, and the values that are computed.
TRAINED = (
    ("arabic_name_romanizer", "resources/encoder.onnx", ["memory_out"]),
    ("arabic_name_romanizer", "resources/persian/encoder.onnx", ["memory_out"]),
)


def random_inputs(path: Path, names: list[str], seed: int) -> dict[str, np.ndarray]:
    """An array for each of these inputs; states are zeros."""
    random, arrays = np.random.default_rng(seed), {}
    for port in onnx.load(path).graph.input:
        kind = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        sizes = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
        shape = [size or (ROWS, STEPS)[min(place, 1)] for place, size in enumerate(sizes)]
        drawn = random.integers(1, 9, shape) if kind.kind in "iu" else random.standard_normal(shape)
        arrays[port.name] = (drawn if port.name in names else np.zeros(shape)).astype(kind)
    return arrays


def check(path: Path, outputs: list[str] | None, seed: int) -> tuple[float, dict[str, np.ndarray]]:
    """The largest difference from ONNX Runtime, and the arrays of the fixture."""
    graph = read_onnx(path, outputs=outputs)
    inputs = random_inputs(path, [port.name for port in graph.inputs], seed)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    expected = dict(zip(names, session.run(None, inputs), strict=True))
    given = {port.name: inputs[port.name] for port in graph.inputs}
    got = outputs_of(graph, given)
    apart = max(float(np.abs(got[name] - expected[name]).max()) for name in got)
    arrays = {f"in/{name}": array for name, array in given.items()}
    return apart, arrays | {f"out/{name}": expected[name] for name in got}


def check_trained(package: str, file: str, outputs: list[str], seed: int) -> float:
    """A trained model is refused as a whole, with the advice to compute these values, and right for them."""
    path = Path(str(files(package))) / file
    advice = ""
    try:
        read_onnx(path)
    except ConversionError as error:
        advice = str(error)
    assert f"outputs={outputs}" in advice, advice
    return check(path, outputs, seed)[0]


def main() -> int:
    """Checks all models; returns 1 if outputs are further apart than the tolerance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("framework")
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(tf2onnx_models.MODELS):
            path = (arguments.record or Path(folder)) / f"{name}.onnx"
            tf2onnx_models.write(name, path, seed)
            found[name], arrays = check(path, None, seed)
            if arguments.record:
                np.savez_compressed(arguments.record / f"{name}.npz", **arrays)
    for seed, (package, file, outputs) in enumerate(TRAINED):
        found[file] = check_trained(package, file, outputs, seed) / TRAINED_APART
    for name, apart in found.items():
        print(f"onnx model {name}: {apart:.1e}", flush=True)
    return int(not max(found.values()) <= arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
