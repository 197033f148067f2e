"""torch.export and AOTInductor packages for any batch and steps."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import nn

import fastgru.backends.cpu.ops  # noqa: F401 - a saved program names its operator
from compatibility.models import Model, agree
from compatibility.registry import Library, capability

HEADING = "Exporting"


def program(model: nn.Module) -> Any:
    """Exported with symbols for steps and batch."""
    steps, rows = torch.export.Dim("steps"), torch.export.Dim("rows")
    return torch.export.export(model.eval(), (torch.randn(4, 5, 3),), dynamic_shapes=({0: steps, 1: rows},))


def serves_others(call: Any, model: nn.Module) -> None:
    with torch.no_grad():
        for shape in ((7, 6, 3), (3, 9, 3)):
            x = torch.randn(shape)
            agree(call(x), model(x))


@capability("`torch.export` with symbolic steps and batch")
def exports(library: Library) -> None:
    model = Model(library, num_layers=2)
    serves_others(program(model).module(), model)


@capability("the same, taken apart by `run_decompositions()`")
def exports_decomposed(library: Library) -> None:
    model = Model(library)
    serves_others(program(model).run_decompositions().module(), model)


@capability("the exported graph, decomposed, does not grow with the steps")
def exported_size_of_any_steps(library: Library) -> None:
    found = []
    for steps in (6, 60):
        made = torch.export.export(library.GRU(3, 4), (torch.randn(steps, 2, 3),)).run_decompositions()
        found.append(len(made.graph.nodes))
    assert found[0] == found[1], f"{found[0]} nodes for 6 steps, {found[1]} for 60"


@capability("an exported program, saved and loaded")
def saves_and_loads(library: Library) -> None:
    model = Model(library)
    with tempfile.TemporaryDirectory() as folder:
        torch.export.save(program(model), Path(folder) / "model.pt2")
        serves_others(torch.export.load(Path(folder) / "model.pt2").module(), model)


@capability("an AOTInductor package with symbolic steps and batch", is_slow=True)
def packages(library: Library) -> None:
    from torch import _inductor

    model = Model(library)
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = _inductor.aoti_compile_and_package(program(model), package_path=str(Path(folder) / "model.pt2"))
        serves_others(_inductor.aoti_load_package(path), model)
