"""What a backend is asked, and what it answers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor

from fastgru import errors
from fastgru.spec import GRUSpec


class Bounds(NamedTuple):
    """How the sequences of a batch end, and where they start anew. At most one of the first two is given.

    Attributes:
        batch_sizes: rows alive at each step of packed data: (T,), int64 on the CPU, never growing.
        lengths: steps of each padded sequence, from 0 to T: (B,), int64 on the CPU.
        reset: true where the state is put back before a step: booleans (T, B), or (B, T) where the input is so.
        reset_state: what it is put back to: (L*D, H) or (L*D, B, H); None for zeros.
    """

    batch_sizes: Tensor | None = None
    lengths: Tensor | None = None
    reset: Tensor | None = None
    reset_state: Tensor | None = None


UNBOUNDED = Bounds()

# Who follows a call (`Request.context`), where our operators have rules for it.
COMPILER = "torch.compile"
TRANSFORM = "a torch.func transform"
DISPATCH_MODE = "a TorchDispatchMode"
FORWARD_MODE = "forward-mode AD"
FORWARD_TRANSFORM = f"{FORWARD_MODE} in {TRANSFORM}"
JIT_TRACING = "torch.jit tracing"
FAKE = "tensors of type FakeTensor"


class Request(NamedTuple):
    """One call, as data without tensors.

    Attributes:
        spec: what the layer computes.
        dtype: of the input.
        device: type of the input's device, such as ``"cpu"``.
        steps: T.
        batch: B.
        is_packed: the input is packed by batch sizes.
        needs_grad: autograd will want gradients.
        dropout: between layers; 0 in evaluation and for a single layer.
        context: why only operators that torch can see may run here; None where anything may.
        recompute: the backward pass computes the gates again instead of keeping them; backends may ignore it.
        batch_first: input, output and reset mask have the batch before the steps.
        has_lengths: sequences have lengths of their own.
        resets: states are put back inside sequences.
    """

    spec: GRUSpec
    dtype: torch.dtype
    device: str
    steps: int
    batch: int
    is_packed: bool
    needs_grad: bool
    dropout: float
    context: str | None
    recompute: bool = False
    batch_first: bool = False
    has_lengths: bool = False
    resets: bool = False


def unwatched_request(
    spec: GRUSpec,
    dtype: torch.dtype,
    sizes: tuple[int, int],
    bounds: Bounds,
    recompute: bool,
    batch_first: bool,
) -> Request:
    """The request of a call with gradients and without dropout, which the core serves by itself.

    Args:
        spec: of the layer.
        dtype: of the input.
        sizes: steps and rows.
        bounds: of the sequences.
        recompute: see `Request`.
        batch_first: see `Request`.
    """
    is_packed, has_lengths, resets = [t is not None for t in bounds[:3]]
    return Request(spec, dtype, "cpu", *sizes, is_packed, True, 0.0, None, recompute, batch_first, has_lengths, resets)


class Backend(Protocol):
    """A way to compute a GRU, with its own gradients."""

    name: str

    def refuse(self, request: Request) -> str | None:
        """Why it cannot serve the request, as half a sentence; None when it can."""

    def run(
        self,
        request: Request,
        x: Tensor,
        h_0: Tensor | None,
        weights: tuple[Tensor, ...],
        bounds: Bounds,
    ) -> tuple[Tensor, Tensor]:
        """Output and h_n. Arguments have been validated.

        Args:
            request: not refused.
            x: (T, B, I) with any strides, or (B, T, I), or packed data (N, I), as the request says.
            h_0: (L*D, B, H), or None for zeros.
            weights: in torch's order.
            bounds: of the sequences.

        Returns:
            output (T, B, D*H), (B, T, D*H) or (N, D*H), zeros past the ends, and h_n (L*D, B, H).
        """


_Function = TypeVar("_Function", bound=Callable[..., Any])


def not_compiled(function: _Function) -> _Function:
    """Marks a function that calls the core as one that torch.compile leaves alone when it meets it by itself.

    Compiled code never comes here: it goes by our operators. But a frame whose caller was not compiled is one that
    the compiler may begin with. The mark costs nothing at a call, unlike `torch.compiler.disable`.
    """
    frames: Any = torch._C._dynamo.eval_frame
    if hasattr(frames, "skip_code"):  # until torch 2.7
        frames.skip_code(function.__code__)
    else:
        skip = frames._FrameAction.SKIP
        frames.set_code_exec_strategy(function.__code__, frames._FrameExecStrategy(skip, skip))
    return function


_warned: set[str] = set()


def warn_once(reasons: dict[str, str | None]) -> None:
    """Warns of a call that the reference serves, for `reasons` by backend, once for the same reasons."""
    warning = errors.slow_path(reasons)
    if str(warning) not in _warned:
        _warned.add(str(warning))
        warnings.warn(warning, stacklevel=3)


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """The type of sums, and of states between steps, in a layer of `dtype`: float32 where that has 16 bits."""
    return torch.float32 if dtype.itemsize == 2 else dtype


RunLayer = Callable[[Request, Tensor, Tensor | None, tuple[Tensor, ...], Bounds], tuple[Tensor, Tensor]]


def layerwise(
    run_layer: RunLayer,
    request: Request,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    bounds: Bounds,
) -> tuple[Tensor, Tensor]:
    """Runs a stack layer by layer, with torch's dropout between.

    Dropout meets the same tensors in the same order as in `torch.nn.GRU`, so the same seed gives the same masks.
    """
    spec = request.spec
    cells, per_layer = spec.num_directions, len(weights) // spec.num_layers
    h_n = []
    batch_first = request.batch_first
    if batch_first:  # torch's masks are drawn for steps before rows, whatever the caller's layout
        request, x, bounds = _turned(request, x, bounds)
    for layer in range(spec.num_layers):
        if layer > 0 and request.dropout > 0:
            x = torch.dropout(x, request.dropout, True)
        states = slice(layer * cells, (layer + 1) * cells)
        anew = bounds.reset_state
        own = bounds._replace(reset_state=None if anew is None else anew[states])
        alone = request._replace(spec=spec.single_layer(layer), dropout=0.0)
        if layer == spec.num_layers - 1 and batch_first:
            alone, x, own = _turned(alone, x, own)
        start = None if h_0 is None else h_0[states]
        x, last = run_layer(alone, x, start, weights[layer * per_layer : (layer + 1) * per_layer], own)
        h_n.append(last)
    return x, torch.cat(h_n)


def _turned(request: Request, x: Tensor, bounds: Bounds) -> tuple[Request, Tensor, Bounds]:
    """The same call with steps before rows where rows came first, or the other way round."""
    reset = None if bounds.reset is None else bounds.reset.transpose(0, 1)
    turned = request._replace(batch_first=not request.batch_first)
    return turned, x.transpose(0, 1), bounds._replace(reset=reset)
