"""Checks the converter of one framework against it; scripts/check-converters runs this in the framework's environment.

For each case a layer of the framework with random parameters is read, and a random state dict is written to such a
layer. Both times the outputs of the framework must be those of our equations.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from cases import HIDDEN, Case, random_input, random_state, to_file
from documentation import run_documentation
from equations import output_of
from fixture_files import save

from fastgru import convert


def read_side(name: str, program: ModuleType, case: Case, seed: int) -> tuple[float, dict[str, np.ndarray]]:
    """A layer of the framework, read by us: the largest difference of outputs, and the part of the fixture."""
    x = random_input(seed)
    layers = [program.make(width, HIDDEN, case, seed + k) for k, width in enumerate(case.widths())]
    given = layers[0] if case.layers == 1 else layers
    output = run_stack(program, given, x, case)
    state = convert.read(name, given, reset_after=case.reset_after)
    apart = np.abs(output_of(state, x, case.reset_after) - output).max()
    return apart, {"x": x, "output": output} | {f"given/{key}": array for key, array in to_file(given).items()}


def written_side(name: str, program: ModuleType, case: Case, seed: int) -> tuple[float, dict[str, np.ndarray]]:
    """A state dict, written by us and run by the framework: likewise."""
    x, state = random_input(seed), random_state(case, seed)
    if name == "flax_nnx":  # its cell has no parameter for these
        for key in [key for key in state if key.startswith("bias_hh")]:
            state[key][2 * HIDDEN :] = 0
    written = convert.write(name, state, reset_after=case.reset_after)
    output = run_stack(program, written, x, case)
    apart = np.abs(output_of(state, x, case.reset_after) - output).max()
    parts = {f"state/{key}": array for key, array in state.items()}
    return apart, parts | {"written_output": output} | {f"written/{k}": array for k, array in to_file(written).items()}


def run_stack(program: ModuleType, layers: Any, x: np.ndarray, case: Case) -> np.ndarray:
    """The framework's layers one after another, (T, B, I) -> (T, B, D*H)."""
    for layer in layers if isinstance(layers, list) else [layers]:
        x = np.asarray(program.run(layer, x, case))
    return x


def main() -> int:
    """Checks all cases of a framework; returns 1 if outputs are further apart than the tolerance."""
    parser = argparse.ArgumentParser()
    parser.add_argument("framework")
    parser.add_argument("--tolerance", type=float, required=True)
    parser.add_argument("--record", type=Path)
    arguments = parser.parse_args()
    program = importlib.import_module(f"run_{arguments.framework}")
    recorded, worst = {}, 0.0
    for seed, case in enumerate(program.CASES):
        sides = [side(arguments.framework, program, case, 10 * seed) for side in (read_side, written_side)]
        print(f"{arguments.framework} {case}: read {sides[0][0]:.1e}, written {sides[1][0]:.1e}", flush=True)
        worst = max(worst, *(apart for apart, _ in sides))
        recorded |= {f"{case}:{key}": array for _, parts in sides for key, array in parts.items()}
    run_documentation(arguments.framework)
    if arguments.record:
        save(arguments.record / f"{arguments.framework}.npz", recorded)
    return int(not worst <= arguments.tolerance)


if __name__ == "__main__":
    sys.exit(main())
