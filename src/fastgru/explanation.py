"""`explain`: which backend a call uses, and why."""

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
    """The backend of a call and the reasons, which can be printed.

    Attributes:
        chosen: the name of the backend that is used.
        reasons: for each backend in order of preference, the reason why it refuses, or None if it does not.
        level: the instruction-set level of our kernels.
        threads: the number of threads that torch allows.
        weights: the type in which a frozen layer stores its weights, if not their own; otherwise None. Only calls
            without gradients use them.
    """

    chosen: str
    reasons: dict[str, str | None]
    level: str
    threads: int
    weights: str | None = None

    def __str__(self) -> str:
        lines = [f"backend: {self.chosen}"]
        for name, reason in self.reasons.items():
            state = "runs" if name == self.chosen else "could run"
            lines.append(f"  {name}: {state if reason is None else f'refuses, {reason}'}")
        lines += [f"CPU level: {self.level}", f"threads: at most {self.threads}"]
        lines += [] if self.weights is None else [f"weights: frozen, stored as {self.weights}"]
        return "\n".join(lines)

    __repr__ = __str__


def explain(layer: GRU | GRUCell, input: Tensor | PackedSequence, hx: Tensor | None = None) -> Explanation:
    """Shows which backend `layer(input, hx)` would use now, and why not the others.

    Args:
        layer: a `fastgru.GRU` or `fastgru.GRUCell`.
        input: the input of the call.
        hx: the state of the call.

    Returns:
        The explanation; print it.

    Raises:
        TypeError: if `layer` is of another class.
        BackendError: if a backend was requested by name and cannot run the call.

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
        weights=layer._frozen.weights if isinstance(layer, GRU) and layer._frozen is not None else None,
    )


class _Recorded(Exception):  # noqa: N818  (not an error: it carries a request out of a call)
    def __init__(self, request: Request) -> None:
        self.request = request


class _Recorder:
    """A backend that computes nothing and raises with the request."""

    name = "recorder"

    def refuse(self, request: Request) -> str | None:
        return None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        raise _Recorded(request)


def _request(layer: GRU | GRUCell, input: Tensor | PackedSequence, hx: Tensor | None) -> Request:
    """The request of this call, after all checks."""
    with dispatch.serve_by(_Recorder()):
        try:
            layer(input, hx)
        except _Recorded as recorded:
            return recorded.request
    raise AssertionError("a layer's call reaches a backend")
