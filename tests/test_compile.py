"""torch.compile and torch.export: one graph, with one operator for all layers, for any batch and steps."""

from __future__ import annotations

import time

import pytest
import torch
from torch import nn

import fastgru
import fastgru.backends.cpu.ops
from tolerance import assert_agrees

pytestmark = [  # torch's own, as it compiles
    pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:`isinstance:FutureWarning"),
]


class Model(nn.Module):
    """A layer between others, as a submodule."""

    def __init__(self, library=fastgru, **options):
        super().__init__()
        self.gru = library.GRU(8, 11, **options)
        width = (options.get("proj_size") or 11) * (2 if self.gru.bidirectional else 1)
        self.before, self.after = nn.Linear(3, 8), nn.Linear(width, 1)

    def forward(self, x, lengths=None, reset=None):
        output, h_n = self.gru(self.before(x), lengths=lengths, reset=reset)
        return self.after(output), h_n


OPTIONS = [
    {},
    {"num_layers": 2, "batch_first": True, "bidirectional": True},
    {"num_layers": 2, "learn_h0": True, "state_batch_first": True, "bias": False},
    {"proj_size": 5, "num_layers": 2},
    {"recompute": True},
]


def outcome(model, call, *args, **kwargs):
    """Results and gradients of all parameters."""
    model.zero_grad()
    results = call(*args, **kwargs)
    sum(t.sin().sum() for t in results).backward()
    found = dict(enumerate(t.detach() for t in results))
    return found | {name: p.grad.clone() for name, p in model.named_parameters()}


def counted(model, **options):
    """`model` compiled, and a list that grows with each graph made."""
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    return torch.compile(model, fullgraph=True, backend=backend, **options), graphs


@pytest.mark.parametrize("options", OPTIONS)
def test_a_model_compiles_in_one_graph_and_trains_as_before(options):
    torch._dynamo.reset()
    model = Model(**options)
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for shape in ((5, 4, 3), (7, 6, 3), (9, 2, 3)):
        x = torch.randn(shape)
        assert_agrees(outcome(model, compiled, x), outcome(model, model, x))
        with torch.no_grad():
            assert_agrees(dict(enumerate(compiled(x))), dict(enumerate(model(x))))


def test_default_settings_need_two_graphs_for_any_sizes():
    torch._dynamo.reset()
    model = Model()
    compiled, graphs = counted(model)
    for steps, batch in ((5, 4), (6, 7), (50, 9), (500, 10)):
        compiled(torch.randn(steps, batch, 3))
    assert len(graphs) == 2  # one for the first sizes, one for all


def test_one_graph_where_sizes_are_said_to_be_dynamic():
    torch._dynamo.reset()
    compiled, graphs = counted(fastgru.GRU(3, 61, 2), dynamic=True)
    for steps, batch in ((5, 4), (6, 7), (50, 9)):
        compiled(torch.randn(steps, batch, 3))
    assert len(graphs) == 1  # also of a layer whose sizes the process has not seen, and that was never called


def test_a_stack_is_one_operator():
    torch._dynamo.reset()
    model = Model(num_layers=3, bidirectional=True)
    compiled, graphs = counted(model)
    compiled(torch.randn(100, 4, 3))
    names = [str(node.target) for node in graphs[0].graph.nodes if node.op == "call_function"]
    assert sum("fastgru" in name for name in names) == 1
    assert len(names) - names.count("<built-in function getattr>") < 8


@pytest.mark.parametrize("batch_first", [False, True])
def test_lengths_and_resets_compile(batch_first):
    torch._dynamo.reset()
    model = Model(num_layers=2, bidirectional=True, batch_first=batch_first)
    compiled = torch.compile(model, fullgraph=True, dynamic=True)
    for rows, steps in ((4, 7), (5, 9)):
        lead = (rows, steps) if batch_first else (steps, rows)
        x, reset = torch.randn(*lead, 3), torch.rand(lead) < 0.3
        sequences = {"lengths": torch.randint(0, steps + 1, (rows,)), "reset": reset}
        assert_agrees(outcome(model, compiled, x, **sequences), outcome(model, model, x, **sequences))
    with pytest.raises(fastgru.errors.SequenceError, match=r"lengths\[1\]` is 10"):
        compiled(x, lengths=torch.tensor([1, 10, 2, 0, 0]), reset=reset)


def test_dropout_between_layers_compiles():
    torch._dynamo.reset()
    model = Model(num_layers=2, dropout=0.5)
    compiled, _ = counted(model)
    x = torch.randn(6, 4, 3)
    torch.manual_seed(3)
    got = compiled(x)
    torch.manual_seed(3)
    assert_agrees(dict(enumerate(got)), dict(enumerate(model(x))))


def test_cells_compile():
    torch._dynamo.reset()
    cell = fastgru.GRUCell(3, 4)
    compiled = torch.compile(cell, fullgraph=True, dynamic=True)
    for rows in (2, 5):
        x, h = torch.randn(rows, 3), torch.randn(rows, 4)
        assert_agrees({"": compiled(x, h).detach()}, {"": cell(x, h).detach()})


def test_compiling_takes_no_longer_for_more_steps():
    def seconds(steps):
        torch._dynamo.reset()
        compiled = torch.compile(model, fullgraph=True, dynamic=False)
        begin = time.perf_counter()
        compiled(torch.randn(steps, 2, 3))
        return time.perf_counter() - begin

    model = Model().eval().requires_grad_(False)
    seconds(3)  # what is done once in a process
    assert min(seconds(1001), seconds(1002)) < 3 * max(seconds(10), seconds(11))


def test_a_patched_model_compiles():
    torch._dynamo.reset()
    with fastgru.patch():
        model = Model(nn)
        model(torch.randn(2, 2, 3))
        x = torch.randn(5, 4, 3)
        compiled = torch.compile(model, fullgraph=True, dynamic=True)
        assert_agrees(outcome(model, compiled, x), outcome(model, model, x))


def test_transforms_inside_compile():
    torch._dynamo.reset()
    layer, xs = fastgru.GRU(3, 4), torch.randn(5, 6, 2, 3)
    call = torch.vmap(lambda x: layer(x)[0])
    assert_agrees({"": torch.compile(call, fullgraph=True)(xs).detach()}, {"": call(xs).detach()})


@pytest.mark.parametrize("options", OPTIONS)
def test_an_exported_program_takes_any_sizes(options, tmp_path):
    model = Model(**options).eval()
    batch_first = options.get("batch_first", False)
    steps, rows = torch.export.Dim("steps"), torch.export.Dim("rows")
    sizes = {0: rows, 1: steps} if batch_first else {0: steps, 1: rows}
    program = torch.export.export(model, (torch.randn(4, 5, 3),), dynamic_shapes=(sizes,))
    torch.export.save(program, tmp_path / "model.pt2")
    loaded = torch.export.load(tmp_path / "model.pt2").module()
    for shape in ((7, 6, 3), (3, 9, 3)):
        x = torch.randn(shape)
        assert_agrees(dict(enumerate(loaded(x))), dict(enumerate(model(x))))


@pytest.mark.parametrize("steps", [6, 60])
def test_an_exported_graph_does_not_grow_with_the_steps(steps):
    layer = fastgru.GRU(3, 4, 2, bidirectional=True)
    program = torch.export.export(layer, (torch.randn(steps, 2, 3),)).run_decompositions()
    names = [str(node.target) for node in program.graph.nodes if node.op == "call_function"]
    assert sum("fastgru" in name for name in names) == 1
    assert len(names) < 8


def test_an_exported_program_takes_lengths_and_can_be_trained():
    model = Model()
    dims = {"x": {0: torch.export.Dim("steps"), 1: (rows := torch.export.Dim("rows"))}, "lengths": {0: rows}}
    program = torch.export.export(
        model,
        (torch.randn(4, 5, 3),),
        {"lengths": torch.tensor([1, 4, 2, 0, 3])},
        dynamic_shapes=dims,
    )
    module, x, own = program.module(), torch.randn(6, 3, 3), torch.tensor([6, 0, 2])
    got, want = outcome(module, module, x, lengths=own), outcome(model, model, x, lengths=own)
    assert_agrees(got, want)
    with pytest.raises(fastgru.errors.SequenceError, match="is 7"):
        module(x, lengths=torch.tensor([7, 1, 1]))


def operands(saves, reset_after=True):
    """What an operator takes before its own argument, and after it."""
    layer = fastgru.GRU(2, 3, 2, bidirectional=True, dtype=torch.float64)
    x, h_0 = torch.randn(4, 3, 2).double(), torch.randn(4, 3, 3).double()
    anew = torch.randn(4, 3).double()
    reset = torch.rand(4, 3) < 0.4
    lengths = None if saves else torch.tensor([4, 0, 2])  # what is saved of steps past an end is left as it was
    leaves = [t.requires_grad_() for t in (x, h_0, anew)]
    given = *leaves, list(layer.parameters()), lengths, reset, 2, True, False, False
    return given, () if reset_after else (False,)


@pytest.mark.parametrize("saves", [False, True])
@pytest.mark.parametrize("reset_after", [True, False])
def test_torchs_own_checks_of_operators_pass(saves, reset_after):
    own, kind = operands(saves, reset_after)
    torch.library.opcheck(torch.ops.fastgru.forward.default, (*own, saves, *kind))
    with torch.no_grad():
        output, h_n, saved = torch.ops.fastgru.forward(*own, saves, *kind)
    kept = (output, saved) if saves else (None, None)
    wanted = [True, True, True, *[True] * len(own[3])]
    outer = torch.randn_like(output), torch.randn_like(h_n)
    torch.library.opcheck(
        torch.ops.fastgru.backward.default,
        (*outer, *kept, *own, wanted, *kind),
        test_utils=("test_schema", "test_autograd_registration", "test_faketensor"),
    )


@pytest.mark.parametrize("saves", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("reset_after", [True, False])
def test_operators_have_derivatives_of_second_order(saves, reset_after):
    (x, h_0, anew, weights, *rest), kind = operands(saves, reset_after)

    def call(x, h_0, anew, *weights):
        return torch.ops.fastgru.forward(x, h_0, anew, list(weights), *rest, saves, *kind)[:2]

    assert torch.autograd.gradcheck(call, (x, h_0, anew, *weights))
    assert torch.autograd.gradgradcheck(call, (x, h_0, anew, *weights))
