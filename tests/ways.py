"""The entry points of the core, and the check that calls through each of them agree with the reference.

A backend that is asked for by name is reached the long way: checks, a request, tensors arranged for the core. What
users write goes the short way wherever it can, where the core reads the tensors as they are; that one is the door
called `plain`. The door called `addresses` is the long way with a torch whose tensors the core cannot read by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple
from unittest import mock

import torch
from hypothesis import strategies as st
from torch import Tensor

import fastgru
from fastgru import GRUSpec, _core, dispatch, functional
from fastgru.backends.cpu import core_calls
from fastgru.call import build
from fastgru.levels import use_level
from strategies import batches, dtypes, lengths, sizes, steps
from tolerance import assert_no_worse_than_torch

PLAIN = "plain"
BACKENDS = [backend.name for backend in dispatch.BACKENDS if backend.name != "onnx"]  # which draws, computes nothing
LEVELS = [level.name for level in fastgru.cpu_info() if level.available]
LONG_WAYS = [("cpu", level) for level in LEVELS] + [(name, LEVELS[0]) for name in BACKENDS if name != "cpu"]
WAYS = [(PLAIN, level) for level in LEVELS] + LONG_WAYS
CORE_DOORS = (PLAIN, "cpu")

specs = st.builds(GRUSpec, sizes, sizes, st.integers(1, 2), st.booleans(), st.booleans(), st.booleans())


class Call(NamedTuple):
    """A call to be made in every way; steps T and rows B of a padded batch, unless `own` and `is_packed` are given."""

    spec: GRUSpec
    steps: int
    rows: int
    dtype: torch.dtype = torch.float32
    own: tuple[int, ...] | None = None  # lengths, from the longest on where they are packed
    is_packed: bool = False
    batch_first: bool = False
    with_h_0: bool = True
    with_reset: bool = False
    recompute: bool = False
    with_grad: bool = True

    @property
    def batch_sizes(self) -> Tensor | None:
        if not self.is_packed or self.own is None:
            return None
        return torch.tensor([sum(n > t for n in self.own) for t in range(max(self.own))])


@st.composite
def padded_calls(draw: st.DrawFn) -> Call:
    """Padded batches of float32 and float64, full or with lengths, of any options."""
    count, rows = draw(steps), draw(batches)
    own = draw(st.one_of(st.none(), st.lists(st.integers(0, count), min_size=rows, max_size=rows).filter(any)))
    options = {
        name: draw(st.booleans()) for name in ("batch_first", "with_h_0", "with_reset", "recompute", "with_grad")
    }
    return Call(draw(specs), count, rows, draw(dtypes), None if own is None else tuple(own), **options)


@st.composite
def packed_calls(draw: st.DrawFn) -> Call:
    """Packed sequences."""
    own = tuple(sorted(draw(lengths), reverse=True))
    options = {name: draw(st.booleans()) for name in ("with_h_0", "recompute", "with_grad")}
    return Call(draw(specs), max(own), len(own), draw(dtypes), own, is_packed=True, **options)


class Numbers(NamedTuple):
    """What a call reads and the outer gradients, in float64, of values that its dtype has; with the steps first."""

    x: Tensor
    h_0: Tensor | None
    reset: Tensor | None
    reset_state: Tensor | None
    weights: list[Tensor]
    d_output: Tensor
    d_h_n: Tensor


def numbers(call: Call) -> Numbers:
    """Random numbers for a call."""
    spec = call.spec
    cells, width = spec.num_layers * spec.num_directions, spec.num_directions * spec.hidden_size
    bound = spec.hidden_size**-0.5
    shape = (sum(call.own),) if call.is_packed and call.own is not None else (call.steps, call.rows)
    states = (cells, call.rows, spec.hidden_size)

    def drawn(*sizes: int) -> Tensor:
        return torch.randn(sizes).to(call.dtype).double()

    return Numbers(
        drawn(*shape, spec.input_size),
        drawn(*states) if call.with_h_0 else None,
        torch.rand(call.steps, call.rows) < 0.3 if call.with_reset else None,
        drawn(cells, spec.hidden_size) if call.with_reset else None,
        [torch.empty(s).uniform_(-bound, bound).to(call.dtype).double() for s in spec.parameter_shapes],
        drawn(*shape, width),
        drawn(*states),
    )


def _leaf(tensor: Tensor, dtype: torch.dtype, with_grad: bool) -> Tensor:
    return tensor.detach().to(dtype).contiguous().requires_grad_(with_grad)


def results(call: Call, given: Numbers, dtype: torch.dtype, batch_first: bool = False) -> dict[str, Tensor]:
    """Output, h_n and the gradient of every input by name, all with the steps first.

    Args:
        call: what to do.
        given: its numbers, taken over in `dtype`.
        dtype: of the call.
        batch_first: whether this call has the batch first in memory.
    """

    def turned(tensor: Tensor) -> Tensor:
        return tensor.transpose(0, 1) if batch_first else tensor

    names = ["d_x", "d_h_0", "d_reset_state", *("d_" + name for name in call.spec.parameter_names)]
    tensors = [turned(given.x), given.h_0, given.reset_state, *given.weights]
    inputs = [None if t is None else _leaf(t, dtype, call.with_grad) for t in tensors]
    x, h_0, reset_state, *weights = inputs
    output, h_n = functional.gru(
        x,
        h_0,
        weights,
        num_layers=call.spec.num_layers,
        bias=call.spec.bias,
        bidirectional=call.spec.bidirectional,
        batch_first=batch_first,
        batch_sizes=call.batch_sizes,
        lengths=None if call.own is None or call.is_packed else torch.tensor(call.own),
        reset=None if given.reset is None else turned(given.reset).contiguous(),
        reset_state=reset_state,
        recompute=call.recompute,
        reset_after=call.spec.reset_after,
    )
    found = {"output": turned(output.detach()), "h_n": h_n.detach()}
    if not call.with_grad:
        return found
    outer = [turned(given.d_output).to(dtype), given.d_h_n.to(dtype)]
    used = {name: t for name, t in zip(names, inputs, strict=True) if t is not None}
    gradients = torch.autograd.grad([output, h_n], list(used.values()), outer)
    found |= zip(used, gradients, strict=True)
    found["d_x"] = turned(found["d_x"])
    return found


@contextmanager
def through(door: str) -> Iterator[None]:
    """Calls inside go through this door, and through no other."""
    if door != PLAIN:
        with dispatch.use_backend(door):
            yield
        return
    error = AssertionError("this call took the long way")
    with (
        mock.patch.object(build, "request_of", side_effect=error),
        mock.patch.object(core_calls, "forward", side_effect=error),
        mock.patch.object(core_calls, "backward", side_effect=error),
    ):
        yield


@contextmanager
def replaced_cores(wrap: Callable[[_core.LayerSizes], Any]) -> Iterator[None]:
    """Inside, every call of the core goes to what `wrap` makes of it."""
    real = _core.LayerSizes
    with (
        mock.patch.object(core_calls, "_SIZES", {dtype: {} for dtype in core_calls.DTYPES}),
        mock.patch.object(core_calls._core, "LayerSizes", lambda *sizes: wrap(real(*sizes))),
    ):
        yield


class _Idle:
    """A core that may look at arrays and refuse them, but not compute."""

    def __init__(self, core: _core.LayerSizes) -> None:
        self._core = core

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._core, name)

        def watched(*arguments: Any) -> Any:
            found = method(*arguments)
            if found is not None:
                raise AssertionError(f"a kernel was reached, by {name}")
            return found

        return method if name == "saved_values" else watched


def no_kernel() -> AbstractContextManager[None]:
    """Inside, a call that reaches a kernel, through any door, is an AssertionError."""
    return replaced_cores(_Idle)


def check(door: str, level: str, call: Call) -> None:
    """Makes the call with random numbers; its errors against float64 are no worse than torch's in the same type."""
    given = numbers(call)
    with dispatch.use_backend("reference"):
        truth = results(call, given, torch.float64)
    # Torch's operator neither puts states back nor resets before the product.
    with dispatch.use_backend("reference" if call.with_reset or not call.spec.reset_after else "aten"):
        torchs = results(call, given, call.dtype)
    with use_level(level), through(door):
        got = results(call, given, call.dtype, call.batch_first)
    assert got.keys() == truth.keys()
    for name, want in truth.items():
        assert got[name].dtype is call.dtype
        assert_no_worse_than_torch(got[name], torchs[name], want, f"{door} {level} {name}")
