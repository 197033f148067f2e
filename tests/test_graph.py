"""Graphs as data: what they refuse, their JSON, and their files, also damaged ones."""

# ruff: noqa: E501  (the tables of what is wrong have a row for each case)

from __future__ import annotations

import json
import os
from contextlib import suppress

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

import graphs
from fastgru import errors
from fastgru.graph import Graph, Input, Node, Output
from fastgru.graph.axes import Axis, Role, Size, joined, reshaped, unit
from fastgru.graph.files import read_graph, write_graph
from fastgru.graph.json_form import VERSION, from_json, to_json

MAKERS = [graphs.tagger, graphs.denoiser, graphs.policy, graphs.everything, graphs.decoder, graphs.translator]
LINEAR = {"in_features": 2, "out_features": 3, "bias": False}
WEIGHT = {"w": np.ones((3, 2), np.float32)}


def linear(name="linear", inputs=("x",), outputs=("y",), attributes=LINEAR, parameters={"weight": "w"}):  # noqa: B006
    return Node(name, "Linear", inputs, outputs, attributes, parameters)


GRU_OF_TWO = Node("g", "GRU", ("x", "h"), ("y",), {"input_size": 2, "hidden_size": 3, "num_layers": 2})
INPUTS, OUTPUTS = (Input("x", "BTF", 2),), (Output("y", "y", "BTF"),)


def graph_of(*nodes, inputs=INPUTS, outputs=OUTPUTS, parameters=WEIGHT):
    return Graph(inputs, nodes, outputs, parameters)


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_file_holds_all_of_a_graph(make, dtype, tmp_path):
    graph = make(3, dtype)
    write_graph(graph, tmp_path / "m.safetensors")
    found = read_graph(tmp_path / "m.safetensors")
    assert (found.inputs, found.nodes, found.outputs) == (graph.inputs, graph.nodes, graph.outputs)
    assert found.parameters.keys() == graph.parameters.keys()
    for key, array in graph.parameters.items():
        np.testing.assert_array_equal(found.parameters[key], array)
        assert found.parameters[key].dtype == dtype
    assert read_graph((tmp_path / "m.safetensors").read_bytes()).nodes == graph.nodes


def test_any_reader_of_safetensors_finds_the_weights(tmp_path):
    write_graph(graphs.denoiser(), tmp_path / "m.safetensors")
    assert set(safetensors.numpy.load_file(tmp_path / "m.safetensors")) == set(graphs.denoiser().parameters)


WRONG = {
    "no operator": (lambda: graph_of(Node("l", "Lineer", ("x",), ("y",))), "Did you mean 'Linear'"),
    "attribute": (lambda: graph_of(linear(attributes=LINEAR | {"biass": True})), "Did you mean 'bias'"),
    "missing attribute": (lambda: graph_of(linear(attributes={"in_features": 2})), "needs the attribute 'out_features'"),
    "size 0": (lambda: graph_of(linear(attributes=LINEAR | {"in_features": 0})), "Expected an integer from 1"),
    "size true": (lambda: graph_of(linear(attributes=LINEAR | {"in_features": True})), "Expected an integer from 1"),
    "flag": (lambda: graph_of(linear(attributes=LINEAR | {"bias": 0})), "Expected true or false"),
    "choice": (lambda: graph_of(Node("g", "GELU", ("x",), ("y",), {"approximate": "erf"})), "Expected one of 'none', 'tanh'"),
    "infinite": (lambda: graph_of(Node("g", "ELU", ("x",), ("y",), {"alpha": float("inf")})), "Expected a finite number"),
    "unknown value": (lambda: graph_of(linear(inputs=("z",))), "reads 'z', which no input and no node"),
    "cycle": (lambda: graph_of(linear(inputs=("y",))), "there are no cycles"),
    "later": (
        lambda: graph_of(linear(inputs=("z",)), Node("r", "ReLU", ("x",), ("z",))),
        "reads 'z', which a later node computes",
    ),
    "value twice": (lambda: graph_of(linear(outputs=("x",))), "'x' of a value"),
    "node twice": (lambda: graph_of(linear(), Node("linear", "ReLU", ("y",), ("z",))), "'linear' of a node"),
    "inputs": (lambda: graph_of(linear(inputs=("x", "x"))), "has 2 inputs. Expected 1"),
    "outputs": (lambda: graph_of(linear(outputs=("y", "z"))), "has 2 outputs. Expected 1"),
    "features": (lambda: graph_of(linear(attributes=LINEAR | {"in_features": 4})), "Expected a vector of 4"),
    "shape": (lambda: graph_of(linear(attributes=LINEAR | {"out_features": 4})), r"shape \(3, 2\). Expected \(4, 2\)"),
    "no array": (lambda: graph_of(linear(parameters={"weight": "v"})), "there is no such array"),
    "no role": (lambda: graph_of(linear(parameters={})), r"Expected \['weight'\]"),
    "unused": (lambda: graph_of(linear(), parameters=WEIGHT | {"v": np.ones(1, np.float32)}), "no node reads"),
    "nan": (lambda: graph_of(linear(), parameters={"w": np.full((3, 2), np.nan, np.float32)}), "6 values .*NaN"),
    "dtype": (lambda: graph_of(linear(), parameters={"w": np.ones((3, 2), np.float16)}), "float16"),
    "dtypes": (
        lambda: graph_of(linear(), parameters=WEIGHT | {"v": np.ones(1)}),
        "of the types float32, float64",
    ),
    "axes": (lambda: graph_of(linear(), inputs=(Input("x", "BTT", 2),)), "'BTT'"),
    "axes of an output": (lambda: graph_of(linear(), outputs=(Output("y", "y", "BF"),)), "'BF'"),
    "output": (lambda: graph_of(linear(), outputs=(Output("y", "q", "BTF"),)), "output 'y' reads 'q'"),
    "indices out": (lambda: graph_of(inputs=(Input("x", "BT", None),), outputs=(Output("y", "x", "BT"),), parameters={}), "a vector"),
    "nothing in": (lambda: graph_of(linear(), inputs=()), "no input"),
    "nothing out": (lambda: graph_of(linear(), outputs=()), "no output"),
    "indices": (lambda: graph_of(linear(), inputs=(Input("x", "BT", None),)), "reads an index for each step"),
    "vectors": (
        lambda: graph_of(Node("e", "Embedding", ("x",), ("y",), {"num_embeddings": 3, "embedding_dim": 2}, {"weight": "w"})),
        "integers",
    ),
    "steps": (lambda: graph_of(linear(), Node("l", "Last", ("x",), ("z",)), inputs=(Input("x", "BF", 2),), outputs=(Output("y", "y", "BF"),)), "for each step"),
    "slice": (lambda: graph_of(Node("s", "Slice", ("x",), ("y",), {"first": 1, "size": 2})), "at least 3"),
    "operands of two sizes": (lambda: graph_of(linear(), Node("s", "Add", ("x", "y"), ("z",))), "reads a vector of 2 for each step. Expected a vector of 3"),
    "operands": (lambda: graph_of(Node("s", "Add", ("x",), ("y",))), "has 1 inputs. Expected 2"),
    "beginnings": (lambda: graph_of(GRU_OF_TWO, inputs=(*INPUTS, Input("h", "BF", 3))), r"reads 1 vectors as initial states.*: 2\."),
    "size of a beginning": (
        lambda: graph_of(Node("g", "GRUCell", ("h", "h"), ("y",), {"input_size": 3, "hidden_size": 2}), inputs=(Input("h", "BF", 3),)),
        "Expected a vector of 2 for each sequence",
    ),
    "a beginning for each step": (
        lambda: graph_of(Node("g", "GRU", ("x", "x"), ("y",), {"input_size": 2, "hidden_size": 2})),
        "reads a vector of 2 for each step. Expected a vector of 2 for each sequence",
    ),
    "two beginnings": (
        lambda: graph_of(
            Node("g", "GRU", ("x", "h"), ("y",), {"input_size": 2, "hidden_size": 3, "learn_h0": True}), inputs=(*INPUTS, Input("h", "BF", 3))
        ),
        "learned states .* and with values",
    ),
    "cells": (
        lambda: graph_of(Node("g", "GRU", ("x",), ("y",), {"input_size": 2, "hidden_size": 1, "num_layers": 257})),
        "Expected at most 256",
    ),
    "large": (
        lambda: graph_of(*[Node(f"c{k}", "Concat", (f"y{k - 1}" if k else "x",) * 64, (f"y{k}",)) for k in range(9)]),
        "at most 2147483647",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_what_does_not_fit_is_refused_by_name(name):
    make, message = WRONG[name]
    with pytest.raises(errors.GraphError, match=message):
        make()


def test_json_of_a_newer_major_version_is_refused():
    text = json.dumps(json.loads(to_json(graphs.policy())) | {"version": [VERSION[0] + 1, 0]})
    with pytest.raises(errors.FormatError, match=r"has version 2\.0 of the format.*pip install --upgrade fastgru"):
        from_json(text, "m.safetensors")


def test_json_of_a_newer_minor_version_is_read():
    text = json.dumps(json.loads(to_json(graphs.policy())) | {"version": [VERSION[0], VERSION[1] + 1]})
    assert len(from_json(text, "m").nodes) == len(graphs.policy().nodes)


def damaged_files():
    whole = safetensors.numpy.save(dict(graphs.denoiser().parameters), {"fastgru": to_json(graphs.denoiser())})
    length = int.from_bytes(whole[:8], "little")
    return {
        "empty": b"",
        "short": whole[:7],
        "no header": whole[:8],
        "half a header": whole[: length // 2],
        "half the data": whole[:-100],
        "more data": whole + b"x",
        "huge header": (2**63 - 1).to_bytes(8, "little") + whole[8:],
        "header of 90 MB": (90 * 2**20).to_bytes(8, "little") + b" " * (90 * 2**20),
        "zeros": bytes(1000),
        "pickle": b"\x80\x04\x95" + bytes(100),
        "no graph": safetensors.numpy.save(dict(graphs.denoiser().parameters)),
        "graph is no JSON": safetensors.numpy.save({}, {"fastgru": "{"}),
        "graph is deep": safetensors.numpy.save({}, {"fastgru": "[" * 200_000}),
        "graph is a list": safetensors.numpy.save({}, {"fastgru": "[]"}),
        "a huge number": safetensors.numpy.save({}, {"fastgru": '{"version": [1, 0], "nodes": ' + "9" * 10_000 + "}"}),
        "no version": safetensors.numpy.save({}, {"fastgru": "{}"}),
        "half floats": safetensors.numpy.save({"w": np.ones(3, np.float16)}, {"fastgru": '{"version": [1, 0], "inputs": [], "nodes": [], "outputs": []}'}),
    }  # fmt: skip


@pytest.mark.parametrize("name", damaged_files())
def test_a_damaged_file_is_refused_by_name(name, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_bytes(damaged_files()[name])
    with pytest.raises(errors.FormatError, match=r"m\.safetensors: .*Expected a file that `fastgru.save` wrote"):
        read_graph(path)


def test_shapes_that_lie_take_no_memory(tmp_path):
    """A header may say anything; the library compares it with the length of the file before it takes memory."""
    header = json.dumps({"w": {"dtype": "F32", "shape": [2**31, 2**20], "data_offsets": [0, 2**53]}}).encode()
    data = len(header).to_bytes(8, "little") + header + bytes(64)
    with pytest.raises(errors.FormatError, match="not a safetensors file"):
        read_graph(data)


@settings(max_examples=300)
@given(st.data())
def test_a_file_with_any_bytes_changed_is_read_or_refused(data):
    graph = graphs.policy()
    whole = bytearray(safetensors.numpy.save(dict(graph.parameters), {"fastgru": to_json(graph)}))
    for _ in range(data.draw(st.integers(1, 8))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.one_of(st.none(), st.integers(0, len(whole))))
    try:
        found = read_graph(bytes(whole[:cut]))
    except (errors.FormatError, errors.GraphError):
        return
    assert found.nodes


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@settings(max_examples=300)
@given(st.data())
def test_a_graph_with_any_json_in_it_is_read_or_refused(data):
    whole = json.loads(to_json(graphs.policy()))
    place = whole
    while isinstance(place, (dict, list)) and place:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    parameters = dict(graphs.policy().parameters)
    with suppress(errors.FormatError, errors.GraphError):
        Graph(*from_json(json.dumps(whole), "m"), parameters=parameters)


def test_writing_replaces_the_file_as_a_whole(tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    write_graph(graphs.policy(), path)
    before = path.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(errors.WriteError, match="No space left"):
        write_graph(graphs.denoiser(), path)
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir()] == ["m.safetensors"]


def axes_of(*names):
    return [Axis(Size(1, (name,)) if isinstance(name, str) else Size(name)) for name in names]


def test_reshape_follows_axes():
    time, batch, features = axes = axes_of("T", "B", 6)
    sizes = [axis.size for axis in axes]
    merged = reshaped(axes, [Size(1, ("B", "T")), Size(6)])
    assert merged is not None
    assert merged[1] is features
    assert reshaped(merged, sizes) == (time, batch, features)
    assert reshaped(axes, [None, Size(6)])[1] is features
    assert reshaped(axes, [Size(1, ("T",)), Size(1, ("B",)), Size(2), Size(3)]) is None
    assert reshaped(axes, [Size(1, ("B",)), None, Size(6)]) is None
    with_unit = reshaped(axes, [Size(1), *sizes])
    assert with_unit[0].role is Role.UNIT
    assert reshaped(with_unit, sizes) == (time, batch, features)


def test_axes_of_two_operands_must_stand_for_the_same():
    time, batch, features = axes_of("T", "B", 6)
    time.become(Role.TIME, "here")
    batch.become(Role.BATCH, "here")
    assert joined([time, batch, features], [unit(), batch, features], "here")[0] is time
    with pytest.raises(errors.ConversionError, match="the same axis of an array is that of"):
        joined([time, batch, features], [batch, time, features], "here")


@pytest.mark.parametrize("role", [Role.FEATURES, Role.TIME])
def test_axes_that_are_made_one_are_neither_time_nor_features(role):
    merged, _ = reshaped([Axis(Size(2)), Axis(Size(3)), Axis(Size(8))], [Size(6), Size(8)])
    with pytest.raises(errors.ConversionError, match=f"used as one axis of {role.value}"):
        merged.become(role, "node 'a'")
