"""The native core on its own: activations, levels, scratch memory."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import pytest
import torch

import fastgru
import processes
from fastgru import _core
from fastgru.levels import use_level
from tolerance import ACTIVATION_ABSOLUTE, ACTIVATION_ULP, GROWTH_BYTES

FUNCTIONS = {"sigmoid": torch.sigmoid, "tanh": torch.tanh}
every_function = pytest.mark.parametrize("name", FUNCTIONS)
every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])


def activation(name, x):
    y = torch.full_like(x, float("nan"))
    _core.activation(name == "tanh", x.dtype == torch.float64, x.data_ptr(), y.data_ptr(), x.numel())
    return y


def worst_errors(name, x):
    """In units in the last place of the true value, and absolute; subnormal values count as the smallest normal."""
    truth = FUNCTIONS[name](x.double())
    got = activation(name, x).double()
    info = torch.finfo(x.dtype)
    unit = info.eps * torch.exp2(truth.abs().clamp_min(info.tiny).log2().floor())
    distance = (got - truth).abs()
    # A sigmoid is 0 below the limit of its exponential, where the true value is below the smallest normal number.
    is_counted = truth.abs() >= 2 * info.tiny
    return (distance / unit * is_counted).max().item(), distance.max().item()


@pytest.mark.usefixtures("level")
@every_function
@every_dtype
def test_activations_are_within_their_bounds(name, dtype):
    x = torch.cat([torch.linspace(-100, 100, 400_001), torch.linspace(-2, 2, 400_001), torch.randn(10**6) * 10]).to(
        dtype
    )
    ulp, absolute = worst_errors(name, x)
    assert ulp <= ACTIVATION_ULP[dtype]
    assert absolute <= ACTIVATION_ABSOLUTE[dtype]


@pytest.mark.slow
@pytest.mark.usefixtures("level")
@every_function
def test_activations_are_within_their_bounds_for_every_float32(name):
    for start in range(-(2**31), 2**31, 2**24):
        x = torch.arange(start, start + 2**24, dtype=torch.int64).to(torch.int32).view(torch.float32)
        x = x[x.isfinite()]
        if x.numel():
            ulp, absolute = worst_errors(name, x)
            assert ulp <= ACTIVATION_ULP[torch.float32]
            assert absolute <= ACTIVATION_ABSOLUTE[torch.float32]


@pytest.mark.usefixtures("level")
@every_dtype
def test_special_values_of_activations(dtype):
    inf, nan, tiny = float("inf"), float("nan"), torch.finfo(dtype).smallest_normal
    x = torch.tensor([0.0, -0.0, inf, -inf, nan, -nan, tiny, -tiny, tiny / 4, 1e30, -1e30], dtype=dtype)
    s, t = activation("sigmoid", x), activation("tanh", x)
    assert torch.equal(s[[0, 1, 2, 3]], torch.tensor([0.5, 0.5, 1, 0], dtype=dtype))
    assert s[4:6].isnan().all()
    assert torch.equal(t[[0, 1, 2, 3]], torch.tensor([0.0, -0.0, 1, -1], dtype=dtype))
    assert t[1].signbit()
    assert not t[0].signbit()
    assert t[4:6].isnan().all()
    assert torch.equal(t[6:9], x[6:9])
    assert torch.equal(t[9:], torch.tensor([1, -1], dtype=dtype))


@pytest.mark.usefixtures("level")
@every_function
@every_dtype
def test_a_value_does_not_depend_on_its_lane(name, dtype):
    x = (torch.randn(67) * 5).to(dtype)
    whole = activation(name, x)
    assert torch.equal(torch.cat([activation(name, v) for v in x.split(1)]), whole)


def test_levels_are_listed_with_exactly_one_active():
    rows = fastgru.cpu_info()
    assert [row.name for row in rows if row.active] == [_core.active_level()]
    assert all(row.available for row in rows if row.active)
    assert rows[-1].available  # the last resort


def test_a_level_is_active_inside_its_block_only():
    before = _core.active_level()
    lowest = fastgru.cpu_info()[-1].name
    with use_level(lowest):
        assert _core.active_level() == lowest
    assert _core.active_level() == before


def test_an_impossible_level_is_an_error():
    before = _core.active_level()
    with pytest.raises(ValueError, match=r"level 'avx9' cannot run here.*Name one of these"), use_level("avx9"):
        pass
    assert _core.active_level() == before


def run_with(isa):
    code = "import fastgru; print([l.name for l in fastgru.cpu_info() if l.active][0])"
    environment = {**os.environ, "FASTGRU_ISA": isa}
    return processes.run([sys.executable, "-c", code], env=environment)


@pytest.mark.parametrize("name", [row.name for row in fastgru.cpu_info() if row.available])
def test_the_environment_forces_a_level(name):
    assert run_with(name).stdout.strip() == name


def test_the_environment_cannot_force_an_impossible_level():
    finished = run_with("neon" if "neon" not in [row.name for row in fastgru.cpu_info()] else "avx2")
    assert finished.returncode != 0
    assert "cannot run here" in finished.stderr
    assert "FASTGRU_ISA" in finished.stderr


def test_a_level_changes_the_last_bits_at_most():
    layer, x = fastgru.GRU(20, 40), torch.randn(30, 5, 20)
    outputs = []
    for row in fastgru.cpu_info():
        if row.available:
            with use_level(row.name), torch.no_grad():
                outputs.append(layer(x)[0])
    assert all((outputs[0] - other).abs().max() < 2e-6 for other in outputs)


def test_scratch_memory_is_pooled_and_bounded():
    layer = fastgru.GRU(64, 64)
    for batch in (1, 300, 3, 500, 40, 700, 9):
        layer(torch.randn(50, batch, 64))[0].sum().backward()
    assert 0 < _core.pooled_bytes() <= 256 << 20


def test_a_training_loop_does_not_grow_the_pool():
    layer, x = fastgru.GRU(64, 64), torch.randn(100, 64, 64)
    for _ in range(3):
        layer(x)[0].sum().backward()
    before = _core.pooled_bytes()
    for _ in range(20):
        layer(x)[0].sum().backward()
    assert _core.pooled_bytes() <= before + GROWTH_BYTES


def test_the_stub_tells_of_everything_in_the_module():
    stub = ast.parse(Path(fastgru.__file__).with_name("_core.pyi").read_text())
    told = {node.name for node in stub.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    told |= {node.target.id for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert {name for name in told if name[0] != "_"} == {name for name in dir(_core) if name[0] != "_"}
