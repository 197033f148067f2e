"""Checks whole Keras models: saved by Keras, read by us, and run by both. scripts/check-converters runs this."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")

import numpy as np
from documentation import run_documentation
from keras_models import MODELS, random_inputs, with_random_weights
from running_graphs import outputs_of

from fastgru import convert


def check(name: str, folder: Path, seed: int) -> tuple[float, dict[str, np.ndarray]]:
    """Saves a model to a file in `folder`. Returns the largest difference, and the arrays of the fixture."""
    model = with_random_weights(MODELS[name](), seed)
    path = folder / f"{name}.keras"
    model.save(path)
    inputs = random_inputs(model, seed)
    told = model(inputs if len(inputs) > 1 else next(iter(inputs.values())))
    expected = as_dict(model, told)
    got = outputs_of(convert.keras_model(path), inputs)
    assert set(got) == set(expected), (sorted(got), sorted(expected))
    apart = max(np.abs(got[key] - expected[key]).max() for key in expected)
    arrays = {f"in/{key}": array for key, array in inputs.items()}
    return apart, arrays | {f"out/{key}": array for key, array in expected.items()}


def as_dict(model: Any, outputs: Any) -> dict[str, np.ndarray]:
    """What a model gave, by the names of outputs."""
    if not isinstance(outputs, dict):
        outputs = outputs if isinstance(outputs, list) else [outputs]
        names = getattr(model, "output_names", [model.layers[-1].name])
        outputs = dict(zip(names, outputs, strict=True))
    return {name: np.asarray(array) for name, array in outputs.items()}


def compressed(source: Path, target: Path) -> None:
    """Copies a file of Keras, a tenth as large: most of its weights are the gaps of HDF5."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(zipfile.ZipInfo(member), old.read(member), zipfile.ZIP_DEFLATED)


def main() -> int:
    """Checks all models; returns 1 if outputs are further apart than the tolerance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("framework")
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    worst = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(MODELS):
            apart, arrays = check(name, Path(folder), seed)
            print(f"keras model {name}: {apart:.1e}", flush=True)
            worst = max(worst, apart)
            if arguments.record:
                compressed(Path(folder) / f"{name}.keras", arguments.record / f"{name}.keras")
                np.savez_compressed(arguments.record / f"{name}.npz", **arrays)
        os.chdir(folder)  # the example writes files
        run_documentation(arguments.framework)
    return int(not worst <= arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
