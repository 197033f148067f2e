"""Who follows a call: whether a compiler, a transform, a trace or a mode of torch records or changes it."""

from __future__ import annotations

import enum

import torch
from torch import Tensor

_KNOWS_EXPORTS = hasattr(torch.compiler, "is_exporting")  # from torch 2.7 on


class Follower(enum.Enum):
    """The follower of a call; printing one gives its text."""

    COMPILER = "torch.compile"
    TRANSFORM = "a torch.func transform"
    COMPILED_TRANSFORM = "torch.compile of a torch.func transform"
    FORWARD_MODE = "forward-mode AD"
    FORWARD_TRANSFORM = "forward-mode AD in a torch.func transform"
    DISPATCH_MODE = "a TorchDispatchMode"
    JIT_TRACING = "torch.jit tracing"
    ONNX_EXPORT = "an ONNX export"
    FAKE = "tensors of type FakeTensor"
    SUBCLASS = "tensors of a subclass"
    LAYOUT = "tensors of other layouts than torch.strided"
    WRAPPER = "tensors without memory of their own"
    AUTOCAST = "autocast of mixed types"
    EXPANDED_WEIGHTS = "torch's ExpandedWeights"

    def __str__(self) -> str:
        return str(self.value)

    @property
    def is_transform(self) -> bool:
        """Whether the follower is a transform of torch.func."""
        return self in (Follower.TRANSFORM, Follower.COMPILED_TRANSFORM, Follower.FORWARD_TRANSFORM)


def is_exporting_program() -> bool:
    """Whether `torch.export` is capturing a program."""
    # Torch 2.6 sets the flag for torch.export alone.
    return torch.compiler.is_exporting() if _KNOWS_EXPORTS else torch.compiler._is_compiling_flag


def is_exporting() -> bool:
    """Whether `torch.onnx.export` is capturing a model, by the exporter that can take an operator of ONNX as it is."""
    return torch.compiler.is_compiling() and torch.onnx.is_in_onnx_export()


# The exporter's second try goes through Dynamo, which takes `is_in_onnx_export` for False, and would write down the
# steps of the example one by one. This makes it ask, and fail: torch lets no operators of ONNX through there.
is_exporting._dynamo_marked_constant = True  # type: ignore[attr-defined]


def needs_grad(x: Tensor, h_0: Tensor | None, weights: tuple[Tensor, ...], reset_state: Tensor | None = None) -> bool:
    """Whether autograd will need gradients of the call."""
    if not torch.is_grad_enabled():
        return False
    if x.requires_grad or (h_0 is not None and h_0.requires_grad):
        return True
    if reset_state is not None and reset_state.requires_grad:
        return True
    try:
        return any([weight.requires_grad for weight in weights])  # noqa: C419  (a generator takes twice as long)
    except (AttributeError, RuntimeError):  # no tensor, or one that answers to few functions: told apart later
        return True
