"""Models and comparisons for several checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize
from torch.utils import _pytree

from compatibility.registry import Library
from tolerance import assert_agrees


class Model(nn.Module):
    """A layer between others, as a submodule."""

    def __init__(self, library: Library, **options: Any) -> None:
        super().__init__()
        self.before, self.gru = nn.Linear(3, 8), library.GRU(8, 11, **options)
        self.after = nn.Linear(11, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        output, h_n = self.gru(self.before(x))
        return self.after(output), h_n


def agree(got: Any, want: Any) -> None:
    """Two structures of tensors are the same but for rounding."""
    got, want = _pytree.tree_leaves(got), _pytree.tree_leaves(want)
    assert_agrees(dict(enumerate(got)), dict(enumerate(want)))


def trained(model: nn.Module, call: Callable[..., Any], *arguments: Any, **options: Any) -> list[Tensor]:
    """Results of a call, and the gradients of all parameters."""
    model.zero_grad()
    results = _pytree.tree_leaves(call(*arguments, **options))
    sum(t.sin().sum() for t in results).backward()
    return [t.detach() for t in results] + [p.grad.clone() for p in model.parameters()]


def layer_and_input(library: Library, **options: Any) -> tuple[nn.Module, Tensor]:
    """A small layer in float64, and 5 steps of 3 rows for it."""
    return library.GRU(2, 4, **options, dtype=torch.float64), torch.randn(5, 3, 2, dtype=torch.float64)


def learns(model: nn.Module, x: torch.Tensor | None = None) -> list[float]:
    """The losses of five steps, which become smaller."""
    x = torch.randn(5, 4, 3, generator=torch.Generator().manual_seed(1)) if x is None else x
    optimizer, losses = torch.optim.SGD(model.parameters(), lr=0.1), []
    for _ in range(5):
        optimizer.zero_grad()
        with parametrize.cached():  # torch's layer asks for computed weights twice in a call, ours once
            loss = (model(x)[0] - 1).square().mean()
            loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True), "the loss does not become smaller"
    return losses
