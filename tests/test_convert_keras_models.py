"""Whole Keras models: the same outputs as Keras gave, and what cannot be read is refused by name and place.

scripts/check-converters recorded the files and outputs with Keras.
"""

from __future__ import annotations

import contextlib
import copy
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fastgru
from converters.running_graphs import outputs_of
from fastgru.convert.keras_file import KerasFile
from tolerance import FRAMEWORKS as TOLERANCE

FIXTURES = Path(__file__).parent / "converters" / "fixtures"
MODELS = sorted(path.stem for path in FIXTURES.glob("*.keras"))


def members(name):
    with zipfile.ZipFile(FIXTURES / f"{name}.keras") as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def written(path, content):
    with zipfile.ZipFile(path, "w") as archive:
        for member, data in content.items():
            archive.writestr(member, data)
    return path


def edited(path, name, change):
    """A recorded model after a change of its configuration."""
    content = members(name)
    config = json.loads(content["config.json"])
    change(config["config"])
    return written(path, content | {"config.json": json.dumps(config).encode()})


def layer_of(config, kind):
    return next(layer for layer in config["layers"] if layer["class_name"] == kind)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_computes_what_keras_computed(name):
    graph = fastgru.convert.keras_model(FIXTURES / f"{name}.keras")
    with np.load(FIXTURES / f"{name}.npz") as file:
        inputs = {key.removeprefix("in/"): file[key] for key in file if key.startswith("in/")}
        expected = {key.removeprefix("out/"): file[key] for key in file if key.startswith("out/")}
    got = outputs_of(graph, inputs)
    assert set(got) == set(expected)
    for key, array in expected.items():
        np.testing.assert_allclose(got[key], array, rtol=0, atol=TOLERANCE, err_msg=key)
        assert got[key].dtype == array.dtype


def test_a_model_becomes_a_file_of_the_runtime(tmp_path):
    fastgru.convert(FIXTURES / "tagger.keras", tmp_path / "tagger.safetensors")
    model = fastgru.runtime.load(tmp_path / "tagger.safetensors")
    with np.load(FIXTURES / "tagger.npz") as file:
        output, state = model.run(file["in/words"])
        np.testing.assert_allclose(output, file["out/dense_1"], rtol=0, atol=TOLERANCE)
    assert list(state) == ["bidirectional"]


def test_a_layer_that_is_called_often_is_read_once():
    file = KerasFile(FIXTURES / "steps.keras")
    assert all(file.arrays("layers/dense") is file.arrays("layers/dense") for _ in range(1000))


def test_the_recorded_models_have_every_layer():
    from fastgru.convert.keras_layers import FUNCTIONS, LAYERS

    configs = [json.loads(members(name)["config.json"]) for name in MODELS]
    found = {layer["class_name"] for config in configs for layer in config["config"]["layers"]}
    assert set(LAYERS) - found <= {"GaussianNoise", "GaussianDropout"}  # alike: nothing
    told = json.dumps(configs)
    missing = {name for name in FUNCTIONS if f'"activation": "{name}"' not in told}
    assert missing <= {"swish", "hard_swish"}  # other names of two of them


def set_option(kind, **options):
    def change(config):
        layer_of(config, kind)["config"].update(options)

    return change


def set_inner(kind, side, **options):
    def change(config):
        layer_of(config, kind)["config"][side]["config"].update(options)

    return change


def set_kind(kind, **new):
    def change(config):
        layer_of(config, kind).update(new)

    return change


def set_kwarg(kind, **arguments):
    def change(config):
        layer_of(config, kind)["inbound_nodes"][0]["kwargs"].update(arguments)

    return change


REFUSED = [
    ("tagger", set_kind("Bidirectional", class_name="LSTM"), "layer 'bidirectional' (LSTM) is not among the layers"),
    (
        "tagger",
        set_kind("SpatialDropout1D", class_name="Masking"),
        "(Masking) is not among the layers that a graph has",
    ),
    ("tagger", set_kind("Dense", module="mine"), "is a Dense of mine, which is not one of Keras' layers"),
    ("tagger", set_option("Embedding", mask_zero=True), "has mask_zero=True. Expected False. Pass `lengths`"),
    ("tagger", set_option("Embedding", input_dim=21), "has shape (20, 6). Expected (21, 6)"),
    ("tagger", set_option("Dense", activation="mish"), "(Dense) has the activation mish. Expected linear or one of"),
    ("tagger", set_option("Dense", activation={"config": "f"}), "(Dense) has the activation f"),
    ("tagger", set_option("Dense", units=4), "has shape (3, 5). Expected (4, 5)"),
    ("tagger", set_option("Dense", use_bias=False), "has 2 arrays in the file at 'layers/dense'. Expected 1: kernel"),
    ("tagger", set_option("Dense", dtype="mixed_float16"), "computes in mixed_float16. Expected one of: float32"),
    ("tagger", set_inner("TimeDistributed", "layer", dtype="bfloat16"), "(TimeDistributed) computes in bfloat16"),
    ("tagger", set_option("Dense", quantization_config={}), "has quantization_config={}"),
    ("tagger", set_option("LayerNormalization", axis=[1]), "has axis=[1]. Expected -1"),
    ("tagger", set_option("Bidirectional", merge_mode=None), "has merge_mode=None. Expected concat or sum"),
    ("tagger", set_inner("Bidirectional", "layer", go_backwards=True), "has go_backwards=True. Expected False"),
    ("tagger", set_inner("Bidirectional", "backward_layer", units=5), "has units=5. Expected 4. Both directions"),
    ("tagger", set_inner("Bidirectional", "layer", activation="relu"), "has activation=relu. Expected tanh"),
    ("tagger", set_option("InputLayer", batch_shape=[None, None, 3, 4]), "has the shape (None, None, 3, 4). Expected"),
    ("tagger", lambda config: config["layers"].pop(0), "saved before the shape of its input was known"),
    ("classifier", set_option("GRU", recurrent_activation="hard_sigmoid"), "has recurrent_activation=hard_sigmoid"),
    ("classifier", set_option("GRU", reset_after=True), "reset_after=True was passed, but these arrays of Keras"),
    ("classifier", set_option("GRU", units=6), "has 6 units, but weights of 5"),
    ("classifier", set_option("GRU", go_backwards=True), "'first' (GRU) has go_backwards=True"),
    ("classifier", set_option("GRU", name="third"), "the weights at 'layers/gru' are those of 'first', not of 'third'"),
    ("branches", set_kwarg("GRU", initial_state=1), "is called with the argument 'initial_state'"),
    ("branches", set_option("Concatenate", axis=1), "has axis=1. Expected -1 or 2"),
    ("functions", set_option("ReLU", max_value=6.0), "has max_value=6.0. Expected None"),
    ("functions", set_option("Softmax", axis=1), "has axis=1. Expected -1 or 2"),
]


@pytest.mark.parametrize(("name", "change", "words"), REFUSED)
def test_what_a_graph_does_not_have_is_refused_by_name(name, change, words, tmp_path):
    path = edited(tmp_path / "model.keras", name, change)
    with pytest.raises(fastgru.errors.FastGRUError) as caught:
        fastgru.convert.keras_model(path)
    assert words in str(caught.value)


def test_a_cycle_is_refused(tmp_path):
    def change(config):
        first = layer_of(config, "Add")["inbound_nodes"][0]["args"][0][0]["config"]
        first["keras_history"] = ["multiply", 0, 0]

    with pytest.raises(fastgru.errors.FormatError, match=r"does not fit together \(CycleError"):
        fastgru.convert.keras_model(edited(tmp_path / "model.keras", "branches", change))


def bomb(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, data in (members("steps") | {"config.json": b" " * 50_000_000}).items():
            archive.writestr(member, data)


BAD_FILES = [
    (lambda path: path.write_bytes(b""), "is not a .keras file, or is damaged"),
    (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000)), "is not a .keras file, or is damaged"),
    (lambda path: path.write_bytes((FIXTURES / "steps.keras").read_bytes()[:-100]), "or is damaged"),
    (lambda path: written(path, {"a": b""}), "has no metadata.json. Expected a file that"),
    (lambda path: written(path, members("steps") | {"config.json": b"[1]"}), "config.json is not a JSON object"),
    (lambda path: written(path, members("steps") | {"config.json": b"{"}), "config.json is damaged"),
    (lambda path: written(path, members("steps") | {"config.json": b"[" * 100_000}), "config.json is damaged"),
    (lambda path: written(path, members("steps") | {"config.json": b"{}"}), "the model is a None, whose layers"),
    (
        lambda path: written(path, members("steps") | {"model.weights.h5": b"no"}),
        "model.weights.h5: it ends before byte",
    ),
    (lambda path: written(path, members("steps") | {"metadata.json": b'{"keras_version": "2.15.0"}'}), "Keras 2.15.0"),
    (bomb, "times its size"),
]


@pytest.mark.parametrize(("write", "words"), BAD_FILES)
def test_other_files_are_refused(write, words, tmp_path):
    write(tmp_path / "model.keras")
    with pytest.raises(fastgru.errors.FastGRUError) as caught:
        fastgru.convert.keras_model(tmp_path / "model.keras")
    assert words in str(caught.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(MODELS), st.data())
def test_a_damaged_file_gives_an_error_that_we_wrote(tmp_path, name, data):
    content = bytearray((FIXTURES / f"{name}.keras").read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=3)):
        content[place] = data.draw(st.integers(0, 255))
    (tmp_path / "model.keras").write_bytes(content[: data.draw(st.integers(0, len(content)))])
    with contextlib.suppress(fastgru.errors.FastGRUError):
        fastgru.convert.keras_model(tmp_path / "model.keras")


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 1 << 70)
    | st.floats()
    | st.sampled_from(["GRU", "Dense", "x", "", "tanh"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["name", "config", "x"]), inner),
    max_leaves=4,
)


def places(tree, path=()):
    """The paths to all values in a JSON tree."""
    yield path
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, child in children:
        yield from places(child, (*path, key))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(st.sampled_from(MODELS), st.data())
def test_any_other_configuration_gives_an_error_that_we_wrote(tmp_path, name, data):
    content = members(name)
    config = copy.deepcopy(json.loads(content["config.json"]))
    *path, last = data.draw(st.sampled_from([place for place in places(config) if place]))
    parent = config
    for key in path:
        parent = parent[key]
    parent[last] = data.draw(ANY_JSON)
    path = written(tmp_path / "model.keras", content | {"config.json": json.dumps(config).encode()})
    try:
        fastgru.convert.keras_model(path)
    except fastgru.errors.FastGRUError as error:
        told = str(error)
        assert len(told) < 2000
