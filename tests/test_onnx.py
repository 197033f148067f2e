"""Export to ONNX: one GRU node for each stacked layer, correct for other sizes than the example's."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru
from fastgru.call import build
from fastgru.call.context import Follower
from fastgru.call.request import Call
from onnx_files import FREE, check, exported, written
from tolerance import assert_agrees

FEATURES, HIDDEN = 3, 5
SIZES = [(1, 1), (4, 6), (9, 1), (1, 7)]  # T, B; the examples have others
LENGTHS = [torch.tensor([2, 0, 6, 1]), torch.tensor([6, 6, 6, 6]), torch.tensor([0, 0, 0, 0])]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"bias": False, "num_layers": 2},
        {"batch_first": True, "bidirectional": True},
        {"num_layers": 3, "bidirectional": True, "bias": False},
        {"batch_first": True, "num_layers": 2, "dropout": 0.5},
        {"learn_h0": True, "state_batch_first": True, "num_layers": 2},
        {"proj_size": 2, "bidirectional": True, "num_layers": 2},
        {"return_all_layers": True, "batch_first": True, "num_layers": 2},
        {"reset_after": False},
        {"reset_after": False, "bidirectional": True, "num_layers": 2, "bias": False},
    ],
    ids=lambda options: ", ".join(options) or "plain",
)
@pytest.mark.parametrize("with_state_and_lengths", [False, True], ids=["input", "h_0 and lengths"])
def test_a_layer_is_as_many_nodes_as_layers_for_any_sizes(tmp_path, options, with_state_and_lengths):
    layer = fastgru.GRU(FEATURES, HIDDEN, **options)
    if layer.learn_h0:
        nn.init.normal_(layer.h_0)
    asked = {"with_h_0": True, "with_lengths": True} if with_state_and_lengths else {}
    path = fastgru.onnx.export(layer, tmp_path / "layer.onnx", **asked)
    assert layer.training
    layer.eval()

    kinds, grus, sizes = written(path)
    directions = 2 if layer.bidirectional else 1
    assert kinds["GRU"] == layer.num_layers
    for gru in grus:
        kind = b"bidirectional" if layer.bidirectional else b"forward"
        assert (gru["linear_before_reset"], gru["hidden_size"], gru["direction"]) == (
            int(layer.reset_after),
            HIDDEN,
            kind,
        )
    assert sizes["input"] == (["batch", "steps", FEATURES] if layer.batch_first else ["steps", "batch", FEATURES])
    names = ["output_l0", "output_l1"] if layer.return_all_layers else ["output"]
    assert list(sizes) == ["input", *(["h_0", "lengths"] if asked else []), *names, "h_n"]
    assert sizes[names[-1]][:2] == sizes["input"][:2]

    def call(steps, rows, lengths):
        x = torch.randn(*((rows, steps) if layer.batch_first else (steps, rows)), FEATURES)
        if not asked:
            return {"input": x}
        state = torch.randn(layer.num_layers * directions, rows, HIDDEN)
        return {"input": x, "hx": state.transpose(0, 1) if layer.state_batch_first else state, "lengths": lengths}

    check(layer, path, *[call(steps, rows, torch.full((rows,), steps)) for steps, rows in SIZES])
    check(layer, path, *[call(6, 4, lengths) for lengths in LENGTHS])


class Tagger(nn.Module):
    """A layer in company, with a state and lengths that come from outside."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, FEATURES)
        self.gru = fastgru.GRU(FEATURES, HIDDEN, 2, batch_first=True, bidirectional=True, dropout=0.5)
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(2 * HIDDEN, 4))

    def forward(self, words, state, lengths):
        output, h_n = self.gru(self.embedding(words), state, lengths=lengths)
        return self.head(output), h_n


def tagging(rows, steps):
    lengths = torch.randint(0, steps + 1, (rows,))
    return {"words": torch.randint(0, 20, (rows, steps)), "state": torch.randn(4, rows, HIDDEN), "lengths": lengths}


@pytest.mark.parametrize(("rows", "steps"), [(2, 7), (1, 1)])
@pytest.mark.parametrize("by", ["torch", "fastgru"])
def test_a_model_with_a_layer_inside(tmp_path, by, rows, steps):
    model, example = Tagger().eval(), tagging(rows, steps)
    auto = torch.export.Dim.AUTO
    shapes = {"words": {0: "batch", 1: "steps"}, "state": {1: auto}, "lengths": {0: auto}}
    path = tmp_path / "tagger.onnx"
    if by == "torch":
        exported(model, path, example, shapes)
    else:
        fastgru.onnx.export(model, path, kwargs=example, dynamic_shapes=shapes)
    kinds, _, sizes = written(path)
    assert kinds["GRU"] == 2
    assert kinds["Loop"] == kinds["Dropout"] == 0
    assert (sizes["words"], sizes["state"], sizes["lengths"]) == (["batch", "steps"], [4, "batch", HIDDEN], ["batch"])
    check(model, path, *[tagging(*sizes) for sizes in SIZES])


def test_weights_are_laid_out_in_advance(tmp_path):
    """However large; torch's exporter leaves the larger ones to whoever loads the file."""
    for layer in (fastgru.GRU(FEATURES, 64), fastgru.GRU(100, 20), fastgru.GRU(FEATURES, 100, proj_size=2)):
        kinds, _, _ = written(fastgru.onnx.export(layer, tmp_path / "layer.onnx"))
        assert set(kinds) <= {"GRU", "Squeeze", "Split", "MatMul"}


class WithZeros(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = fastgru.GRU(FEATURES, HIDDEN)

    def forward(self, input):
        return self.gru(input)[0], torch.zeros(2000, 2000) + input.sum()


def test_what_is_no_weight_of_ours_is_not_laid_out(tmp_path):
    example = (torch.randn(7, 2, FEATURES),)
    assert fastgru.onnx.export(WithZeros(), tmp_path / "m.onnx", args=example).stat().st_size < 100_000


@pytest.mark.parametrize("with_h_0", [True, False])
def test_a_cell(tmp_path, with_h_0):
    cell = fastgru.GRUCell(FEATURES, HIDDEN)
    path = fastgru.onnx.export(cell, tmp_path / "cell.onnx", with_h_0=with_h_0)
    kinds, _, sizes = written(path)
    assert kinds["GRU"] == 1
    assert sizes == {
        "input": ["batch", FEATURES],
        **({"h_0": ["batch", HIDDEN]} if with_h_0 else {}),
        "h_n": ["batch", HIDDEN],
    }
    states = [{"hx": torch.randn(rows, HIDDEN)} if with_h_0 else {} for rows in (1, 6)]
    check(
        cell,
        path,
        *[{"input": torch.randn(rows, FEATURES), **state} for rows, state in zip((1, 6), states, strict=True)],
    )


def test_an_unbatched_sequence_and_a_frozen_layer(tmp_path):
    layer = fastgru.GRU(FEATURES, HIDDEN).freeze()
    path = fastgru.onnx.export(
        layer, tmp_path / "m.onnx", args=torch.randn(4, FEATURES), dynamic_shapes=({0: "steps"},)
    )
    assert layer.is_frozen
    check(layer, path, {"input": torch.randn(9, FEATURES)})


@pytest.mark.parametrize("opset", [18, 22])
def test_other_versions_of_the_operators(tmp_path, opset):
    layer = fastgru.GRU(FEATURES, HIDDEN)
    path = fastgru.onnx.export(layer, tmp_path / "layer.onnx", opset=opset)
    assert onnx.load(path).opset_import[0].version == opset
    check(layer, path, {"input": torch.randn(4, 6, FEATURES)})


def test_half_precision(tmp_path):
    layer = fastgru.GRU(FEATURES, HIDDEN).half()
    session = onnxruntime.InferenceSession(fastgru.onnx.export(layer, tmp_path / "layer.onnx"))
    x = torch.randn(4, 6, FEATURES).half()
    got, _ = session.run(None, {"input": x.numpy()})
    assert_agrees({"": torch.from_numpy(got)}, {"": layer(x)[0].detach()})


def test_float64_is_written_though_onnx_runtime_has_no_such_kernel(tmp_path):
    layer = fastgru.GRU(FEATURES, HIDDEN).double()
    path = fastgru.onnx.export(layer, tmp_path / "layer.onnx")
    assert written(path)[0]["GRU"] == 1
    session = onnxruntime.InferenceSession(path)
    with pytest.raises(Exception, match="GRU operator does not support double yet"):
        session.run(None, {"input": torch.randn(4, 6, FEATURES).double().numpy()})


def test_when_no_node_can_stand_for_a_call(monkeypatch):
    layer, refuse = fastgru.GRU(FEATURES, HIDDEN), fastgru.dispatch.find("onnx").refuse
    request = build.request_of(Call(layer.spec, torch.ones(4, 2, FEATURES), None, layer.parameters_in_order()))
    assert refuse(request) == "there is no ONNX export"
    request = request._replace(follower=Follower.ONNX_EXPORT)
    assert refuse(request) is None
    assert refuse(request._replace(dtype=torch.bfloat16)).endswith("float64, the input is torch.bfloat16")
    assert "on meta" in refuse(request._replace(device="meta"))
    assert refuse(request._replace(spec=fastgru.GRUSpec(FEATURES, 0))) == "there is nothing to compute"
    monkeypatch.delattr(torch.onnx, "ops")
    assert "this version of torch" in refuse(request)


def test_in_training_mode_torch_warns_and_dropout_stays(tmp_path):
    model = fastgru.GRU(FEATURES, HIDDEN, 2, dropout=0.5)
    with pytest.warns(UserWarning, match="training mode"):
        exported(model, tmp_path / "m.onnx", {"input": torch.randn(7, 2, FEATURES)}, {"input": FREE})
    assert written(tmp_path / "m.onnx")[0]["Dropout"] == 1


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1")  # of torch's layer too
def test_the_exporter_before_the_present_one_writes_torchs_operator(tmp_path):
    model, path = nn.Sequential(fastgru.GRU(FEATURES, HIDDEN, 2, bidirectional=True)).eval(), tmp_path / "m.onnx"
    axes = {"input": {0: "steps", 1: "batch"}}
    torch.onnx.export(
        model, (torch.randn(7, 2, FEATURES),), path, dynamo=False, input_names=["input"], dynamic_axes=axes
    )
    assert written(path)[0]["GRU"] == 2
    check(model, path, *[{"input": torch.randn(*sizes, FEATURES)} for sizes in SIZES])


LEGACY = {
    "plain": ({}, False),
    "a state": ({}, True),
    "batch first": ({"batch_first": True}, True),
    "two layers both ways": ({"num_layers": 2, "bidirectional": True}, True),
    "without biases": ({"bias": False}, False),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1")  # of torch's layer too
@pytest.mark.parametrize("case", LEGACY)
def test_the_exporter_before_the_present_one_takes_a_layer_alone(tmp_path, case):
    options, has_state = LEGACY[case]
    layer, path = fastgru.GRU(FEATURES, HIDDEN, **options).eval(), tmp_path / "m.onnx"
    cells = layer.num_layers * layer.spec.num_directions
    steps, rows = (1, 0) if layer.batch_first else (0, 1)

    def example(t, b):
        x = torch.randn(*((b, t) if layer.batch_first else (t, b)), FEATURES)
        return {"input": x, "hx": torch.randn(cells, b, HIDDEN)} if has_state else {"input": x}

    call = example(7, 2)
    axes = {"input": {steps: "steps", rows: "batch"}, "hx": {1: "batch"}}
    axes = {name: axes[name] for name in call}
    torch.onnx.export(
        layer, tuple(call.values()), path, dynamo=False, input_names=list(call), dynamic_axes=axes, opset_version=17
    )
    assert written(path)[0]["GRU"] == layer.num_layers
    check(layer, path, call, example(4, 3))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
@pytest.mark.filterwarnings("ignore:Exporting a model to ONNX with a batch_size other than 1")
def test_the_exporter_before_the_present_one_takes_a_cell(tmp_path):
    cell, path = fastgru.GRUCell(FEATURES, HIDDEN).eval(), tmp_path / "m.onnx"
    call = {"input": torch.randn(3, FEATURES), "hx": torch.randn(3, HIDDEN)}
    torch.onnx.export(cell, tuple(call.values()), path, dynamo=False, input_names=list(call))
    check(cell, path, call)


class Packing(nn.Module):
    """A layer that packs its input itself."""

    def __init__(self):
        super().__init__()
        self.gru = fastgru.GRU(FEATURES, HIDDEN)

    def forward(self, input, lengths):
        output, h_n = self.gru(pack_padded_sequence(input, lengths))
        return pad_packed_sequence(output)[0], h_n


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning", "ignore::UserWarning")
def test_the_exporter_before_the_present_one_takes_packed_sequences(tmp_path):
    model, path = Packing().eval(), tmp_path / "m.onnx"
    call = {"input": torch.randn(5, 3, FEATURES), "lengths": torch.tensor([5, 4, 1])}
    torch.onnx.export(model, tuple(call.values()), path, dynamo=False, input_names=list(call))
    check(model, path, call)
