"""Libraries and programs built on torch."""

from __future__ import annotations

import json

import torch

import fastgru
from compatibility.models import Model, agree
from compatibility.registry import NOT_ASKED, OURS, ROOT, Entry, Library, capability, need, proved_by

HEADING = "With other libraries"
PROGRAMS = ROOT / "benchmarks/results/programs.json"

for title, test in (
    ("Lightning", "test_lightning_trains_as_with_torchs_layer"),
    ("a Lightning checkpoint, loaded with torch's layer", "test_lightning_saves_what_torchs_layer_loads"),
    ("skorch", "test_skorch_fits_as_with_torchs_layer"),
):
    proved_by(__name__, title, f"tests/test_interop_with_frameworks.py::{test}")


@capability("Opacus: gradients for each sample (ours after `fastgru.opacus.register()`)")
def opacus_has_samples(library: Library) -> None:
    opacus = need("opacus", how="install fastgru[opacus]")
    if library is OURS:
        fastgru.opacus.register()
    model, x = Model(library, batch_first=True), torch.randn(4, 5, 3)
    own = opacus.GradSampleModule(model, batch_first=True, loss_reduction="sum")
    own(x)[0].sin().sum().backward()
    samples = [p.grad_sample for p in model.parameters()]
    own.to_standard_module()
    for i, row in enumerate(x):
        want = torch.autograd.grad(model(row[None])[0].sin().sum(), list(model.parameters()))
        agree([each[i] for each in samples], list(want))


proved_by(
    __name__,
    "Opacus: private training takes the same course as with Opacus' own `DPGRU`",
    "tests/test_opacus.py::test_private_training_goes_the_way_of_opacus_own_layer",
    stock=Entry(NOT_ASKED, "see the row above"),
)


@capability(
    "other people's programs, unchanged: the same predictions as with torch's layer, in [the last run](programs.md)",
    stock=Entry(NOT_ASKED, "ours is compared with it"),
)
def serves_other_programs(library: Library) -> None:
    found = json.loads(PROGRAMS.read_text(encoding="utf-8"))
    assert not found["failed"]
    assert len(found["programs"]) >= 6
    for one in found["programs"]:
        assert not one["faults"], one["program"]
        assert one["calls"]["patch"]["torch"] == 0, one["program"]
        assert one["difference"]["patch"] <= one["tolerance"], one["program"]
