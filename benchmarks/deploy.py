"""What it costs to run a trained model in each way: disk, import, memory, load, one step and 100 steps.

    python benchmarks/deploy.py --environments DIR [--model MODEL.onnx] [--json FILE]

The model is a denoiser (Linear, ReLU, two GRUs, three Linear with ReLU and Sigmoid) of NSNet2's sizes with random
weights, or an ONNX file of such layers. DIR is that of `make-environments`; ways whose library is not there are left
out. Each way runs in its own process with one thread, in turns, and its figures are medians over the rounds. All
results are compared with those of our runtime.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from deployed import STEPS, WAYS
from fastgru.convert.files import convert_file
from fastgru.graph.json_form import to_json

FEATURES, HIDDEN, WIDE = 161, 400, 600
ENVIRONMENTS = {"onnxruntime": "onnxruntime", "openvino": "openvino", "tract": "tract"}
MOST_DIFFERENCE = 1e-4
COLUMNS = {
    "disk": ("disk, MB", 1, 0),
    "import": ("import, ms", 1e3, 0),
    "imported": ("imported, MB", 1, 0),
    "load": ("load, ms", 1e3, 1),
    "loaded": ("loaded, MB", 1, 0),
    "step": ("one step, µs", 1, 0),
    "sequence": (f"{STEPS} steps, µs", 1, 0),
}


def write_denoiser(path):
    """A model of NSNet2's sizes with random weights."""
    random, nodes, weights = np.random.default_rng(0), [], []

    def weight(*shape):
        name = f"w{len(weights)}"
        array = (random.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)
        weights.append(numpy_helper.from_array(array, name))
        return name

    def add(kind, inputs, **attributes):
        result = f"v{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [result], f"{kind}_{len(nodes)}", **attributes))
        return result

    def linear(x, inputs, outputs, function):
        return add(function, [add("Add", [add("MatMul", [x, weight(inputs, outputs)]), weight(outputs)])])

    weights.append(numpy_helper.from_array(np.array([1]), "one"))
    x = add("Transpose", [linear("noisy", FEATURES, HIDDEN, "Relu")], perm=[1, 0, 2])
    for _ in range(2):
        given = [x, weight(1, 3 * HIDDEN, HIDDEN), weight(1, 3 * HIDDEN, HIDDEN), weight(1, 6 * HIDDEN)]
        x = add("Squeeze", [add("GRU", given, hidden_size=HIDDEN, linear_before_reset=1), "one"])
    x = linear(add("Transpose", [x], perm=[1, 0, 2]), HIDDEN, WIDE, "Relu")
    mask = linear(linear(x, WIDE, WIDE, "Relu"), WIDE, FEATURES, "Sigmoid")
    ports = [helper.make_tensor_value_info("noisy", TensorProto.FLOAT, ["batch", "steps", FEATURES])]
    shown = [helper.make_tensor_value_info(mask, TensorProto.FLOAT, ["batch", "steps", FEATURES])]
    graph = helper.make_graph(nodes, "denoiser", ports, shown, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def with_input_named(model, path):
    """The same model, whose input is called noisy."""
    proto = onnx.load(model)
    old = proto.graph.input[0].name
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = "noisy"
    proto.graph.input[0].name = "noisy"
    onnx.save(proto, path)


def measure(name, folder, environments):
    """One run of one way; None where its library is missing."""
    python = sys.executable
    if name in ENVIRONMENTS:
        python = environments / ENVIRONMENTS[name] / "bin" / "python"
        if not python.exists():
            return None
    script = Path(__file__).parent / "deployed.py"
    finished = subprocess.run([python, script, name, folder], capture_output=True, text=True, check=False)
    if finished.returncode != 0:
        print(f"{name}: {finished.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        return None
    return json.loads(finished.stdout.splitlines()[-1])


def largest_difference(name, folder):
    """How far the results of a way are from ours."""
    return float(np.abs(np.load(folder / f"{name}.npy") - np.load(folder / "fastgru.runtime.npy")).max())


def table(figures):
    """The figures as a table of Markdown."""
    lines = ["| | " + " | ".join(title for title, _, _ in COLUMNS.values()) + " |"]
    lines.append("|---|" + "---|" * len(COLUMNS))
    for name, row in figures.items():
        cells = [f"{row[key] * factor:,.{digits}f}" for key, (_, factor, digits) in COLUMNS.items()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environments", type=Path, default=Path("environments"), help="of make-environments")
    parser.add_argument("--model", type=Path, help="an ONNX file instead of random weights")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.model is None:
            write_denoiser(folder / "model.onnx")
        else:
            with_input_named(options.model, folder / "model.onnx")
        graph = convert_file(folder / "model.onnx", folder / "model.safetensors")
        (folder / "model.json").write_text(to_json(graph))
        size = graph.inputs[0].size
        np.save(folder / "input.npy", np.random.default_rng(1).standard_normal((1, STEPS, size)).astype(np.float32))
        runs: dict[str, list[dict[str, float]]] = {}
        for _ in range(options.rounds):
            for way in WAYS:
                found = measure(way, folder, options.environments)
                if found is not None:
                    runs.setdefault(way, []).append(found)
        differences = {way: largest_difference(way, folder) for way in runs}
    figures = {
        way: {key: statistics.median(run[key] for run in found) for key in COLUMNS} for way, found in runs.items()
    }
    print(table(figures))
    print("Largest difference from fastgru.runtime:", ", ".join(f"{way} {one:.1e}" for way, one in differences.items()))
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if max(differences.values()) > MOST_DIFFERENCE:
        sys.exit("the results differ")


if __name__ == "__main__":
    main()
