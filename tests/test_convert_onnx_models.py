"""ONNX models as other programs write them: recorded ones of tf2onnx, and those of torch's older exporter."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from converters.running_graphs import outputs_of
from fastgru import errors
from fastgru.convert.onnx_graph import read_onnx
from onnx_drawing import by_onnx_runtime, close
from tolerance import FRAMEWORKS as TOLERANCE

FIXTURES = Path(__file__).parent / "converters" / "fixtures"
RECORDED = sorted(path.stem for path in FIXTURES.glob("*.onnx"))


@pytest.mark.parametrize("name", RECORDED)
def test_models_of_tf2onnx(name):
    """scripts/check-converters recorded the files, and what ONNX Runtime gave."""
    with np.load(FIXTURES / f"{name}.npz") as arrays:
        inputs = {key[3:]: array for key, array in arrays.items() if key.startswith("in/")}
        wanted = {key[4:]: array for key, array in arrays.items() if key.startswith("out/")}
    found = outputs_of(read_onnx(FIXTURES / f"{name}.onnx"), inputs)
    assert found.keys() == wanted.keys()
    for key, array in found.items():
        np.testing.assert_allclose(array, wanted[key], rtol=0, atol=TOLERANCE, strict=True)


class Model(nn.Module):
    """A function of its layers and inputs."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, one in layers.items():
            setattr(self, name, one)

    def forward(self, *inputs):
        return self.function(self, *inputs)


def gru(inputs, hidden, **options):
    return nn.GRU(inputs, hidden, batch_first=True, **options)


def joined(m, x):
    first, second = m.gru(x)[1].chunk(2, 0)
    return m.out(torch.cat([first, second], -1).squeeze(0))


def with_context(m, x, c):
    return m.gru(torch.cat([x, c.unsqueeze(1).expand(-1, x.size(1), -1)], -1))[0]


def of_layers(m, x):
    states = m.gru(x)[1].view(2, 2, x.shape[0], 6)[-1]
    return m.out(torch.cat([states[0], states[1]], -1))


def begun(m, x):
    return m.gru(x, m.start.expand(-1, x.size(0), -1).contiguous())[0]


def both_ends(m, x):
    output = m.gru(x)[0]
    return m.out(torch.cat([output[:, -1, :6], output[:, 0, 6:]], -1))


def random(*size):
    return torch.randn(size, generator=torch.Generator().manual_seed(0))


def words(*size):
    return torch.arange(int(np.prod(size))).reshape(size) % 10


CASES = {
    "tagger": (
        lambda m, x: m.out(m.norm(m.gru(m.words(x))[0])).log_softmax(-1),
        {"words": lambda: nn.Embedding(10, 5), "gru": lambda: gru(5, 6, bidirectional=True),
         "norm": lambda: nn.LayerNorm(12), "out": lambda: nn.Linear(12, 3)},
        lambda rows, steps: (words(rows, steps),),
    ),
    "chunk of states": (joined, {"gru": lambda: gru(5, 6, bidirectional=True), "out": lambda: nn.Linear(12, 3)}, None),
    "view of states": (
        of_layers, {"gru": lambda: gru(5, 6, num_layers=2, bidirectional=True), "out": lambda: nn.Linear(12, 3)}, None
    ),
    "a learned beginning": (begun, {"gru": lambda: gru(5, 6), "start": lambda: nn.Parameter(random(1, 1, 6))}, None),
    "a translator": (
        lambda m, x, y: m.decoder(y, m.encoder(x)[1])[0],
        {"encoder": lambda: gru(5, 6, num_layers=2), "decoder": lambda: gru(4, 6, num_layers=2)},
        lambda rows, steps: (random(rows, steps, 5), random(rows, steps, 4)),
    ),
    "a context": (
        with_context, {"gru": lambda: gru(9, 6)}, lambda rows, steps: (random(rows, steps, 5), random(rows, 4))
    ),
    "both ends": (both_ends, {"gru": lambda: gru(5, 6, bidirectional=True), "out": lambda: nn.Linear(12, 3)}, None),
    "functions": (
        lambda m, x: nn.functional.normalize(nn.functional.softplus(m.gru(x)[0], beta=3.0), dim=-1),
        {"gru": lambda: gru(5, 6)}, None,
    ),
}  # fmt: skip


def exported(name, path, opset):
    torch.manual_seed(0)
    function, layers, inputs = CASES[name]
    model = Model(function, **{key: make() for key, make in layers.items()}).eval()
    example = (inputs or (lambda rows, steps: (random(rows, steps, 5),)))(2, 5)
    free = {
        f"in{k}": {0: "rows"} | ({1: "steps"} if one.dim() == 3 or name == "tagger" else {})
        for k, one in enumerate(example)
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exporter is the older one
        torch.onnx.export(
            model, example, path, dynamo=False, opset_version=opset, input_names=[*free], dynamic_axes=free
        )
    return inputs or (lambda rows, steps: (random(rows, steps, 5),))


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("name", CASES)
def test_models_of_torchs_older_exporter(name, opset, tmp_path):
    inputs = exported(name, tmp_path / "m.onnx", opset)
    graph = read_onnx(tmp_path / "m.onnx")
    for rows, steps in ((3, 7), (1, 4)):
        fed = {f"in{k}": one.numpy() for k, one in enumerate(inputs(rows, steps))}
        (wanted,) = by_onnx_runtime(tmp_path / "m.onnx", fed)
        (found,) = outputs_of(graph, fed).values()
        close(found, wanted)


def test_a_convolution_in_front_is_cut_where_the_error_says(tmp_path):
    torch.manual_seed(0)
    model = Model(
        lambda m, x: m.gru(m.front(x.transpose(1, 2)).relu().transpose(1, 2))[0],
        front=nn.Conv1d(5, 4, 3, padding=1), gru=gru(4, 6),
    ).eval()  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (random(2, 5, 5),), tmp_path / "m.onnx", dynamo=False, input_names=["x"], output_names=["y"]
        )
    with pytest.raises(errors.ConversionError, match=r"Conv.*inputs=\['/front/Conv_output_0'\], outputs=\['y'\]"):
        read_onnx(tmp_path / "m.onnx")
    graph = read_onnx(tmp_path / "m.onnx", inputs=["/front/Conv_output_0"])
    x = random(3, 7, 5)
    with torch.no_grad():
        (found,) = outputs_of(graph, {"/front/Conv_output_0": model.front(x.transpose(1, 2)).numpy()}).values()
        close(found, model(x).numpy())
