"""Pairs of our layer and torch's with the same weights, and the results of their calls."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

import fastgru

KINDS = ("GRU", "GRUCell")
# Layers whose calls take different ways through ours; `of_form` builds them, `example` is an input for each.
FORMS = (
    ("GRU", {}),
    ("GRU", {"batch_first": True, "num_layers": 2}),
    ("GRU", {"bidirectional": True}),
    ("GRUCell", {}),
)


def pair(kind: str, *args: Any, **kwargs: Any) -> tuple[nn.Module, nn.Module]:
    """Our layer and torch's, built alike, with torch's weights in both."""
    stock = getattr(nn, kind)(*args, **kwargs)
    ours = getattr(fastgru, kind)(*args, **kwargs)
    ours.load_state_dict(stock.state_dict())
    return ours, stock


def of_form(kind: str, **options: Any) -> tuple[nn.Module, nn.Module]:
    """A pair in float64, for `example`."""
    return pair(kind, 3, 5, dtype=torch.float64, **options)


def example(kind: str) -> Tensor:
    """An input that wants a gradient, the same one each time: as many steps as rows, for any order of the two."""
    numbers = torch.Generator().manual_seed(1)
    shape = {"GRU": (4, 4, 3), "GRUCell": (4, 3)}[kind]
    return torch.randn(shape, generator=numbers, dtype=torch.float64).requires_grad_()


def results(result: Any) -> list[Tensor]:
    """The tensors that a layer returned, the data of packed sequences among them."""
    if isinstance(result, PackedSequence):
        return [result.data]
    if isinstance(result, tuple):
        return [tensor for part in result for tensor in results(part)]
    return [result]


def everything(layer: nn.Module, *args: Any, seed: int = 0) -> dict[str, Tensor]:
    """A call's results, and the gradients of a random sum of them, by name.

    Args:
        layer: called with leaves made from `args`; each tensor among them, and the data of
            a packed sequence, gets a gradient if it required one.
        args: inputs of the layer.
        seed: of the random weights of the sum and of the call (dropout).
    """
    args = tuple(_fresh(arg) for arg in args)
    torch.manual_seed(seed)
    outcome = results(layer(*args))
    names = dict(layer.named_parameters())
    names |= {f"input {i}": t for i, arg in enumerate(args) for t in results(arg) if t is not None}
    wanted = {name: t for name, t in names.items() if t.requires_grad}
    found = {f"result {i}": t.detach() for i, t in enumerate(outcome)}
    if wanted:
        weights = torch.Generator().manual_seed(seed)
        total = sum((t * torch.randn(t.shape, generator=weights, dtype=torch.float64).to(t)).sum() for t in outcome)
        grads = torch.autograd.grad(total, list(wanted.values()), allow_unused=True)
        zeros = (torch.zeros_like(t) if g is None else g for t, g in zip(wanted.values(), grads, strict=True))
        found |= {f"gradient of {n}": g for n, g in zip(wanted, zeros, strict=True)}
    return found


def _fresh(arg: Any) -> Any:
    """A leaf of this call's own, with the same numbers and strides."""
    if isinstance(arg, PackedSequence):
        return arg._replace(data=_fresh(arg.data))
    if isinstance(arg, Tensor):
        return arg.detach().requires_grad_(arg.requires_grad)
    return arg


sgd = functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9)


def batches() -> list[Tensor]:
    """Five inputs of one size, for `trained`."""
    return [scale * example("GRU").detach() for scale in (0.2, 0.4, 0.6, 0.8, 1.0)]


def trained(
    model: nn.Module, batches: list[Tensor], make_optimizer: Callable[..., Any], before_step: Callable[[], Any] = bool
) -> dict[str, Tensor]:
    """The losses of a step on each of the batches, and the parameters afterwards, by name.

    Args:
        model: what it returns, states included, is to become a sine of the batch's own numbers.
        batches: one a step.
        make_optimizer: takes the parameters.
        before_step: called between the backward pass and the step.
    """
    optimizer = make_optimizer(model.parameters())
    found = {}
    for step, batch in enumerate(batches):

        def loss(batch: Tensor = batch) -> Tensor:
            optimizer.zero_grad()
            total = sum((t - batch.mean().sin()).square().mean() for t in results(model(batch)))
            total.backward()
            before_step()
            return total

        found[f"loss {step}"] = optimizer.step(loss).detach()
    return found | {name: t.detach().clone() for name, t in model.named_parameters()}
