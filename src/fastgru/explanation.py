"""Telling which backend serves a call, and why."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from fastgru import dispatch, levels
from fastgru.call.request import Call, Request
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU


@dataclass(frozen=True)
class Explanation:
    """How one call is served; printing it tells in words.

    Attributes:
        chosen: name of the backend that runs.
        reasons: for each backend in order of preference, why it refuses; None when it does not.
        level: instruction-set level of our kernels.
        threads: how many threads torch allows.
    """

    chosen: str
    reasons: dict[str, str | None]
    level: str
    threads: int

    def __str__(self) -> str:
        lines = [f"backend: {self.chosen}"]
        for name, reason in self.reasons.items():
            state = "runs" if name == self.chosen else "could run"
            lines.append(f"  {name}: {state if reason is None else f'refuses, {reason}'}")
        return "\n".join([*lines, f"CPU level: {self.level}", f"threads: at most {self.threads}"])

    __repr__ = __str__


def explain(layer: GRU | GRUCell, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Explanation:
    """Which backend `layer(input, hx)` would run on now, and why not the others.

    Args:
        layer: a `fastgru.GRU` or `fastgru.GRUCell`.
        input: as in the call.
        hx: as in the call.

    Raises:
        TypeError: `layer` is of another class.
        BackendError: a backend was asked for by name and refuses.

    Example:
        >>> import torch, fastgru
        >>> fastgru.explain(fastgru.GRU(4, 8), torch.ones(5, 2, 4)).chosen
        'cpu'
        >>> layer, x = fastgru.GRU(4, 8, device="meta"), torch.ones(5, 2, 4, device="meta")
        >>> fastgru.explain(layer, x).chosen
        'aten'
    """
    if not isinstance(layer, (GRU, GRUCell)):
        raise TypeError(
            f"`layer` is a {type(layer).__module__}.{type(layer).__name__}. Expected a fastgru.GRU or "
            "fastgru.GRUCell. Convert a model with fastgru.replace_gru first."
        )
    request = _request(layer, input, hx)
    return Explanation(
        chosen=dispatch.choose(request).name,
        reasons={backend.name: backend.refuse(request) for backend in dispatch.BACKENDS},
        level=next(level.name for level in levels.cpu_info() if level.active),
        threads=torch.get_num_threads(),
    )


class _Recorded(Exception):  # noqa: N818  (not an error: it carries a request out of a call)
    def __init__(self, request: Request) -> None:
        self.request = request


class _Recorder:
    """A backend that computes nothing and tells what it was asked."""

    name = "recorder"

    def refuse(self, request: Request) -> str | None:
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        raise _Recorded(request)


def _request(layer: GRU | GRUCell, input: Tensor | PackedSequence, hx: Tensor | None) -> Request:
    """What the layer asks the backends in this very call, after all its checks."""
    with dispatch.serve_by(_Recorder()):
        try:
            layer(input, hx)
        except _Recorded as recorded:
            return recorded.request
    raise AssertionError("a layer's call reaches a backend")
