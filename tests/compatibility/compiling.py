"""torch.compile: one graph, for training and for any sizes."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn
from torch._dynamo import config, mark_dynamic
from torch._dynamo.backends.common import aot_autograd

from compatibility.models import Model, agree, trained
from compatibility.registry import NOT_ASKED, STOCK, Entry, Library, capability, proved_by

HEADING = "Compiling"
UNSEEN = count(89)  # hidden sizes that no other check has


def allowed(library: Library) -> AbstractContextManager[Any]:
    """torch.compile takes torch's layer only where this switch is set, and unrolls it step by step."""
    return config.patch(allow_rnn=True) if library is STOCK else nullcontext()


def counted(model: nn.Module, **options: Any) -> tuple[Any, list[int]]:
    """`model` compiled for inference down to torch's basic operators, and the number of nodes of each graph made."""
    sizes: list[int] = []

    def keep(graph: Any, _: Any) -> Any:
        sizes.append(len(graph.graph.nodes))
        return graph.forward

    return torch.compile(model, fullgraph=True, backend=aot_autograd(fw_compiler=keep), **options), sizes


def trains_compiled(library: Library, backend: str) -> None:
    model, x = Model(library, num_layers=2), torch.randn(5, 4, 3)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    agree(trained(model, compiled, x), trained(model, model, x))
    with torch.no_grad():
        agree(compiled(x), model(x))


@capability("`torch.compile(fullgraph=True)`, default settings, training and inference")
def compiles_in_one_graph(library: Library) -> None:
    trains_compiled(library, "inductor")


@capability('the same with `torch._dynamo.config.allow_rnn`, which unrolls torch\'s layer (`backend="aot_eager"`)')
def compiles_where_allowed(library: Library) -> None:
    with config.patch(allow_rnn=True):
        trains_compiled(library, "aot_eager")


@capability("a program that builds `torch.nn.GRU` compiles and trains (ours under `fastgru.patch()`)")
def compiles_under_patch(library: Library) -> None:
    with library.patch():
        model, x = nn.Sequential(nn.Linear(3, 3), nn.GRU(3, 4)), torch.randn(5, 2, 3)
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        agree(trained(model, compiled, x), trained(model, model, x))


# Sizes of 1 have graphs of their own in torch, whatever the layer.
SIZES = ((5, 4), (5, 4), (6, 7), (12, 9), (2, 3))


def takes_all_sizes(library: Library, most: int, hidden: int, is_marked: bool = False, **options: Any) -> None:
    """A compiled model gives at all sizes what it gives uncompiled, by no more graphs than `most`."""
    torch._dynamo.reset()
    model = nn.Sequential(nn.Linear(3, 8), library.GRU(8, hidden)).eval()
    with allowed(library), torch.no_grad():
        compiled, graphs = counted(model, **options)
        for steps, rows in SIZES:
            x = torch.randn(steps, rows, 3)
            for dimension in (0, 1) if is_marked else ():
                mark_dynamic(x, dimension)
            agree(compiled(x), model(x))
    assert len(graphs) <= most, f"{len(graphs)} graphs for {len(set(SIZES))} sizes"


@capability("`dynamic=True`: one graph for all steps and batches from 2 on¹")
def one_graph_by_dynamic(library: Library) -> None:
    takes_all_sizes(library, 1, next(UNSEEN), dynamic=True)


@capability("`mark_dynamic` of both sizes: one graph¹")
def one_graph_by_marks(library: Library) -> None:
    takes_all_sizes(library, 1, next(UNSEEN), is_marked=True)


@capability("default settings: a graph for the first sizes, and one for all others from 2 on¹")
def two_graphs_by_default(library: Library) -> None:
    takes_all_sizes(library, 2, next(UNSEEN))


@capability("the compiled graph does not grow with the steps¹")
def graph_of_any_steps(library: Library) -> None:
    sizes = []
    with allowed(library), torch.no_grad():
        for steps in (6, 60):
            torch._dynamo.reset()
            compiled, found = counted(Model(library).eval(), dynamic=False)
            compiled(torch.randn(steps, 2, 3))
            sizes += found
    assert sizes[0] == sizes[1], f"{sizes[0]} nodes for 6 steps, {sizes[1]} for 60"


@capability("compiling takes as long for 100 steps as for 10¹")
def compile_time_of_any_steps(library: Library) -> None:
    model = Model(library).eval()

    def seconds(steps: int) -> float:
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, dynamic=False, backend="aot_eager")
        begin = time.perf_counter()
        compiled(torch.randn(steps, 2, 3))
        return time.perf_counter() - begin

    with allowed(library), torch.no_grad():
        seconds(3)  # what is done once in a process
        few, many = min(seconds(10), seconds(11)), min(seconds(100), seconds(101))
    assert many < 3 * few, "takes more than three times as long"


@capability("`lengths` and `reset` inside a compiled model¹")
def compiles_with_lengths_and_resets(library: Library) -> None:
    layer, x = library.GRU(3, 4, bidirectional=True), torch.randn(6, 3, 3)
    sequences = {"lengths": torch.tensor([6, 0, 4]), "reset": torch.rand(6, 3) < 0.3}
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    with allowed(library):
        agree(trained(layer, compiled, x, **sequences), trained(layer, layer, x, **sequences))


@capability("packing inside a compiled model (ours: `lengths` instead)¹")
def compiles_packing(library: Library) -> None:
    layer = library.GRU(3, 4)

    def call(x: Tensor, lengths: Tensor) -> Tensor:
        packed = nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        return layer(packed)[1]

    x, lengths = torch.randn(6, 3, 3), torch.tensor([6, 2, 4])
    with allowed(library):
        agree(torch.compile(call, fullgraph=True, backend="aot_eager")(x, lengths), call(x, lengths))


@capability("`vmap` inside a compiled function¹")
def compiles_vmap(library: Library) -> None:
    layer, xs = library.GRU(3, 4), torch.randn(5, 6, 2, 3)
    call = torch.vmap(lambda x: layer(x)[0])
    want = call(xs)
    with allowed(library):
        agree(torch.compile(call, fullgraph=True, backend="aot_eager")(xs), want)


@capability("`torch.autocast` around a compiled model gives what it gives around the model¹")
def compiles_with_autocast(library: Library) -> None:
    layer, x = library.GRU(3, 4), torch.randn(5, 2, 3)
    with allowed(library), torch.autocast("cpu", torch.bfloat16):
        agree(torch.compile(layer, fullgraph=True, backend="aot_eager")(x), layer(x))


OWN = Entry(NOT_ASKED, "it has no operators of its own beside torch's")
for title, test in (
    ("`opcheck` of the operators, forwards and backwards", "test_torchs_own_checks_of_operators_pass"),
    ("operators have derivatives of the first and the second order", "test_operators_have_derivatives_of_second_order"),
):
    proved_by(__name__, title, f"tests/test_compile.py::{test}", stock=OWN)
