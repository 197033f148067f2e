"""The layer on a GPU: torch's operator, or the reference, with the results of the CPU."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import hessian, jvp, vmap

from compatibility.models import agree, layer_and_input
from compatibility.registry import NOT_ASKED, Entry, Library, NotRun, capability, proved_by

HEADING = "On a GPU"


def as_on_the_cpu(library: Library, call: Callable[[nn.Module, Tensor], Any], **options: Any) -> None:
    """A call gives on the GPU what it gives here."""
    if not torch.cuda.is_available():
        raise NotRun("no GPU here")
    layer, x = layer_and_input(library, **options)
    agree(call(copy.deepcopy(layer).cuda(), x.cuda()).cpu(), call(layer, x))


@capability("the layer runs and trains, by cuDNN")
def runs_on_a_gpu(library: Library) -> None:
    def trained(layer: nn.Module, x: Tensor) -> Tensor:
        output, h_n = layer(x)
        gradients = torch.autograd.grad(output.sin().sum() + h_n.cos().sum(), list(layer.parameters()))
        return torch.cat([t.detach().flatten() for t in (output, h_n, *gradients)])

    as_on_the_cpu(library, trained, num_layers=2, bidirectional=True)


@capability("double backward on a GPU")
def double_backward_on_a_gpu(library: Library) -> None:
    def second(layer: nn.Module, x: Tensor) -> Tensor:
        x = x.requires_grad_()
        (first,) = torch.autograd.grad(layer(x)[0].sin().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    as_on_the_cpu(library, second)


@capability("`hessian` on a GPU")
def hessian_on_a_gpu(library: Library) -> None:
    as_on_the_cpu(library, lambda layer, x: hessian(lambda x: layer(x)[0].sin().sum())(x).detach())


@capability("`jvp` on a GPU")
def forward_mode_on_a_gpu(library: Library) -> None:
    as_on_the_cpu(library, lambda layer, x: jvp(lambda x: layer(x)[0], (x,), (x.cos(),))[1].detach())


@capability("`vmap` on a GPU")
def vmap_on_a_gpu(library: Library) -> None:
    as_on_the_cpu(library, lambda layer, x: vmap(layer)(x.unsqueeze(2))[0].detach())


@capability("`lengths=` with empty sequences on a GPU")
def lengths_on_a_gpu(library: Library) -> None:
    as_on_the_cpu(library, lambda layer, x: layer(x, lengths=[2, 0, 5])[0].detach(), bidirectional=True)


@capability("`reset=` on a GPU")
def resets_on_a_gpu(library: Library) -> None:
    def call(layer: nn.Module, x: Tensor) -> Tensor:
        marks = torch.zeros(5, 3, dtype=torch.bool, device=x.device)
        marks[2] = True
        return layer(x, reset=marks)[0].detach()

    as_on_the_cpu(library, call)


STAND_IN = Entry(NOT_ASKED, "the test is about our use of cuDNN")
for title, test in (
    (
        "second derivatives, on the CPU, with torch's operator in place of cuDNN",
        "test_second_derivatives_are_the_references_and_one_warning_says_so",
    ),
    (
        "lengths with empty sequences, on the CPU, with torch's operator in place of cuDNN",
        "test_lengths_with_empty_sequences",
    ),
):
    proved_by(__name__, title, f"tests/test_gpu.py::{test}", stock=STAND_IN)
