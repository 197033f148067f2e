"""torch.func, and autograd of any order."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, hessian, jacrev, jvp, stack_module_state, vmap
from torch.utils._pytree import tree_map

from compatibility.models import agree, layer_and_input
from compatibility.registry import Library, capability

HEADING = "Transforms and derivatives"


def loss_of(layer: nn.Module) -> Any:
    """A number from parameters and an input."""
    return lambda parameters, x: sum(t.sin().sum() for t in functional_call(layer, parameters, (x,)))


def parameters_of(layer: nn.Module) -> dict[str, Tensor]:
    return {name: p.detach() for name, p in layer.named_parameters()}


def by_autograd(layer: nn.Module, x: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Gradients of the same number, by the ordinary way."""
    x = x.clone().requires_grad_()
    found = torch.autograd.grad(sum(t.sin().sum() for t in layer(x)), [*layer.parameters(), x])
    return dict(zip(parameters_of(layer), found[:-1], strict=True)), found[-1]


def stacked(results: list[Any]) -> Any:
    return tree_map(lambda *parts: torch.stack(parts), *results)


@capability("`functional_call`")
def calls_with_other_parameters(library: Library) -> None:
    layer, x = layer_and_input(library)
    other = library.GRU(2, 4, dtype=torch.float64)
    agree(functional_call(layer, parameters_of(other), (x,)), other(x))


@capability("`vmap` over inputs")
def vmap_over_inputs(library: Library) -> None:
    layer, _ = layer_and_input(library, num_layers=2, bidirectional=True)
    xs = torch.randn(4, 5, 3, 2, dtype=torch.float64)
    agree(vmap(layer)(xs), stacked([layer(x) for x in xs]))


@capability("`vmap` over stacked parameters: an ensemble in one call")
def vmap_over_parameters(library: Library) -> None:
    layers = [library.GRU(2, 4, 2) for _ in range(3)]
    parameters, buffers = stack_module_state(layers)
    base, x = library.GRU(2, 4, 2, device="meta"), torch.randn(5, 3, 2)
    got = vmap(lambda p, b: functional_call(base, (p, b), (x,)))(parameters, buffers)
    agree(got, stacked([layer(x) for layer in layers]))


@capability("`grad`")
def gradients(library: Library) -> None:
    layer, x = layer_and_input(library, num_layers=2)
    agree(grad(loss_of(layer), argnums=(0, 1))(parameters_of(layer), x), by_autograd(layer, x))


@capability("`vmap(grad)`: gradients for each sample")
def gradients_of_every_sample(library: Library) -> None:
    layer, _ = layer_and_input(library)
    xs = torch.randn(4, 5, 1, 2, dtype=torch.float64)
    got = vmap(grad(loss_of(layer)), in_dims=(None, 0))(parameters_of(layer), xs)
    agree(got, stacked([by_autograd(layer, x)[0] for x in xs]))


@capability("`jvp`")
def forward_mode(library: Library) -> None:
    layer, x = layer_and_input(library)
    outer = torch.randn_like(x)
    _, got = jvp(lambda x: loss_of(layer)(parameters_of(layer), x), (x,), (outer,))
    agree(got, (by_autograd(layer, x)[1] * outer).sum())


@capability("`jacrev`")
def jacobian(library: Library) -> None:
    layer, x = layer_and_input(library)
    agree(jacrev(lambda x: layer(x)[1])(x), torch.autograd.functional.jacobian(lambda x: layer(x)[1], x))


@capability("`hessian`")
def second_derivatives(library: Library) -> None:
    layer, x = layer_and_input(library)

    def loss(x: Tensor) -> Tensor:
        return loss_of(layer)(parameters_of(layer), x)

    agree(hessian(loss)(x), torch.autograd.functional.hessian(loss, x))


@capability("double backward: `gradgradcheck`")
def double_backward(library: Library) -> None:
    layer, x = layer_and_input(library)
    assert torch.autograd.gradgradcheck(lambda x, *_: layer(x)[0], (x.requires_grad_(), *layer.parameters()))


@capability("`vmap` and `vmap(grad)` with `lengths` and `reset`")
def vmap_with_lengths_and_resets(library: Library) -> None:
    layer, _ = layer_and_input(library, bidirectional=True)
    xs, marks = torch.randn(4, 5, 3, 2, dtype=torch.float64), torch.rand(4, 5, 3) < 0.3
    lengths = torch.randint(0, 6, (4, 3))

    def call(parameters: Any, x: Tensor, lengths: Tensor, reset: Tensor) -> Any:
        return functional_call(layer, parameters, (x,), {"lengths": lengths, "reset": reset})

    def loss(*arguments: Any) -> Tensor:
        return call(*arguments)[0].sin().sum()

    own = parameters_of(layer)
    for function in (call, grad(loss)):
        got = vmap(function, in_dims=(None, 0, 0, 0))(own, xs, lengths, marks)
        agree(got, stacked([function(own, *each) for each in zip(xs, lengths, marks, strict=True)]))
