"""ONNX models that use the states of GRUs, as exporters write it: beside ONNX Runtime, at sizes of their own."""

from __future__ import annotations

import numpy as np
import pytest

from fastgru import errors
from fastgru.convert.onnx_graph import read_onnx
from fastgru.runtime import Model
from onnx_drawing import FLOAT, INT, Drawn, X, by_onnx_runtime, close, input_of, same_as_onnx_runtime

CONTEXT = ("c", FLOAT, ["batch", 4])
CALLS = [{"x": input_of(7, 3, 5)}, {"x": input_of(4, 1, 5)}]


def numbers(drawn, *values):
    return drawn.constant(np.array(values, np.int64))


def rows_of(drawn, x="x", place=1):
    """The size of the batch as a vector, as exporters compute it."""
    one = drawn.add("Gather", [drawn.add("Shape", [x]), drawn.constant(np.array(place))], axis=0)
    return drawn.add("Unsqueeze", [one, numbers(drawn, 0)])


def both_ways(drawn, **attributes):
    return drawn.gru("x", 5, 6, 2, direction="bidirectional", linear_before_reset=1, **attributes)


def chunked(drawn, h):
    """h_n.chunk(2), whose sizes torch computes from the shape of h_n."""
    count = drawn.add("Gather", [drawn.add("Shape", [h]), numbers(drawn, 0)], axis=0)
    half = drawn.add("Div", [drawn.add("Add", [count, numbers(drawn, 1)]), numbers(drawn, 2)])
    middle, end = (drawn.add("Mul", [half, numbers(drawn, factor)]) for factor in (1, 2))
    parts = [drawn.add("Slice", [h, *pair, numbers(drawn, 0)]) for pair in ((numbers(drawn, 0), middle), (middle, end))]
    return drawn.add("Squeeze", [drawn.add("Concat", parts, axis=-1), numbers(drawn, 0)])


def counted_apart(drawn, h):
    """h_n.view(1, 2, batch, 6)[-1, 1]."""
    shape = drawn.add("Concat", [numbers(drawn, 1, 2), rows_of(drawn), numbers(drawn, 6)], axis=0)
    layers = drawn.add("Reshape", [h, shape])
    last = drawn.add("Gather", [layers, drawn.constant(np.array(-1))], axis=0)
    return drawn.add("Gather", [last, drawn.constant(np.array(1))], axis=0)


USES = {
    "chunk": chunked,
    "view of layers and directions": counted_apart,
    "flatten": lambda d, h: d.add("Flatten", [d.add("Transpose", [h], perm=[1, 0, 2])], axis=1),
    "sum": lambda d, h: d.add("ReduceSum", [h, numbers(d, 0)], keepdims=0),
    "mean": lambda d, h: d.add("ReduceMean", [h], axes=[0], keepdims=1),
    "one after the other": lambda d, h: d.add("Split", [h], 2, axis=0)[1],
    "in another order": lambda d, h: d.add("Gather", [d.add("Gather", [h, numbers(d, 1, 0)]), numbers(d, 0)]),
    "unsqueezed": lambda d, h: d.add(
        "Squeeze", [d.add("Gather", [d.add("Unsqueeze", [h, numbers(d, 0)]), numbers(d, 1)], axis=1), numbers(d, 0, 1)]
    ),
}


@pytest.mark.parametrize("name", USES)
def test_last_states_in_whatever_form(name, tmp_path):
    drawn = Drawn()
    _, h = both_ways(drawn)
    y = drawn.add("Tanh", [USES[name](drawn, h)])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def test_a_linear_layer_reads_the_only_state(tmp_path):
    drawn = Drawn()
    _, h = drawn.gru("x", 5, 6)
    y = drawn.add("Add", [drawn.add("MatMul", [h, drawn.weight(6, 2)]), drawn.weight(2)])
    graph = same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)
    assert graph.outputs[0].axes == "1BF"


def merged(drawn, y):
    """The outputs of both directions side by side."""
    return drawn.add("Reshape", [drawn.add("Transpose", [y], perm=[0, 2, 1, 3]), numbers(drawn, 0, 0, -1)])


def first_of_reverse(drawn, y, features_first):
    """output[0, :, 6:], of a bidirectional layer (T, D, B, H)."""
    steps = [merged(drawn, y), drawn.constant(np.array(0))]
    part = [numbers(drawn, 6), numbers(drawn, 2**31 - 1)]
    if features_first:
        half = drawn.add("Slice", [steps[0], *part, numbers(drawn, 2)])
        return drawn.add("Gather", [half, drawn.constant(np.array(0))], axis=0)
    return drawn.add("Slice", [drawn.add("Gather", steps, axis=0), *part, numbers(drawn, 1)])


@pytest.mark.parametrize("features_first", [True, False])
def test_the_first_step_of_the_second_direction_is_its_last_state(features_first, tmp_path):
    drawn = Drawn()
    y, _ = both_ways(drawn)
    y = drawn.add("Tanh", [first_of_reverse(drawn, y, features_first)])
    same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(y, FLOAT, None)]), *CALLS)


def expanded(drawn):
    """A learned state (2, 1, 6), expanded to the batch as torch does it: -1 keeps a size."""
    shape = drawn.add("Concat", [numbers(drawn, -1), rows_of(drawn), numbers(drawn, -1)], axis=0)
    shape = drawn.add("Reshape", [shape, numbers(drawn, -1)])
    one = numbers(drawn, 1)
    ones = drawn.add("Expand", [one, drawn.add("Shape", [shape])])
    keeps = drawn.add("Equal", [shape, drawn.add("Mul", [ones, numbers(drawn, -1)])])
    return drawn.add("Expand", [drawn.weight(2, 1, 6), drawn.add("Where", [keeps, ones, shape])])


def tiled(drawn):
    times = drawn.add("Concat", [numbers(drawn, 1), rows_of(drawn), numbers(drawn, 1)], axis=0)
    return drawn.add("Tile", [drawn.weight(2, 1, 6), times])


@pytest.mark.parametrize("repeat", [expanded, tiled])
def test_a_learned_state_is_one(repeat, tmp_path):
    drawn = Drawn()
    start, x = repeat(drawn), "x"
    for first in (0, 1):
        own = drawn.add("Slice", [start, numbers(drawn, first), numbers(drawn, first + 1), numbers(drawn, 0)])
        y, _ = drawn.gru(x, 5 if x == "x" else 6, 6, start=own)
        x = drawn.add("Squeeze", [y, numbers(drawn, 1)])
    graph = same_as_onnx_runtime(drawn.save(tmp_path / "m.onnx", [X], [(x, FLOAT, None)]), *CALLS)
    assert [node.attributes["learn_h0"] for node in graph.nodes] == [True, True]


def test_constant_states_that_differ_from_row_to_row_are_refused(tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6, start=drawn.weight(1, 2, 6))
    path = drawn.save(tmp_path / "m.onnx", [("x", FLOAT, ["steps", 2, 5])], [(y, FLOAT, None)])
    with pytest.raises(errors.ConversionError, match=r"node 'GRU_0' \(GRU\).*differ from row to row"):
        read_onnx(path)


@pytest.mark.parametrize("layout", [0, 1])
def test_a_decoder_begins_with_the_last_states_of_an_encoder(layout, tmp_path):
    """Without a state it begins there; with one it goes on."""
    drawn, z = Drawn(), ("z", FLOAT, ["batch", "steps2", 4] if layout else ["steps2", "batch", 4])
    _, h = both_ways(drawn, layout=0)
    start = drawn.add("Transpose", [h], perm=[1, 0, 2]) if layout else h
    y, _ = drawn.gru("z", 4, 6, 2, direction="bidirectional", start=start, layout=layout)
    y = drawn.add("Tanh", [drawn.add("Split", [y], 2, axis=2 if layout else 1)[0]])
    path = drawn.save(tmp_path / "m.onnx", [X, z], [(y, FLOAT, None)])
    if layout:  # ONNX Runtime has no layout 1: the same graph, as one that was turned by hand
        assert [len(node.inputs) for node in read_onnx(path).nodes if node.operator == "GRU"] == [1, 3]
        return
    same_as_onnx_runtime(path, *({"x": input_of(7, rows, 5), "z": input_of(7, rows, 4)} for rows in (3, 1)))


def test_a_decoder_begins_with_a_computed_vector(tmp_path):
    drawn = Drawn()
    start = drawn.add("Tanh", [drawn.add("Gemm", ["c", drawn.weight(4, 6), drawn.weight(6)])])
    y, _ = drawn.gru("x", 5, 6, start=drawn.add("Unsqueeze", [start, numbers(drawn, 0)]), linear_before_reset=1)
    path = drawn.save(tmp_path / "m.onnx", [X, CONTEXT], [(drawn.add("Squeeze", [y, numbers(drawn, 1)]), FLOAT, None)])
    graph = same_as_onnx_runtime(path, *({**call, "c": input_of(call["x"].shape[1], 4)} for call in CALLS))
    model, x, c = Model(graph), input_of(7, 2, 5), input_of(2, 4)
    (wanted,) = by_onnx_runtime(path, {"x": x, "c": c})
    first, state = model.run({"x": x[:3], "c": c})
    second, _ = model.run({"x": x[3:], "c": c}, state)
    close(np.concatenate([first, second]), wanted)


def test_the_last_step_of_an_input_is_a_beginning_and_no_state(tmp_path):
    drawn = Drawn()
    start = drawn.add("Gather", ["before", drawn.constant(np.array([-1]))], axis=0)
    y, _ = drawn.gru("x", 5, 6, start=start)
    ports = [X, ("before", FLOAT, ["steps2", "batch", 6])]
    path = drawn.save(tmp_path / "m.onnx", ports, [(drawn.add("Squeeze", [y, numbers(drawn, 1)]), FLOAT, None)])
    same_as_onnx_runtime(path, *({**call, "before": input_of(*call["x"].shape[:2], 6)} for call in CALLS))


@pytest.mark.parametrize("by", ["Slice", "Split", "Gather"])
def test_an_input_with_the_states_of_two_layers_is_a_state(by, tmp_path):
    drawn, x = Drawn(), "x"
    parts = drawn.add("Split", ["h_0"], 2, axis=0) if by == "Split" else [None, None]
    for layer, own in enumerate(parts):
        if by == "Slice":
            own = drawn.add("Slice", ["h_0", *(numbers(drawn, n) for n in (layer, layer + 1, 0))])
        elif by == "Gather":
            own = drawn.add("Gather", ["h_0", numbers(drawn, layer)], axis=0)
        y, _ = drawn.gru(x, 5 if layer == 0 else 6, 6, start=own)
        x = drawn.add("Squeeze", [y, numbers(drawn, 1)])
    path = drawn.save(tmp_path / "m.onnx", [X, ("h_0", FLOAT, [2, "batch", 6])], [(x, FLOAT, None)])
    given, start = input_of(7, 3, 5), input_of(2, 3, 6)
    model = Model(read_onnx(path))
    state = model.initial_state(3)
    for name, rows in zip(state, start, strict=True):
        state[name][0] = rows
    close(model.run(given, state)[0], by_onnx_runtime(path, {"x": given, "h_0": start})[0])


def changed(drawn):
    """The next state is half of what the GRU makes of the one before."""
    y, h = drawn.gru("x", 5, 6, start="h_0")
    return [y, drawn.add("Mul", [h, drawn.constant(np.float32(0.5))])]


def handed_on(drawn):
    """A decoder that begins in each call with what an encoder has made of a state."""
    y, h = drawn.gru("x", 5, 6, start="h_0")
    return [y, drawn.gru("x", 5, 6, start=h)[0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (changed, "takes the state 'h_0' and returns 'Mul_1'"),
        (handed_on, "GRU_1: the layer begins with a state that another"),
    ],
)
def test_states_that_the_runtime_would_hand_on_otherwise(build, message, tmp_path):
    drawn = Drawn()
    shown = [(name, FLOAT, None) for name in build(drawn)]
    path = drawn.save(tmp_path / "m.onnx", [X, ("h_0", FLOAT, [1, "batch", 6])], shown)
    with pytest.raises(errors.ConversionError, match=message):
        read_onnx(path)


REFUSED = {
    "all at once": (lambda d, y, h: d.add("Tanh", [h]), "Tanh_1.*several layers or directions at once"),
    "a part of the features": (
        lambda d, y, h: d.add("Tanh", [d.add("Slice", [h, *(numbers(d, n) for n in (0, 3, 2))])]),
        "Tanh_2.*a part of the states",
    ),
    "integers": (lambda d, y, h: d.add("Cast", [h], to=int(INT)), "Cast_1.*a Cast to INT64"),
    "softmax of directions": (
        lambda d, y, h: d.add("Softmax", [y], axis=-1),
        "Softmax_1.*directions or groups of features that lie apart",
    ),
    "directions side by side in pairs": (
        lambda d, y, h: d.add("Concat", [y, y], axis=3),
        "Concat_1.*directions or groups",
    ),
    "a linear layer of each direction": (
        lambda d, y, h: d.add("MatMul", [y, d.weight(6, 2)]),
        "MatMul_1.*directions or groups",
    ),
    "the first step": (
        lambda d, y, h: d.add("Gather", [d.add("Split", [y], 2, axis=1)[0], d.constant(np.array(0))], axis=0),
        "Gather_2.*the first step",
    ),
    "the first step of the first direction": (
        lambda d, y, h: d.add(
            "Slice",
            [
                d.add("Gather", [merged(d, y), d.constant(np.array(0))], axis=0),
                *(numbers(d, n) for n in (0, 6, 1)),
            ],
        ),
        "Slice_4.*the first step",
    ),
    "one direction of rows side by side": (
        lambda d, y, h: d.add("Split", [d.add("Reshape", [y, numbers(d, 0, 0, -1)])], 2, axis=1)[0],
        "Split_2.*one of several groups",
    ),
    "sizes of a part of the rows": (
        lambda d, y, h: d.add("Shape", [d.add("Slice", [h, *(numbers(d, n) for n in (0, 1, 1))])]),
        "Shape_2.*the sizes of",
    ),
    "two states at more steps": (lambda d, y, h: d.add("Expand", [h, d.add("Shape", [y])]), "Expand_2.*at once"),
    "a decoder of another size": (
        lambda d, y, h: d.gru("x", 5, 6, start=h)[0],
        "GRU_1.*another number of layers or directions",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_wrong_is_refused_by_node(name, tmp_path):
    use, message = REFUSED[name]
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [X], [(use(drawn, *both_ways(drawn)), FLOAT, None)])
    with pytest.raises(errors.ConversionError, match=message):
        read_onnx(path)
