"""Parts of ONNX models: from some values to others, and the advice where to cut."""

from __future__ import annotations

import json
import re

import numpy as np
import onnx
import pytest
from typer.testing import CliRunner

import fastgru
from fastgru import errors
from fastgru.cli import commands
from fastgru.convert.onnx_graph import read_onnx
from fastgru.runtime import Model
from onnx_drawing import FLOAT, Drawn, by_onnx_runtime, close, input_of

SOUND = ("sound", FLOAT, ["batch", 5, "steps"])


@pytest.fixture
def recognizer(tmp_path):
    """A convolution, a GRU, and the class of each step; names of values at the borders."""
    drawn = Drawn()
    numbers = [drawn.constant(np.array([number])) for number in (1,)]
    front = drawn.add("Relu", [drawn.add("Conv", ["sound", drawn.weight(4, 5, 3), drawn.weight(4)], pads=[1, 1])])
    y, _ = drawn.gru(drawn.add("Transpose", [front], perm=[2, 0, 1]), 4, 6, linear_before_reset=1)
    y = drawn.add("Squeeze", [y, numbers[0]])
    logits = drawn.add("Add", [drawn.add("MatMul", [y, drawn.weight(6, 3)]), drawn.weight(3)])
    found = drawn.add("ArgMax", [logits], axis=-1, keepdims=0)
    path = drawn.save(tmp_path / "m.onnx", [SOUND], [(found, onnx.TensorProto.INT64, None)])
    return path, front, logits


def values_of(path, names, fed):
    """Values inside a model, by ONNX Runtime."""
    model = onnx.load(path)
    for name in names:
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, FLOAT, None))
    onnx.save(model, path.with_name("shown.onnx"))
    return by_onnx_runtime(path.with_name("shown.onnx"), fed)[-len(names) :]


def test_a_part_between_values(recognizer):
    path, front, logits = recognizer
    seen, wanted = values_of(path, [front, logits], {"sound": input_of(2, 5, 9)})
    graph = read_onnx(path, inputs=[front], outputs=[logits])
    assert [(port.name, port.axes, port.size) for port in graph.inputs] == [(front, "BFT", 4)]
    close(Model(graph).run(seen)[0], wanted)


def test_the_advice_is_a_part_that_can_be_converted(recognizer, tmp_path):
    path, _, logits = recognizer
    with pytest.raises(errors.ConversionError, match=r"node 'Conv_0' \(Conv\)") as caught:
        fastgru.convert(path, tmp_path / "m.safetensors")
    advice = re.search(r"The rest can be converted: fastgru\.convert\(source, target, (.*)\)\.$", str(caught.value))
    options = eval(f"dict({advice[1]})")
    assert options == {"inputs": ["v0_0"], "outputs": [logits]}
    seen, wanted = values_of(path, ["v0_0", logits], {"sound": input_of(3, 5, 7)})
    fastgru.convert(path, tmp_path / "m.safetensors", **options)
    close(fastgru.runtime.load(tmp_path / "m.safetensors").run(seen)[0], wanted)


def test_on_the_command_line(recognizer, tmp_path):
    path, front, logits = recognizer
    given = ["convert", str(path), str(tmp_path / "m.safetensors"), "--inputs", front, "--outputs", logits]
    result = CliRunner().invoke(commands.app, given)
    assert result.exit_code == 0, result.output
    assert f"input {front}: (batch, 4, steps)" in result.output
    facts = json.loads(CliRunner().invoke(commands.app, [*given, "--json"]).stdout)
    assert facts["inputs"] == {front: "(batch, 4, steps)"}
    assert {*facts} == {"file", "inputs", "outputs", "states", "nodes", "bytes"}
    assert CliRunner().invoke(commands.app, [*given, "--quiet"]).output == ""


def test_inputs_of_the_model_that_a_part_needs_remain(tmp_path):
    drawn = Drawn()
    front = drawn.add("Conv", ["sound", drawn.weight(4, 5, 1)])
    x = drawn.add("Add", [drawn.add("Transpose", [front], perm=[2, 0, 1]), "more"])
    y, _ = drawn.gru(x, 4, 6)
    ports = [SOUND, ("more", FLOAT, ["steps", "batch", 4])]
    path = drawn.save(tmp_path / "m.onnx", ports, [(y, FLOAT, None)])
    assert [port.name for port in read_onnx(path, inputs=[front]).inputs] == [front, "more"]


def test_what_the_outputs_do_not_need_is_not_read(tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru("x", 5, 6)
    drawn.add("ArgMax", [y])
    path = drawn.save(tmp_path / "m.onnx", [("x", FLOAT, ["steps", "batch", 5])], [(y, FLOAT, None)])
    assert [node.operator for node in read_onnx(path).nodes] == ["GRU"]


def test_advice_for_what_comes_behind_and_in_front_of_single_numbers(tmp_path):
    drawn = Drawn()
    x = drawn.add("Unsqueeze", ["series", drawn.constant(np.array([2]))])
    y, _ = drawn.gru(x, 1, 6)
    y = drawn.add("Squeeze", [y, drawn.constant(np.array([1]))])
    mean = drawn.add("ReduceMax", [y], axes=[0], keepdims=0)
    path = drawn.save(tmp_path / "m.onnx", [("series", FLOAT, ["steps", "batch"])], [(mean, FLOAT, None)])
    with pytest.raises(errors.ConversionError, match=rf"ReduceMax_3.*inputs=\['{x}'\], outputs=\['{y}'\]"):
        read_onnx(path)
    with pytest.raises(errors.ConversionError, match=rf"input 'series': numbers without an axis.*inputs=\['{x}'\]"):
        read_onnx(path, outputs=[y])


def test_there_is_no_advice_where_nothing_would_be_left(tmp_path):
    drawn = Drawn()
    path = drawn.save(tmp_path / "m.onnx", [SOUND], [(drawn.add("ArgMax", ["sound"]), FLOAT, None)])
    with pytest.raises(errors.ConversionError, match="Cut the model there") as caught:
        read_onnx(path)
    assert "The rest" not in str(caught.value)


MISTAKES = {
    "no such value": ({"inputs": ["v1_1"]}, r"there is no value 'v1_1' in the model\. Did you mean .*'v1_0'"),
    "not needed": ({"inputs": ["v4_0"], "outputs": ["v2_0"]}, r"outputs \['v2_0'\] do not depend on the input 'v4_0'"),
    "a text": ({"outputs": "v2_0"}, r"outputs='v2_0'\. Expected a list of names"),
    "none": ({"outputs": []}, r"outputs=\[\]\. Expected a list of names"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_said(name, recognizer):
    options, message = MISTAKES[name]
    with pytest.raises(errors.ArgumentError, match=message):
        read_onnx(recognizer[0], **options)


def test_a_value_whose_shape_nothing_tells(tmp_path):
    drawn = Drawn()
    y, _ = drawn.gru(drawn.add("Own", ["sound"], domain="own"), 4, 6)
    path = drawn.save(tmp_path / "m.onnx", [SOUND], [(y, FLOAT, None)])
    with pytest.raises(errors.ArgumentError, match="the shape of the value 'v0_0' is unknown"):
        read_onnx(path, inputs=["v0_0"])
    with pytest.raises(errors.ConversionError, match=r"Own_0' \(Own\): an operator of the domain own"):
        read_onnx(path)


def test_other_files_have_no_parts(tmp_path):
    np.savez(tmp_path / "w.npz", Wx=np.ones((9, 2)), Wh=np.ones((9, 3)))
    for source, options in (("w.npz", {"framework": "mlx"}), ("m.keras", {})):
        with pytest.raises(errors.ArgumentError, match=rf"{source} is converted as a whole"):
            fastgru.convert(tmp_path / source, tmp_path / "m.safetensors", outputs=["y"], **options)
