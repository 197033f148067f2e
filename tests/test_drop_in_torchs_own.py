"""Torch's own sample and error inputs for `nn.GRU` and `nn.GRUCell`, run with our classes.

They ship with torch, for its own tests, in a private module that needs `expecttest`.
"""

from __future__ import annotations

from functools import partial

import pytest
import torch

import fastgru
from layer_pairs import everything, pair
from tolerance import assert_agrees

pytest.importorskip("expecttest")
common_modules = pytest.importorskip("torch.testing._internal.common_modules")

INFO = {info.module_cls.__name__: info for info in common_modules.module_db}
SAMPLES = {
    "GRU": partial(INFO["GRU"].module_inputs_func, with_packed_sequence=True),
    "GRUCell": INFO["GRUCell"].module_inputs_func,
}


def generated(function, kind, dtype=torch.float32, training=True):
    """What one of torch's generators yields; each has random numbers of its own."""
    torch.manual_seed(0)
    return function(INFO[kind], "cpu", dtype, requires_grad=True, training=training)


def numbered(function, kind):
    return [pytest.param(kind, i, id=f"{kind}-{i}") for i in range(len(generated(function, kind)))]


EVERY_SAMPLE = [p for kind, function in SAMPLES.items() for p in numbered(function, kind)]
EVERY_UNBATCHED = [p for kind in SAMPLES for p in numbered(INFO[kind].module_inputs_func, kind)]
EVERY_ERROR = [p for kind in SAMPLES for p in numbered(INFO[kind].module_error_inputs_func, kind)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(("kind", "number"), EVERY_SAMPLE)
def test_torchs_own_samples(kind, number, dtype, training):
    sample = generated(SAMPLES[kind], kind, dtype, training)[number]
    building, calling = sample.constructor_input, sample.forward_input
    ours, stock = pair(kind, *building.args, **building.kwargs, dtype=dtype)
    ours.train(training)
    stock.train(training)
    assert_agrees(everything(ours, *calling.args), everything(stock, *calling.args))


@pytest.mark.parametrize(("kind", "number"), EVERY_UNBATCHED)
def test_torchs_own_references_of_unbatched_input(kind, number):
    sample = generated(INFO[kind].module_inputs_func, kind, torch.float64)[number]
    building, calling = sample.constructor_input, sample.forward_input
    ours = getattr(fastgru, kind)(*building.args, **building.kwargs, dtype=torch.float64)
    got, want = ours(*calling.args), sample.reference_fn(ours, *calling.args)
    got, want = ((r,) if isinstance(r, torch.Tensor) else r for r in (got, want))
    assert_agrees(dict(enumerate(got)), dict(enumerate(want)))


@pytest.mark.parametrize(("kind", "number"), EVERY_ERROR)
def test_torchs_own_errors(kind, number):
    case = generated(INFO[kind].module_error_inputs_func, kind)[number]
    building = case.module_error_input.constructor_input
    calling = case.module_error_input.forward_input
    layer_class = getattr(fastgru, kind)
    if case.error_on is common_modules.ModuleErrorEnum.CONSTRUCTION_ERROR:
        with pytest.raises(case.error_type, match=case.error_regex):
            layer_class(*building.args, **building.kwargs)
    else:
        layer = layer_class(*building.args, **building.kwargs)
        with pytest.raises(case.error_type, match=case.error_regex):
            layer(*calling.args, **calling.kwargs)
