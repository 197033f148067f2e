"""Per-sample gradients for Opacus, which trains with differential privacy.

Opacus stores the positional inputs of a layer, and gives a rule only the gradient of its first result. This is not
enough here: models use `output`, `h_n` or both, and pass states and lengths. So our hook replaces those of Opacus. It
stores the complete call, waits for the gradients of all results, and then calls the hooks of Opacus.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import register_multi_grad_hook
from torch.func import functional_call, vjp, vmap
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from torch.utils.hooks import RemovableHandle

from fastgru import errors
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU

_KINDS = (GRU, GRUCell)
_CALL = "_call_for_opacus"  # of a layer, while Opacus asks for the gradients of that call


def register() -> None:
    """Makes `fastgru.GRU` and `fastgru.GRUCell` work with Opacus' `PrivacyEngine` and `GradSampleModule`.

    Call it once before a model is wrapped; further calls have no effect. It supports the modes "hooks", Opacus'
    default, and "ghost", models that use `output`, `h_n` or both, states, `lengths`, `reset` and packed sequences, and
    several calls of a layer. Each row of a layer's batch is a sample, for any `batch_first`.

    Raises:
        MissingExtra: if Opacus is not installed.
        ArgumentError: when a model is wrapped or a layer is called, for features without per-sample gradients: dropout
            between layers, input without a batch, nested tensors, subclasses, the mode "functorch".

    Example:
        >>> import opacus  # doctest: +SKIP
        >>> fastgru.opacus.register()  # doctest: +SKIP
        >>> model = opacus.GradSampleModule(fastgru.GRU(4, 8, batch_first=True))  # doctest: +SKIP
        >>> model(torch.randn(3, 5, 4))[1].sum().backward()  # doctest: +SKIP
        >>> model.weight_hh_l0.grad_sample.shape  # doctest: +SKIP
        torch.Size([3, 24, 8])
    """
    try:
        samples: Any = import_module("opacus.grad_sample")
    except ModuleNotFoundError as missing:
        if str(missing.name).split(".")[0] != "opacus":
            raise
        raise errors.missing_extra("opacus", "opacus", "fastgru.opacus.register()") from missing
    for kind in _KINDS:
        samples.register_grad_sampler(kind)(_grad_samples)
        kind.register_forward_hook = _register_forward_hook  # type: ignore[method-assign]
        kind.register_full_backward_hook = _register_full_backward_hook  # type: ignore[method-assign]


def _owner(hook: Any) -> Any:
    """The object of Opacus' that a hook belongs to; None for anybody else's hook."""
    owner = getattr(getattr(hook, "func", hook), "__self__", None)
    return owner if isinstance(owner, import_module("opacus.grad_sample").AbstractGradSampleHooks) else None


def _register_forward_hook(self: nn.Module, hook: Any, **options: Any) -> RemovableHandle:
    """`Module.register_forward_hook`; Opacus' own is called by `_Watch` instead."""
    if _owner(hook) is not None:
        return RemovableHandle(OrderedDict())
    return nn.Module.register_forward_hook(self, hook, **options)


def _register_full_backward_hook(self: nn.Module, hook: Any, prepend: bool = False) -> RemovableHandle:
    """`Module.register_full_backward_hook`; in place of Opacus' own a `_Watch` that calls it."""
    owner = _owner(hook)
    if owner is None:
        return nn.Module.register_full_backward_hook(self, hook, prepend)
    if type(self) not in _KINDS:
        raise errors.no_samples(f"subclasses such as {type(self).__name__}", "Use fastgru.GRU or GRUCell itself")
    if owner.force_functorch:
        raise errors.no_samples('grad_sample_mode="functorch"', 'Use "hooks", which is also faster')
    return nn.Module.register_forward_hook(self, _Watch(owner, hook), with_kwargs=True)


class _Watch:
    """The forward hook of a wrapped layer."""

    def __init__(self, owner: Any, hook: Callable[..., None]) -> None:
        self.owner, self.hook = owner, hook

    def __call__(self, layer: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], results: Any) -> None:
        """Tells Opacus of the call, and of its gradients when they come."""
        if not (self.owner.hooks_enabled and layer.training and torch.is_grad_enabled()):
            return
        if not any(parameter.requires_grad for parameter in layer.parameters()):
            return
        call = _Call(layer, dict(zip(("input", "hx"), args, strict=False)) | kwargs, results)
        self.owner.capture_activations_hook(layer, (self.for_opacus(call.by_rows),), None)

        def tell(found: Any) -> None:
            call.take(found)
            setattr(layer, _CALL, call)
            try:
                # The rule finds the gradients in the call; from this it learns by how much Opacus multiplies them.
                self.hook(layer, (), (self.for_opacus(call.by_rows.new_ones(len(call.by_rows), 1)),))
            finally:
                delattr(layer, _CALL)

        register_multi_grad_hook(_leaves(results), tell)

    def for_opacus(self, by_rows: Tensor) -> Tensor:
        """Samples where Opacus was told that they are."""
        return by_rows if self.owner.batch_first else by_rows.transpose(0, 1)


class _Call:
    """One call of a layer: what it was given, and later the gradients of its results.

    Attributes:
        given: the arguments by name, detached, with packed sequences padded.
        rows_at: where samples stand in each of them; None where all share one.
        outer: the gradients of the results, padded likewise.
        outer_rows_at: where samples stand in these.
        by_rows: the input with samples first.
    """

    def __init__(self, layer: Any, given: dict[str, Any], results: Any) -> None:
        self.packed = given["input"] if isinstance(given["input"], PackedSequence) else None
        self.batch_first = getattr(layer, "batch_first", True)
        if self.packed is not None:
            given["input"], given["lengths"] = pad_packed_sequence(self.packed, self.batch_first)
        _check(layer, given["input"])
        tensors = {name: torch.as_tensor(value).detach() for name, value in given.items() if value is not None}
        self.given: dict[str, Tensor] = tensors
        rows = 0 if self.batch_first else 1
        states = 0 if isinstance(layer, GRUCell) or layer.state_batch_first else 1
        anew = 1 if "reset_state" in tensors and tensors["reset_state"].dim() == 3 else None
        places = {"input": rows, "hx": states, "lengths": 0, "reset": rows, "reset_state": anew}
        self.rows_at = {name: places[name] for name in tensors}
        self.by_rows = tensors["input"].movedim(rows, 0)
        # Without the results themselves, which would keep this call alive, and it them.
        self.blank = [t.detach().new_zeros(()).expand(t.shape) for t in _leaves(results)]
        self.outer_rows_at = [*(rows for _ in self.blank[1:]), states]
        self.outer: list[Tensor] = []

    def take(self, found: Any) -> None:
        """Keeps the gradients of the results; None for one that nobody used."""
        outer = [zeros if d is None else d.detach() for d, zeros in zip(found, self.blank, strict=True)]
        if self.packed is not None:
            outer[:-1] = [pad_packed_sequence(self.packed._replace(data=d), self.batch_first)[0] for d in outer[:-1]]
        self.outer = outer


def _check(layer: Any, x: Tensor) -> None:
    if x.is_nested:
        raise errors.no_samples("nested tensors", "Pass padded ones with `lengths`")
    if x.dim() != (2 if isinstance(layer, GRUCell) else 3):
        raise errors.no_samples("an input without a batch", "Add the batch dimension with `input.unsqueeze`")
    if getattr(layer, "dropout", 0) > 0 and layer.num_layers > 1:
        raise errors.no_samples("dropout inside a GRU", "Stack layers of one, with torch.nn.Dropout between")


def _leaves(results: Any) -> list[Tensor]:
    """The tensors among the results of a layer."""
    if isinstance(results, PackedSequence):
        return [results.data]
    return [leaf for part in results for leaf in _leaves(part)] if isinstance(results, tuple) else [results]


class _Bare(nn.Module):
    """A layer without its hooks."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, given: dict[str, Tensor]) -> Any:
        return self.layer.forward(**given)


def _grad_samples(layer: nn.Module, _: list[Tensor], factor: Tensor) -> dict[nn.Parameter, Tensor]:
    """The rule: of each parameter the gradients, samples first, of the call that `_Watch` put beside the layer."""
    call: _Call | None = getattr(layer, _CALL, None)
    if call is None:
        raise errors.no_samples("a model wrapped earlier", "Call fastgru.opacus.register() before wrapping")
    own = {name: p for name, p in layer.named_parameters() if p.requires_grad}
    if len(call.by_rows) == 0:
        return {p: p.new_zeros(0, *p.shape) for p in own.values()}
    bare = _Bare(layer)

    def gradients(parameters: dict[str, Tensor], given: dict[str, Tensor], outer: list[Tensor]) -> Any:
        def results(asked: dict[str, Tensor]) -> list[Tensor]:
            return _leaves(functional_call(bare, {f"layer.{name}": p for name, p in asked.items()}, (given,)))

        values, pull = vjp(results, parameters)  # type: ignore[misc]  # (typed for auxiliary results too)
        return pull([d.to(t.dtype) for t, d in zip(values, outer, strict=True)])[0]

    given = {name: _one_each(t, call.rows_at[name]) for name, t in call.given.items()}
    scale = factor.flatten()[0]
    outer = [_one_each(d * scale, at) for d, at in zip(call.outer, call.outer_rows_at, strict=True)]
    samples = vmap(gradients, in_dims=(None, call.rows_at, call.outer_rows_at))
    found = samples({name: p.detach() for name, p in own.items()}, given, outer)
    return {own[name]: d for name, d in found.items()}


def _one_each(tensor: Tensor, rows_at: int | None) -> Tensor:
    """Batches of one sample in place of one batch: vmap takes the dimension of the samples away."""
    return tensor if rows_at is None else tensor.unsqueeze(rows_at + 1)
