"""Sequences that begin with what a model computes: without a state, after resets, by rows, and as bytes."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import graphs
from fastgru import errors
from fastgru.graph import Graph, Input, Node, Output
from fastgru.reference import NumPyOperations, run
from fastgru.runtime import Model, State
from fastgru.spec import GRUSpec

GRAPH = graphs.decoder(0, "float64")
NAME = next(node.name for node in GRAPH.nodes if node.operator == "GRU")


def fed(steps=6, batch=3, seed=0):
    return graphs.feed(GRAPH, steps, batch, seed)


def beginnings(given):
    """(2, B, 5): what the decoder's layers begin with."""
    linear = next(node for node in GRAPH.nodes if node.operator == "Linear")
    weight, bias = (GRAPH.parameters[linear.parameters[role]] for role in ("weight", "bias"))
    return np.stack([np.tanh(given["context"] @ weight.T + bias), given["context"][:, :5]])


def by_hand(given, state, reset=None):
    """The decoder's output and state, by the equations."""
    node, spec = next(node for node in GRAPH.nodes if node.operator == "GRU"), GRUSpec(4, 5, 2)
    weights = [GRAPH.parameters[node.parameters[name]] for name in spec.parameter_names]
    x = given["words"].transpose(1, 0, 2)
    output, h_n = run(NumPyOperations(), spec, x, state, weights, None, reset, beginnings(given))
    return output.transpose(1, 0, 2), h_n


def assert_close(found, expected):
    (output, state), (wanted, h_n) = found, expected
    np.testing.assert_allclose(output["tags"], wanted, atol=1e-12)
    np.testing.assert_allclose(output["last"], h_n[1], atol=1e-12)
    np.testing.assert_allclose(state[NAME], h_n, atol=1e-12)


def test_without_a_state_sequences_begin_with_the_values():
    model, given = Model(GRAPH), fed()
    assert_close(model.run(given), by_hand(given, beginnings(given)))
    assert_close(model.run(given, model.initial_state(3)), by_hand(given, beginnings(given)))


def test_with_a_state_they_go_on_and_a_reset_begins_again():
    model, first, more = Model(GRAPH), fed(seed=1), fed(seed=2)
    reset = np.random.default_rng(3).random((6, 3)) < 0.3
    _, state = model.run(first)
    assert_close(model.run(more, state, reset=reset.T), by_hand(more, state[NAME], reset))
    assert not np.allclose(model.run(more, state)[0]["tags"], model.run(more)[0]["tags"])


def test_rows_begin_anew():
    """By index, by mask, and when states are selected, copied, pickled and read from bytes."""
    model, given = Model(GRAPH), fed()
    _, state = model.run(fed(seed=4))
    expected = np.where(np.array([False, True, False])[:, None], beginnings(given), state[NAME])
    state.reset([1])
    np.testing.assert_array_equal(state.begins_anew(NAME), [False, True, False])
    for same in (state, state.copy(), copy.deepcopy(state), State.from_bytes(state.to_bytes())):
        assert_close(model.run(given, same), by_hand(given, expected))
    assert_close(model.run(given, pickle.loads(pickle.dumps(state))), by_hand(given, expected))
    order = [1, 0, 1]
    turned = {name: array[order] for name, array in given.items()}
    assert_close(model.run(turned, state.select(order)), by_hand(turned, expected[:, order]))
    state.reset(np.array([True, False, False]))
    np.testing.assert_array_equal(state.begins_anew(NAME), [True, True, False])
    state.reset()
    assert_close(model.run(given, state), by_hand(given, beginnings(given)))


def test_a_state_from_bytes_can_be_reset():
    model, given = Model(GRAPH), fed()
    state = State.from_bytes(model.run(given)[1].to_bytes())
    assert state.begins_anew(NAME) is None
    state.reset()
    assert_close(model.run(given, state), by_hand(given, beginnings(given)))


def test_a_state_from_bytes_is_reset_to_what_was_learned():
    drawn = graphs.Drawn(5, "float64")
    sizes = {"input_size": 4, "hidden_size": 5, "learn_h0": True}
    graph = drawn.graph([Input("x", "TBF", 4)], [Output("y", drawn.node("GRU", ["x"], **sizes), "TBF")])
    model, x = Model(graph), graphs.feed(graph, 3, 2)["x"]
    wanted, state = model.run(x)
    again = State.from_bytes(state.to_bytes())
    again.reset([0])
    np.testing.assert_array_equal(model.run(x, again)[0][:, 0], wanted[:, 0])
    np.testing.assert_array_equal(model.run(x, again)[0][:, 1], model.run(x, state)[0][:, 1])


def test_numbers_that_are_written_count():
    model, given = Model(GRAPH), fed()
    state = model.initial_state(3)
    assert np.isnan(state[NAME]).all()
    state[NAME][:, 1] = 0.25
    np.testing.assert_array_equal(state.begins_anew(NAME), [True, False, True])
    expected = beginnings(given)
    expected[:, 1] = 0.25
    assert_close(model.run(given, state), by_hand(given, expected))
    state[NAME] = np.zeros((2, 3, 5))
    assert_close(model.run(given, state), by_hand(given, np.zeros((2, 3, 5))))


def test_numbers_that_were_lost_do_not_begin_anew():
    """A state that a broken input has made NaN stays so."""
    model, given = Model(GRAPH), fed()
    broken = given | {"words": np.full_like(given["words"], np.nan)}
    _, state = model.run(broken)
    assert np.isnan(state[NAME]).all()
    assert np.isnan(model.run(given, state)[0]["tags"]).all()
    state = State.from_bytes(state.to_bytes())
    assert np.isnan(model.run(given, state)[0]["tags"]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces_rows_and_threads_give_the_same_bits(dtype):
    graph = graphs.decoder(1, dtype)
    model, given = Model(graph, threads=1), graphs.feed(graph, 1200, 3)
    whole, last = model.run(given)
    state, tags = None, []
    for piece in np.split(given["words"], [1, 500, 1199], axis=1):
        output, state = model.run({"words": piece, "context": given["context"]}, state)
        tags.append(output["tags"])
    np.testing.assert_array_equal(np.concatenate(tags, 1), whole["tags"])
    np.testing.assert_array_equal(state[NAME], last[NAME])
    np.testing.assert_array_equal(model.run(given, threads=2)[0]["tags"], whole["tags"])
    alone, _ = model.run({name: array[1:2] for name, array in given.items()})
    np.testing.assert_array_equal(alone["tags"], whole["tags"][1:2])


def test_weights_in_fewer_bytes():
    graph = graphs.decoder()
    given = graphs.feed(graph, 5, 3)
    wanted, _ = Model(graph).run(given)
    found, _ = Model(graph, weights="bfloat16").run(given)
    assert 0 < abs(found["tags"] - wanted["tags"]).max() < 0.05


@pytest.mark.parametrize("rows", ["[3]", "[-1]", "[true]", '"a"', "null", "[0.5]"])
def test_bytes_that_lie_about_beginnings(rows):
    data = Model(GRAPH).initial_state(2).to_bytes()
    lie = data.replace(b'\\"anew\\": [0, 1]', b'\\"anew\\": ' + rows.replace('"', '\\"').encode().ljust(6))
    assert lie != data
    length = int.from_bytes(lie[:8], "little") + len(lie) - len(data)
    with pytest.raises(errors.FormatError, match="not a state"):
        State.from_bytes(length.to_bytes(8, "little") + lie[8:])


@pytest.mark.parametrize("batch", [-1, 1.5, True, "2", None])
def test_a_batch_that_cannot_be(batch):
    with pytest.raises(errors.ArgumentError, match=r"not a number of rows\. Expected an integer from 0"):
        Model(GRAPH).initial_state(batch)


def test_a_cell_begins_with_a_value():
    drawn = graphs.Drawn(6, "float64")
    h = drawn.node("GRUCell", ["x", "context"], input_size=4, hidden_size=5)
    graph: Graph = drawn.graph([Input("x", "BF", 4), Input("context", "BF", 5)], [Output("h", h, "BF")])
    plain = Graph(
        [Input("x", "BF", 4)],
        [Node(node.name, "GRUCell", ("x",), node.outputs, node.attributes, node.parameters) for node in graph.nodes],
        [Output("h", h, "BF")],
        graph.parameters,
    )
    given, name = graphs.feed(graph, 1, 3), graph.nodes[0].name
    begun = State({name: given["context"][None]})
    (wanted, state), (found, after) = Model(plain).run(given["x"], begun), Model(graph).run(given)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(after[name], state[name])
    reset = np.array([True, False, True])
    mixed = State({name: np.where(reset[:, None], begun[name], after[name])})
    np.testing.assert_array_equal(
        Model(graph).run(given, after, reset=reset)[0], Model(plain).run(given["x"], mixed)[0]
    )
