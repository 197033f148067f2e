"""ONNX models whose nodes move axes, compute sizes, or write layers as several nodes: beside ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from fastgru import errors
from fastgru.convert.onnx_graph import read_onnx
from onnx_drawing import FLOAT, INT, Drawn, X, input_of, same_as_onnx_runtime

CALLS = [{"x": input_of(7, 3, 5)}, {"x": input_of(4, 1, 5)}]


def numbers(drawn, *values):
    return drawn.constant(np.array(values, np.int64))


def layer(drawn, x="x", inputs=5, **attributes):
    """The outputs (T, B, 6) of a GRU."""
    y, _ = drawn.gru(x, inputs, 6, **attributes)
    return drawn.add("Squeeze", [y, numbers(drawn, 1)])


def normalized(drawn, x, *, by_inverse=False, epsilon=1e-3):
    """A layer normalization, as exporters write it before opset 17."""
    centred = drawn.add("Sub", [x, drawn.add("ReduceMean", [x], axes=[-1])])
    square = drawn.add("Mul", [centred] * 2) if by_inverse else drawn.add("Pow", [centred, drawn.constant(2.0)])
    variance = drawn.add("ReduceMean", [square], axes=[-1])
    deviation = drawn.add("Sqrt", [drawn.add("Add", [variance, drawn.constant(np.float32(epsilon))])])
    if by_inverse:
        y = drawn.add("Mul", [drawn.add("Reciprocal", [deviation]), centred])
    else:
        y = drawn.add("Div", [centred, deviation])
    return drawn.add("Add", [drawn.add("Mul", [y, drawn.weight(6)]), drawn.weight(6)])


@pytest.mark.parametrize("by_inverse", [True, False])
def test_layer_normalization_in_pieces_is_one_node(by_inverse, tmp_path):
    drawn = Drawn()
    y = normalized(drawn, layer(drawn), by_inverse=by_inverse)
    graph = same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)], opset=13), *CALLS)
    assert [node.operator for node in graph.nodes] == ["GRU", "LayerNorm", "Multiply", "Add"]
    assert graph.nodes[1].attributes["eps"] == pytest.approx(1e-3)


def other_mean(drawn, y):
    return drawn.add("Sub", [drawn.add("Mul", [y, y]), drawn.add("ReduceMean", [y], axes=[-1])])


def twice_the_centred(drawn, y):
    centred = drawn.add("Sub", [y, drawn.add("ReduceMean", [y], axes=[-1])])
    return drawn.add("Mul", [centred, drawn.constant(np.float32(2))])


def by_another_mean(drawn, y):
    other = drawn.add("Sub", [drawn.add("Abs", [y]), drawn.add("ReduceMean", [y], axes=[-1])])
    variance = drawn.add("ReduceMean", [drawn.add("Mul", [other, other])], axes=[-1])
    return drawn.add("Div", [other, drawn.add("Sqrt", [variance])])


PIECES = {
    "a mean of another value": by_another_mean,
    "the mean of something else": other_mean,
    "twice what is left of the mean": twice_the_centred,
    "the variance": lambda d, y: d.add(
        "ReduceMean", [d.add("Pow", [twice_the_centred(d, y), d.constant(2.0)])], axes=[-1]
    ),
    "sum": lambda d, y: d.add("ReduceSum", [y, numbers(d, 2)], keepdims=1),
    "a gate of one number": lambda d, y: d.add("Mul", [d.add("Sigmoid", [d.add("MatMul", [y, d.weight(6, 1)])]), y]),
    "length": lambda d, y: d.add("Div", [y, d.add("ReduceL2", [y], axes=[2])]),
    "sum of squares": lambda d, y: d.add("ReduceSumSquare", [y], axes=[-1], keepdims=1),
    "sum of sizes": lambda d, y: d.add("ReduceL1", [y], axes=[-1], keepdims=1),
    "root of the mean square": lambda d, y: d.add(
        "Mul", [y, d.add("Pow", [d.add("ReduceMean", [d.add("Mul", [y, y])], axes=[-1]), d.constant(np.float32(-0.5))])]
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
def test_pieces_of_a_normalization_alone_are_values(name, tmp_path):
    drawn = Drawn()
    y = PIECES[name](drawn, layer(drawn))
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def in_groups(drawn, kind):
    """output.view(T, B, 2, 3), and a sum or mean over the groups."""
    y = drawn.add("Reshape", [layer(drawn), numbers(drawn, 0, 0, 2, -1)])
    return drawn.add("ReduceSum", [y, numbers(drawn, 2)], keepdims=0) if kind == "sum" else drawn.add(
        "ReduceMean", [y], axes=[-2], keepdims=0
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["sum", "mean"])
def test_groups_of_features_are_added(kind, tmp_path):
    drawn = Drawn()
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(in_groups(drawn, kind), FLOAT, None)]), *CALLS)


@pytest.mark.parametrize("how", ["Expand", "Tile"])
def test_a_vector_for_each_row_meets_all_steps(how, tmp_path):
    drawn = Drawn()
    steps = drawn.add("Gather", [drawn.add("Shape", ["x"]), numbers(drawn, 0)], axis=0)
    sizes = drawn.add("Concat", [steps, numbers(drawn, 1, 1)], axis=0)
    context = drawn.add(how, [drawn.add("Unsqueeze", ["c", numbers(drawn, 0)]), sizes])
    y = layer(drawn, drawn.add("Concat", ["x", context], axis=2), 9)
    ports = [X, ("c", FLOAT, ["batch", 4])]
    calls = [{**call, "c": input_of(call["x"].shape[1], 4)} for call in CALLS]
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", ports, [(y, FLOAT, None)]), *calls)


def test_batch_normalization_of_channels_first(tmp_path):
    drawn = Drawn()
    own = [drawn.weight(5), drawn.weight(5), drawn.weight(5), drawn.constant(np.abs(input_of(5)))]
    x = drawn.add("BatchNormalization", [drawn.add("Transpose", ["x"], perm=[1, 2, 0]), *own])
    x = drawn.add("Mul", [x, drawn.weight(5, 1)])
    y = layer(drawn, drawn.add("Transpose", [x], perm=[2, 0, 1]))
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def test_one_hot_indices(tmp_path):
    drawn = Drawn()
    x = drawn.add("OneHot", ["words", numbers(drawn, 5), drawn.constant(np.array([0, 1], np.float32))], axis=-1)
    path = drawn.save(tmp_path / "m.onnx", [("words", INT, ["steps", "batch"])], [(layer(drawn, x), FLOAT, None)])
    random = np.random.default_rng(0)
    same_as_onnx_runtime(path, *({"words": random.integers(0, 5, size)} for size in ((7, 3), (4, 1))))


def softplus(drawn, x, beta, used=2.0, threshold=20.0):
    """Softplus with beta and a threshold, as torch's newer exporter writes it."""
    scaled = drawn.add("Mul", [x, drawn.constant(np.float32(beta))])
    soft = drawn.add("Div", [drawn.add("Softplus", [scaled]), drawn.constant(np.float32(used))])
    return drawn.add("Where", [drawn.add("Greater", [scaled, drawn.constant(np.float32(threshold))]), x, soft])


def test_softplus_with_a_threshold_is_one_node(tmp_path):
    drawn = Drawn()
    x = drawn.add("Mul", [layer(drawn), drawn.constant(np.float32(30))])
    y = softplus(drawn, x, 2.0)
    graph = same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)
    assert graph.nodes[-1].operator == "Softplus"
    assert graph.nodes[-1].attributes == {"beta": 2.0, "threshold": 20.0}


def test_a_choice_that_is_not_softplus_is_refused(tmp_path):
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [X], [(softplus(drawn, layer(drawn), 3.0), FLOAT, None)])
    with pytest.raises(errors.ConversionError, match=r"Where_\d+' \(Where\): Where of values"):
        read_onnx(path)


def test_softplus_scaled_outside_is_three_nodes(tmp_path):
    drawn = Drawn()
    scaled = drawn.add("Softplus", [drawn.add("Mul", [layer(drawn), drawn.constant(np.float32(3))])])
    y = drawn.add("Div", [scaled, drawn.constant(np.float32(3))])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def test_the_number_of_an_example_in_a_reshape_is_said(tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6)
    y = drawn.add("Reshape", [y, numbers(drawn, 7, -1, 6)])
    path = drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)])
    with pytest.raises(errors.ConversionError, match="a reshape to 7 where the inputs have the size 'steps'"):
        read_onnx(path)


FUNCTIONS = [("Celu", {"alpha": 1.7}), ("Mish", {})]


@pytest.mark.parametrize(("kind", "attributes"), FUNCTIONS)
def test_functions_of_newer_operators(kind, attributes, tmp_path):
    drawn = Drawn()
    y = drawn.add(kind, [drawn.add("Mul", [layer(drawn), drawn.constant(np.float32(4))])], **attributes)
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)], opset=18), *CALLS)


@pytest.mark.parametrize("power", [1.0, 3.0, -1.0, -2.0])
def test_powers(power, tmp_path):
    drawn = Drawn()
    y = drawn.add("Exp", [layer(drawn)])
    y = drawn.add("Pow", [y, drawn.constant(np.float32(power))])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def branches(drawn, y, condition):
    """If the size of the second axis of (T, 1, B, 6) is 1, it is squeezed."""
    one = helper.make_tensor_value_info
    axis = helper.make_node("Constant", [], ["axis"], value_ints=[1])
    then = helper.make_graph(
        [axis, helper.make_node("Squeeze", [y, "axis"], ["a"])], "then", [], [one("a", FLOAT, None)]
    )
    other = helper.make_graph([helper.make_node("Identity", [y], ["b"])], "else", [], [one("b", FLOAT, None)])
    return drawn.add("If", [condition], then_branch=then, else_branch=other)


@pytest.mark.parametrize("place", [1, 2])
def test_the_branch_that_an_if_always_takes_is_read(place, tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6)
    size = drawn.add("Gather", [drawn.add("Shape", [y]), numbers(drawn, place)], axis=0)
    y = drawn.add("Tanh", [branches(drawn, y, drawn.add("Equal", [size, numbers(drawn, 1)]))])
    path = drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)])
    if place == 1:
        same_as_onnx_runtime(path, *CALLS)
        return
    with pytest.raises(errors.ConversionError, match=r"Equal_\d+' \(Equal\): Equal of sizes that depend on the call"):
        read_onnx(path)


def test_features_whose_number_has_a_name_in_the_file(tmp_path):
    drawn = Drawn()
    x = drawn.add("Add", [drawn.add("MatMul", ["x", drawn.weight(5, 4)]), drawn.weight(4)])
    port = ("x", FLOAT, ["steps", "batch", "features"])
    graph = same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [port], [(layer(drawn, x, 4), FLOAT, None)]), *CALLS)
    assert graph.inputs[0].size == 5


@pytest.mark.parametrize(("kind", "attributes"), [("Softmax", {"axis": -1}), ("Tanh", {})])
def test_features_whose_number_nothing_tells(kind, attributes, tmp_path):
    drawn = Drawn()
    total = drawn.add(kind, ["x"], **attributes)
    port = ("x", FLOAT, ["steps", "batch", "features"])
    path = drawn.save(tmp_path / "m.onnx", [port], [(total, FLOAT, None)])
    with pytest.raises(
        errors.ConversionError, match="input 'x': the number of its features is not fixed: it is 'features'"
    ):
        read_onnx(path)


def test_a_bias_with_more_axes_than_the_value_adds_them(tmp_path):
    drawn = Drawn()
    y = drawn.add("Add", [drawn.add("MatMul", [layer(drawn), drawn.weight(6, 4)]), drawn.weight(1, 1, 1, 4)])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def test_weights_in_a_file_beside_the_model(tmp_path):
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [X], [(layer(drawn), FLOAT, None)])
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="m.data", size_threshold=64)
    assert (tmp_path / "m.data").exists()
    same_as_onnx_runtime(path, *CALLS)


FIXED = ("x", FLOAT, [4, 3, 5])
MERGED = {
    "softmax of all steps": lambda d, y: d.add("Softmax", [d.add("Reshape", [y, numbers(d, 4, 18)])], axis=-1),
    "softmax of all rows": lambda d, y: d.add("Softmax", [d.add("Reshape", [y, numbers(d, 12, 6)])], axis=0),
    "features of some steps": lambda d, y: d.add(
        "Slice", [d.add("Reshape", [y, numbers(d, 4, 18)]), *(numbers(d, n) for n in (0, 3, 1))]
    ),
    "a linear layer of all steps": lambda d, y: d.add(
        "MatMul", [d.add("Reshape", [y, numbers(d, 4, 18)]), d.weight(18, 2)]
    ),
}


@pytest.mark.parametrize("name", MERGED)
def test_axes_that_are_made_one_are_not_features(name, tmp_path):
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [FIXED], [(MERGED[name](drawn, layer(drawn)), FLOAT, None)])
    with pytest.raises(errors.ConversionError, match="a reshape has joined are used as one axis of features"):
        read_onnx(path)


def with_loop(drawn, y):
    none = helper.make_graph([], "body", [], [])
    return drawn.add("Loop", ["", "", y], body=none)


def test_a_gru_whose_outputs_are_not_all_named(tmp_path):
    drawn = Drawn()
    drawn.nodes.append(
        helper.make_node("GRU", ["x", drawn.weight(1, 18, 5), drawn.weight(1, 18, 6)], ["", "h"], hidden_size=6)
    )
    y = drawn.add("Add", [layer(drawn, bias=False), "h"])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


@pytest.mark.parametrize(("kind", "opset"), [("RandomNormalLike", 17), ("Softmax", 12)])
def test_constants_that_would_be_computed_otherwise_are_refused(kind, opset, tmp_path):
    drawn = Drawn()
    x = drawn.add("MatMul", ["x", drawn.add(kind, [drawn.weight(5, 5)])])
    path = drawn.save(tmp_path / "m.onnx", [X], [(x, FLOAT, None)], opset=opset)
    with pytest.raises(errors.ConversionError, match=rf"{kind}_0' \({kind}\): {kind} of constants"):
        read_onnx(path)


def test_old_opsets_are_refused(tmp_path):
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [X], [(drawn.gru("x", 5, 6)[0], FLOAT, None)], opset=6)
    with pytest.raises(errors.ConversionError, match=r"the model is of opset 6\. Expected at least 7"):
        read_onnx(path)


OTHERS = {
    "selu with another slope": (lambda d, y: d.add("Selu", [y], alpha=1.0), r"a Selu with alpha=1\.0"),
    "dropout in training": (
        lambda d, y: d.add("Dropout", [y, d.constant(np.float32(0.5)), d.constant(np.array(True))]),
        "a Dropout in training mode",
    ),
    "a file that ONNX Runtime optimized": (
        lambda d, y: d.add("FastGelu", [y], domain="com.microsoft"),
        "the domain com.microsoft. Convert the model as it was before",
    ),
    "every second feature": (
        lambda d, y: d.add("Slice", [y, *(numbers(d, n) for n in (0, 6, 2, 2))]),
        "every second or further element",
    ),
    "a loop": (with_loop, r"Loop_\d+' \(Loop\): the operator Loop.*A Keras model is read from its .keras file"),
    "quantized": (
        lambda d, y: d.add("DynamicQuantizeLinear", [y], 3)[0],
        "DynamicQuantizeLinear of quantized models. Convert the model as it was",
    ),
    "a mask": (
        lambda d, y: d.add("Where", [d.add("Greater", [y, d.constant(np.float32(0))]), y, y]),
        "Where of values. Multiply by a mask of numbers",
    ),
    "a half": (lambda d, y: d.add("Cast", [y], to=int(TensorProto.FLOAT16)), "a Cast to FLOAT16"),
    "sizes as a matrix": (
        lambda d, y: d.add("Expand", [y, d.add("Reshape", [d.add("Shape", [y]), numbers(d, 3, 1)])]),
        "a reshape of sizes to more than one axis",
    ),
    "the number of steps": (
        lambda d, y: d.add("Div", [y, d.add("Cast", [d.add("Shape", [y], end=1)], to=int(FLOAT))]),
        "a number that depends on the sizes of the call",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_refused_says_what_to_do(name, tmp_path):
    use, message = OTHERS[name]
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [X], [(use(drawn, layer(drawn)), FLOAT, None)])
    with pytest.raises(errors.ConversionError, match=message):
        read_onnx(path)
