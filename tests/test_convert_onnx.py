"""ONNX models with GRU nodes among others, as graphs of the runtime: beside ONNX Runtime."""

# ruff: noqa: E501  (the tables of what is refused have a row for each case)

from __future__ import annotations

import itertools

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

import fastgru
from fastgru import errors
from fastgru.convert.onnx_graph import read_onnx
from fastgru.runtime import Model
from onnx_drawing import FLOAT, INT, Drawn, X, by_onnx_runtime, close, input_of
from tolerance import ONNX_RUNTIME


@pytest.mark.parametrize(
    ("direction", "linear_before_reset", "bias"), list(itertools.product(["forward", "reverse", "bidirectional"], [0, 1], [True, False]))
)  # fmt: skip
def test_every_kind_of_gru(direction, linear_before_reset, bias, tmp_path):
    """Lengths and initial states are inputs, last states an output: the runtime has them elsewhere."""
    drawn, directions = Drawn(), 2 if direction == "bidirectional" else 1
    y, y_h = drawn.gru(
        "x", 5, 6, directions, bias, "lengths", "h_0", direction=direction, linear_before_reset=linear_before_reset
    )
    flat = drawn.add("Reshape", [drawn.add("Transpose", [y], perm=[0, 2, 1, 3]), drawn.constant(np.array([0, 0, -1]))])
    ports = [X, ("lengths", TensorProto.INT32, ["batch"]), ("h_0", FLOAT, [directions, "batch", 6])]
    shown = [(flat, FLOAT, None), (y_h, FLOAT, None)]
    path = drawn.save(tmp_path / "m.onnx", ports, shown)
    x, start, lengths = input_of(7, 3, 5), input_of(directions, 3, 6), np.array([7, 3, 5])
    wanted, last = by_onnx_runtime(path, {"x": x, "lengths": lengths.astype(np.int32), "h_0": start})
    model = Model(read_onnx(path))
    state = model.initial_state(3)
    (name,) = state
    rows = slice(1, 2) if direction == "reverse" else slice(None)
    state[name][rows] = start
    output, after = model.run(x, state, lengths=lengths)
    close(output, wanted)
    close(after[name][rows], last)
    if direction == "forward":
        pieces, state = [], None
        for t in range(7):
            y, state = model.step(x[t], state)
            pieces.append(y)
        np.testing.assert_array_equal(np.stack(pieces), model.run(x)[0])


def test_a_batch_first_gru_is_a_turned_one(tmp_path):
    paths = []
    for layout in (0, 1):
        drawn = Drawn()
        y, _ = drawn.gru("x", 5, 6, layout=layout, linear_before_reset=1)
        squeezed = drawn.add("Squeeze", [y, drawn.constant(np.array([2 if layout else 1]))])
        port = ("x", FLOAT, ["batch", "steps", 5] if layout else ["steps", "batch", 5])
        paths.append(drawn.save(tmp_path / f"{layout}.onnx", [port], [(squeezed, FLOAT, None)]))
    plain, turned = (Model(read_onnx(path)) for path in paths)
    x = input_of(7, 3, 5)
    np.testing.assert_array_equal(turned.run(x.swapaxes(0, 1))[0].swapaxes(0, 1), plain.run(x)[0])


def test_a_denoiser_as_an_old_exporter_writes_it(tmp_path):
    """Products and sums apart, zeros for states computed from the batch size, transposes around the GRUs."""
    drawn = Drawn()
    x = drawn.add("Add", [drawn.weight(8), drawn.add("MatMul", ["noisy", drawn.weight(5, 8)])])
    x = drawn.add("Relu", [x])
    rows = drawn.add("Gather", [drawn.add("Shape", [x]), drawn.constant(np.array(0))], axis=0)
    rows = drawn.add("Unsqueeze", [rows, drawn.constant(np.array([0]))])
    shape = drawn.add("Concat", [drawn.constant(np.array([2])), rows, drawn.constant(np.array([8]))], axis=0)
    zeros = drawn.add("ConstantOfShape", [shape])
    x = drawn.add("Transpose", [x], perm=[1, 0, 2])
    one = drawn.constant(np.array([1]))
    for begin in (0, 1):
        limits = [drawn.constant(np.array([number])) for number in (begin, begin + 1, 0)]
        start = drawn.add("Slice", [zeros, *limits])
        y, _ = drawn.gru(x, 8, 8, start=start, linear_before_reset=1)
        x = drawn.add("Squeeze", [y, one])
    x = drawn.add("Transpose", [x], perm=[1, 0, 2])
    x = drawn.add("Sigmoid", [drawn.add("Add", [drawn.add("MatMul", [x, drawn.weight(8, 5)]), drawn.weight(5)])])
    x = drawn.add("Clip", [x, drawn.constant(np.float32(0.3)), ""])
    port = ("noisy", FLOAT, ["batch", "steps", 5])
    path = drawn.save(tmp_path / "m.onnx", [port], [(x, FLOAT, None)], opset=13)
    noisy = input_of(2, 9, 5)
    (wanted,) = by_onnx_runtime(path, {"noisy": noisy})
    graph = read_onnx(path)
    output, state = Model(graph).run(noisy)
    close(output, wanted)
    assert len(state) == 2
    assert [node.operator for node in graph.nodes].count("Add") == 0, "sums are biases of linear layers"


FUNCTIONS = [
    ("Relu", {}), ("LeakyRelu", {"alpha": 0.3}), ("Elu", {"alpha": 0.7}), ("Selu", {}), ("Sigmoid", {}), ("Tanh", {}),
    ("Softplus", {}), ("Softsign", {}), ("HardSigmoid", {}), ("HardSigmoid", {"alpha": 0.3, "beta": 0.4}),
    ("HardSwish", {}), ("Exp", {}), ("Erf", {}), ("Abs", {}), ("Neg", {}), ("Softmax", {"axis": -1}),
    ("LogSoftmax", {"axis": 2}), ("Identity", {}), ("Reciprocal", {}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "attributes"), FUNCTIONS)
def test_every_function(kind, attributes, tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6)
    y = drawn.add(kind, [drawn.add("Squeeze", [y, drawn.constant(np.array([1]))])], **attributes)
    path = drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)])
    x = input_of(4, 2, 5)
    (wanted,) = by_onnx_runtime(path, {"x": x})
    found = Model(read_onnx(path)).run(x)[0]
    np.testing.assert_allclose(found, wanted, rtol=ONNX_RUNTIME, atol=ONNX_RUNTIME)


def test_sums_products_parts_and_norms(tmp_path):
    drawn = Drawn()
    (y, y_h), weights = drawn.gru("x", 5, 6, 2, direction="bidirectional"), drawn.weight(6)
    forward, backward = drawn.add("Split", [y], 2, axis=1)
    both = [drawn.add("Squeeze", [one, drawn.constant(np.array([1]))]) for one in (forward, backward)]
    x = drawn.add("Add", both)
    x = drawn.add("Mul", [drawn.add("Sub", [weights, x]), drawn.constant(np.float32(1.5))])
    x = drawn.add("Div", [x, drawn.constant(np.abs(input_of(6)) + 1)])
    x = drawn.add("LayerNormalization", [x, drawn.weight(6), drawn.weight(6)], axis=-1, epsilon=1e-3)
    x = drawn.add("PRelu", [x, drawn.weight(6)])
    x = drawn.add("Concat", [x, both[0], "x"], axis=2)
    x = drawn.add("Slice", [x, *(drawn.constant(np.array([number])) for number in (3, -2, 2))])
    x = drawn.add("Pow", [drawn.add("Max", [x, drawn.constant(np.float32(-0.4))]), drawn.constant(np.float32(2))])
    x = drawn.add("Sqrt", [drawn.add("Sum", [x, x, x])])
    last = drawn.add("Gather", [y_h, drawn.constant(np.array(1))], axis=0)
    logits = drawn.add("Gemm", [last, drawn.weight(6, 4), drawn.weight(4)], alpha=0.5, beta=2.0)
    logits = drawn.add(
        "BatchNormalization", [logits, *(drawn.weight(4) for _ in range(3)), drawn.constant(np.abs(input_of(4)))]
    )
    path = drawn.save(tmp_path / "m.onnx", [X], [(x, FLOAT, None), (logits, FLOAT, None)])
    x = input_of(4, 3, 5)
    wanted = by_onnx_runtime(path, {"x": x})
    found, _ = Model(read_onnx(path)).run(x)
    assert list(found) == ["v15_0", "v18_0"]
    for one, other in zip(found.values(), wanted, strict=True):
        close(one, other)


def test_a_tagger_of_words_with_shapes_in_its_graph(tmp_path):
    """Reshapes over steps and rows with sizes that are computed."""
    drawn = Drawn()
    x = drawn.add("Gather", [drawn.weight(20, 5), "words"])
    y, _ = drawn.gru(x, 5, 6, 2, direction="bidirectional", linear_before_reset=1)
    y = drawn.add("Transpose", [y], perm=[0, 2, 1, 3])
    shape = drawn.add("Shape", [x])
    two = drawn.add("Slice", [shape, *(drawn.constant(np.array([number])) for number in (0, 2))])
    y = drawn.add("Reshape", [y, drawn.add("Concat", [two, drawn.constant(np.array([12]))], axis=0)])
    flat = drawn.add("Reshape", [y, drawn.constant(np.array([-1, 12]))])
    logits = drawn.add("Gemm", [flat, drawn.weight(4, 12), drawn.weight(4)], transB=1)
    logits = drawn.add("Reshape", [logits, drawn.add("Concat", [two, drawn.constant(np.array([4]))], axis=0)])
    path = drawn.save(tmp_path / "m.onnx", [("words", INT, ["steps", "batch"])], [(logits, FLOAT, None)])
    words = np.random.default_rng(0).integers(0, 20, (7, 3))
    (wanted,) = by_onnx_runtime(path, {"words": words})
    close(Model(read_onnx(path)).run(words)[0], wanted)


class Tagger(torch.nn.Module):
    def __init__(self, reset_after=True):
        super().__init__()
        self.words = torch.nn.Embedding(20, 8)
        self.gru = fastgru.GRU(8, 6, 2, bidirectional=True, batch_first=True, reset_after=reset_after)
        self.norm = torch.nn.LayerNorm(12)
        self.tags = torch.nn.Sequential(torch.nn.Linear(12, 9), torch.nn.GELU(), torch.nn.Linear(9, 4))

    def forward(self, words):
        output, h_n = self.gru(self.words(words))
        return self.tags(self.norm(output)).log_softmax(-1), self.tags(torch.cat([h_n[-2], h_n[-1]], -1))


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_model_that_torch_exported(reset_after, tmp_path):
    torch.manual_seed(0)
    model, words = Tagger(reset_after).eval(), torch.randint(20, (3, 7))
    path = tmp_path / "m.onnx"
    fastgru.onnx.export(model, path, args=words, dynamic_shapes=({0: "batch", 1: "steps"},))
    found, state = Model(read_onnx(path)).run(words.numpy())
    assert list(state) == ["gru", "gru_1"]
    with torch.no_grad():
        for one, other in zip(found.values(), model(words), strict=True):
            close(one, other.numpy())


@pytest.mark.parametrize("options", [{}, {"with_h_0": True}, {"with_lengths": True}])
def test_a_layer_that_we_exported(options, tmp_path):
    torch.manual_seed(0)
    layer = fastgru.GRU(5, 6, 2, bidirectional=True, batch_first=True)
    path = fastgru.onnx.export(layer, tmp_path / "m.onnx", **options)
    x, lengths = torch.from_numpy(input_of(3, 7, 5)), torch.tensor([7, 0, 4])
    given = {"lengths": lengths} if "with_lengths" in options else {}
    output, state = Model(read_onnx(path)).run(x.numpy(), **{name: one.numpy() for name, one in given.items()})
    with torch.no_grad():
        wanted, h_n = layer(x, **given)
    close(output, wanted.numpy())
    close(np.concatenate(list(state.values())), h_n.numpy())


def one_gru(path, *, outputs=None, more=(), ports=(X,), **attributes):
    drawn = Drawn()
    y, y_h = drawn.gru("x", 5, 6, **attributes)
    shown = y
    for kind, inputs, own in more:
        given = [drawn.constant(one) if isinstance(one, np.ndarray) else one for one in inputs]
        shown = drawn.add(kind, [{"y": y, "y_h": y_h}.get(one, one) for one in given], **own)
    return drawn.save(path, ports, [(shown, FLOAT, None)])


REFUSED = {
    "conv": ([("Conv", ["y", np.ones((1, 1, 1, 1), np.float32)], {})], {}, "Conv_1.*the operator Conv, which the runtime"),
    "reduction": ([("ReduceMean", ["y"], {"axes": [0]})], {}, "ReduceMean_1"),
    "activations": ([], {"activations": ["HardSigmoid", "Tanh"]}, "GRU_0.*activations HardSigmoid, Tanh"),
    "clip": ([], {"clip": 1.0}, "GRU_0.*clip"),
    "attention": ([("MatMul", ["y", "y"], {})], {}, "MatMul_1"),
    "a middle step": ([("Gather", ["y", np.array(2)], {"axis": 0})], {}, "Gather_1.*element 2"),
    "every second step": (
        [("Slice", ["y", np.array([0]), np.array([9999]), np.array([0]), np.array([2])], {})],
        {},
        "Slice_1.*every second",
    ),
    "cut features": ([("Reshape", ["y", np.array([0, 0, 2, 3])], {})], {}, "Reshape_1.*cuts an axis"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_runtime_does_not_have_is_refused_by_node(name, tmp_path):
    more, attributes, message = REFUSED[name]
    path = one_gru(tmp_path / "m.onnx", more=more, **attributes)
    with pytest.raises(errors.ConversionError, match=message):
        read_onnx(path)


@pytest.mark.parametrize("data", [b"", b"abc", bytes(1000), b"\x08\x07\x12\xff\xff\xff\xff\xff"])
def test_a_file_that_is_no_onnx_model_is_refused(data, tmp_path):
    path = tmp_path / "m.onnx"
    path.write_bytes(data)
    with pytest.raises(errors.FormatError, match=r"m\.onnx is not a valid ONNX model"):
        read_onnx(path)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_onnx(tmp_path / "m.onnx")


def test_weights_of_16_bits_become_float32(tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6)
    path = drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)])
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), tensor.name))
    for port in (*model.graph.input, *model.graph.output):
        port.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, path)
    graph = read_onnx(path)
    assert {str(array.dtype) for array in graph.parameters.values()} == {"float32"}


STATES = {
    "h_n[-1]": ({"bidirectional": True}, lambda y, h: h[-1]),
    "side by side": ({"bidirectional": True}, lambda y, h: h.transpose(0, 1).reshape(h.shape[1], -1)),
    "every second": ({"bidirectional": True, "num_layers": 2}, lambda y, h: h[::2][-1]),
    "view of one": ({}, lambda y, h: h.view(-1, 6)),
    "last step, axis kept": ({}, lambda y, h: y[:, -1:]),
    "alone": ({}, lambda y, h: h),
    "features of two": ({}, lambda y, h: torch.cat([h, h], 2)[0]),
}
DIFFERENT = {
    "features of a state": (lambda m, x: m.gru(x)[1][:, :, :3][-1], "a part of the states along"),
    "numbers that become integers": (lambda m, x: m.gru(x.long().float())[0], "a Cast to INT64"),
    "a number of steps": (lambda m, x: m.gru(x)[0] / x.shape[1], "depends on the sizes"),
    "steps that become features": (lambda m, x: m.gru(x)[0].reshape(x.shape[0], -1) + 0, "a reshape has joined"),
}


class Wrapped(torch.nn.Module):
    def __init__(self, function, **options):
        super().__init__()
        self.gru, self.function = fastgru.GRU(4, 6, batch_first=True, **options), function

    def forward(self, x):
        return self.function(self, x)


def exported(model, path):
    free = ({0: "batch", 1: "steps"},)
    fastgru.onnx.export(model.eval(), path, args=torch.randn(3, 5, 4), dynamic_shapes=free)
    return path


@pytest.mark.parametrize("name", STATES)
def test_usual_ways_to_use_states(name, tmp_path):
    options, use = STATES[name]
    path, x = (
        exported(Wrapped(lambda m, x: torch.tanh(use(*m.gru(x))), **options), tmp_path / "m.onnx"),
        input_of(2, 7, 4),
    )
    (wanted,) = by_onnx_runtime(path, {onnx.load(path).graph.input[0].name: x})
    found, _ = Model(read_onnx(path)).run(x)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=ONNX_RUNTIME, strict=True)


@pytest.mark.parametrize("name", DIFFERENT)
def test_what_would_be_computed_differently_is_refused(name, tmp_path):
    function, message = DIFFERENT[name]
    path = exported(Wrapped(function), tmp_path / "m.onnx")
    with pytest.raises(errors.ConversionError, match=message):
        read_onnx(path)
