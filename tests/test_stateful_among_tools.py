"""A layer that carries its state, with tools that copy, average, transform or capture it."""

from __future__ import annotations

import contextlib
import copy

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.func import functional_call, grad, jvp, vjp, vmap
from torch.fx.experimental.proxy_tensor import make_fx
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel
from torch.utils.checkpoint import checkpoint

import fastgru
from stateful_models import Reader, pair_of, went_on
from tolerance import assert_agrees

SECONDS = 120


@pytest.mark.parametrize("use_buffers", [False, True])
def test_averages_leave_the_state_alone(use_buffers):
    model, x = Reader(), torch.randn(4, 2, 3)
    average = AveragedModel(model, use_buffers=use_buffers)
    for rows in (2, 3):
        model.gru.reset_state()
        model(torch.randn(4, rows, 3))
        average.update_parameters(model)
    assert average.module.gru.state is None
    average(x)
    kept = average.module.gru.state.clone()
    average.update_parameters(model)
    assert torch.equal(average.module.gru.state, kept)
    assert went_on(average.module.gru, x)


@contextlib.contextmanager
def group(rank=0, size=1, store=None):
    store = distributed.HashStore() if store is None else distributed.FileStore(store, size)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def differences_under_ddp(rank, store, found):
    """What a process puts into `found`: how far its stream is from the one that it has without DDP."""
    torch.set_num_threads(1)
    with group(rank, 2, store):
        torch.manual_seed(0)
        model = Reader()
        alone = copy.deepcopy(model)
        xs = torch.randn(3, 4, 2, 3, generator=torch.Generator().manual_seed(rank))
        want = [alone(x) for x in xs]
        got = [model(xs[0])]  # once before it is wrapped
        wrapped = DistributedDataParallel(model)
        got += [wrapped(x) for x in xs[1:]]
        found[rank] = (torch.stack(got) - torch.stack(want)).abs().max().item()


@pytest.mark.skipif(not distributed.is_available(), reason="this build of torch has no processes that talk")
def test_every_process_has_a_state_of_its_own(tmp_path):
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        found = manager.dict()
        arguments = str(tmp_path / "store"), found
        processes = [context.Process(target=differences_under_ddp, args=(rank, *arguments)) for rank in (0, 1)]
        try:
            for process in processes:
                process.start()
            for process in processes:
                process.join(SECONDS)
            assert dict(found) == {0: 0.0, 1: 0.0}
        finally:
            for process in processes:
                process.kill()
                process.join(SECONDS)


@pytest.mark.skipif(not distributed.is_available(), reason="this build of torch has no processes that talk")
def test_a_sharded_layer_carries_its_state():
    from torch.distributed.fsdp import fully_shard

    with group():
        model, x = Reader(), torch.randn(3, 4, 2, 3)
        alone = copy.deepcopy(model)
        model = fully_shard(model, mesh=distributed.init_device_mesh("cpu", (1,)))
        for part in x:
            got = model(part)
            assert torch.equal(got, alone(part))
            got.sum().backward()


CAPTURES = {
    "torch.export": lambda model, x: torch.export.export(model, (x,)),
    "torch.export, strict": lambda model, x: torch.export.export(model, (x,), strict=True),
    "torch.jit.script": lambda model, x: torch.jit.script(model),
    "torch.jit.trace": lambda model, x: torch.jit.trace(model, (x,)),
    "torch.jit.trace_module": lambda model, x: torch.jit.trace_module(model, {"forward": (x,)}),
    "make_fx": lambda model, x: make_fx(lambda x: model(x))(x),
    "fastgru.onnx.export": lambda model, x: fastgru.onnx.export(model, "/dev/null", args=(x,)),
}


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
@pytest.mark.parametrize("called_before", [False, True])
@pytest.mark.parametrize("make", [lambda: fastgru.StatefulGRU(3, 5), Reader], ids=["alone", "in a model"])
@pytest.mark.parametrize("capture", CAPTURES.values(), ids=CAPTURES)
def test_what_would_drop_the_state_is_refused(capture, make, called_before):
    model, x = make().eval(), torch.randn(4, 2, 3)
    layer = getattr(model, "gru", model)
    if called_before:
        model(x)
    kept, before = layer.state, x.clone()
    with pytest.raises(fastgru.errors.ExportError, match=r"output, h_n = gru\(input, h_n\)"):
        capture(model, x)
    assert layer.state is kept
    assert torch.equal(x, before)
    model(x)
    assert went_on(layer, x)


@pytest.mark.filterwarnings("ignore")  # torch's own, about its exporters
@pytest.mark.parametrize("dynamo", [False, True])
@pytest.mark.parametrize("make", [lambda: fastgru.StatefulGRU(3, 5), Reader], ids=["alone", "in a model"])
def test_torchs_exporters_of_onnx_tell_why_they_cannot(make, dynamo, tmp_path):
    model, x = make().eval(), torch.randn(4, 2, 3)
    with pytest.raises(RuntimeError, match=r"output, h_n = gru\(input, h_n\)"):
        torch.onnx.export(model, (x,), tmp_path / "model.onnx", dynamo=dynamo)
    assert not (tmp_path / "model.onnx").exists()


def test_a_layer_without_memory_exports_what_this_one_learned():
    layer, plain = pair_of({})
    x = torch.randn(4, 2, 3)
    layer(x)
    program = torch.export.export(plain, (x, torch.zeros(2, 2, 5))).module()
    assert torch.equal(program(x, layer.state)[0], layer(x)[0])


def test_a_graph_of_cuda_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)
    layer = fastgru.StatefulGRU(3, 5)
    layer(torch.randn(4, 2, 3))
    with torch._subclasses.FakeTensorMode():
        x = torch.randn(4, 2, 3, device="cuda")
    with pytest.raises(fastgru.errors.ExportError, match=r"torch\.cuda\.graph"):
        layer(x)


def test_a_call_without_values_leaves_the_state_alone():
    layer, _ = pair_of({})
    x = torch.randn(4, 2, 3)
    layer(x)
    kept = layer.state
    with torch._subclasses.FakeTensorMode(allow_non_fake_inputs=True):
        assert layer(torch.randn(4, 2, 3))[0].shape == (4, 2, 5)
    assert layer.state is kept
    assert went_on(layer, x)


def test_a_node_of_fx_is_the_layer_with_its_state():
    model, x = Reader(), torch.randn(4, 2, 3)
    graph = torch.fx.symbolic_trace(model)
    assert graph.gru.state is None
    got = [graph(x), graph(x)]
    model.gru.reset_state()
    assert torch.equal(torch.stack(got), torch.stack([model(x), model(x)]))
    assert not torch.equal(*got)


def test_a_compiled_model_carries_the_state():
    torch._dynamo.reset()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    model = Reader()
    alone, x = copy.deepcopy(model), torch.randn(4, 2, 3)
    compiled = torch.compile(model, fullgraph=True, backend=backend)
    for mode in (contextlib.nullcontext, torch.no_grad, torch.inference_mode, contextlib.nullcontext):
        with mode():
            for _ in range(3):
                assert_agrees({"": compiled(x).detach()}, {"": alone(x).detach()})
        assert not model.gru.state.is_inference()
    count = len(graphs)
    assert count <= 5  # without a state and with one, and for each mode
    model.gru.state = alone.gru.state = torch.randn(1, 2, 5)
    compiled(x).sum().backward()
    alone(x).sum().backward()
    assert_agrees(*[{name: p.grad for name, p in one.named_parameters()} for one in (model, alone)])
    assert len(graphs) == count


def test_a_call_with_other_parameters_moves_the_state():
    layer, plain = pair_of({})
    x = torch.randn(4, 2, 3)
    parameters = {name: p.detach() * 0.5 for name, p in layer.named_parameters()}
    state = None
    for _ in range(3):
        got, _ = functional_call(layer, parameters, (x,))
        want, state = functional_call(plain, parameters, (x, state))
        assert torch.equal(got, want)
    assert torch.equal(layer.state, state)


FUNCTIONS = {
    "grad": lambda call, p: grad(lambda p: call(p).square().sum())(p),
    "vjp": lambda call, p: vjp(call, p)[1](torch.ones(4, 2, 5))[0],
    "jvp": lambda call, p: {"": jvp(call, (p,), (p,))[1]},
    "grad of grad": lambda call, p: {"": grad(lambda s: grad(lambda s: call(scaled(p, s)).sum())(s))(torch.ones(()))},
}


def scaled(parameters, by):
    return {name: p * by for name, p in parameters.items()}


@pytest.mark.filterwarnings("ignore::fastgru.errors.SlowPathWarning")
@pytest.mark.parametrize("derivative", FUNCTIONS.values(), ids=FUNCTIONS)
def test_the_state_outlives_a_derivative_by_torch_func(derivative):
    layer, plain = pair_of({})
    x, own, state = torch.randn(4, 2, 3), {name: p.detach() for name, p in layer.named_parameters()}, None
    for _ in range(3):
        got = derivative(lambda p: functional_call(layer, p, (x,))[0], own)
        want = derivative(lambda p, s=state: functional_call(plain, p, (x, s))[0], own)
        assert_agrees(got, want)
        state = functional_call(plain, own, (x, state))[1]
        assert not torch._C._functorch.is_functorch_wrapped_tensor(layer.state)
        assert_agrees({"": layer.state}, {"": state})
    assert went_on(layer, x)


def test_vmap_is_refused():
    layer, _ = pair_of({})
    x = torch.randn(4, 2, 3)
    layer(x)
    kept = layer.state
    for call in (vmap(lambda x: layer(x)[0]), vmap(grad(lambda x: layer(x)[0].sum()))):
        with pytest.raises(fastgru.errors.StateError, match=r"torch.vmap.*output, h_n = gru\(input, h_n\)"):
            call(torch.randn(3, 4, 2, 3))
    assert layer.state is kept
    assert went_on(layer, x)


@pytest.mark.parametrize("use_reentrant", [False, True])
def test_a_checkpoint_is_refused_unless_it_is_given_the_state(use_reentrant):
    layer, plain = pair_of({})
    x, hx = torch.randn(4, 2, 3, requires_grad=True), torch.randn(2, 2, 5)
    output, _ = checkpoint(layer, x, use_reentrant=use_reentrant)
    with pytest.raises(fastgru.errors.StateError, match=r"torch\.utils\.checkpoint"):
        output.sum().backward()
    output, _ = checkpoint(layer, x, hx, use_reentrant=use_reentrant)
    layer.state = kept = torch.randn(2, 2, 5)
    layer.zero_grad()
    output.sum().backward()
    plain(x, hx)[0].sum().backward()
    assert_agrees(*[{name: p.grad for name, p in one.named_parameters()} for one in (layer, plain)])
    assert torch.equal(layer.state, kept), "a backward pass moves the state"


def test_replicas_of_data_parallel_are_refused():
    layer, _ = pair_of({})
    with pytest.raises(fastgru.errors.StateError, match="DistributedDataParallel"):
        layer._replicate_for_data_parallel()
    model, x = nn.DataParallel(nn.Sequential(layer)), torch.randn(4, 2, 3)
    model(x)  # without several GPUs there are no replicas
    assert went_on(layer, x)
