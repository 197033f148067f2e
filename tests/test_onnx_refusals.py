"""Models that cannot be exported to ONNX: a clear error, and no file."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru
import processes
from fastgru import errors
from onnx_files import FREE, exported

FEATURES, HIDDEN = 3, 5


class Resetting(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = fastgru.GRU(FEATURES, HIDDEN)

    def forward(self, input, reset):
        return self.gru(input, reset=reset)


class Packing(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = fastgru.GRU(FEATURES, HIDDEN)

    def forward(self, input, lengths):
        output, h_n = self.gru(pack_padded_sequence(input, lengths, enforce_sorted=False))
        return pad_packed_sequence(output)[0], h_n


RESET = {"input": torch.randn(7, 2, FEATURES), "reset": torch.zeros(7, 2, dtype=torch.bool)}
PACKED = {"input": torch.randn(7, 2, FEATURES), "lengths": torch.tensor([7, 3])}


@pytest.mark.parametrize(
    ("model", "call", "words"),
    [
        (Resetting(), RESET, "cannot reset states inside a sequence"),
        (Packing(), PACKED, r"gru\(input, lengths=lengths"),
    ],
    ids=["reset", "packed"],
)
@pytest.mark.parametrize("shapes", [None, "free"])
def test_what_onnx_cannot_express_is_told_and_nothing_is_written(tmp_path, model, call, words, shapes):
    free = {name: FREE if tensor.dim() > 1 else {0: "batch"} for name, tensor in call.items()} if shapes else None
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")
    with pytest.raises(errors.ExportError, match=words):
        fastgru.onnx.export(model.eval(), path, kwargs=call, dynamic_shapes=free)
    with pytest.raises(torch.onnx.OnnxExporterError, match=words):
        exported(model, path, call, free)
    assert [entry.read_bytes() for entry in tmp_path.iterdir()] == [b"before"]


def test_the_exporters_second_try_writes_down_no_steps(tmp_path, monkeypatch):
    from torch.onnx._internal.exporter import _capture_strategies as strategies

    monkeypatch.setattr(strategies, "CAPTURE_STRATEGIES", (strategies.TorchExportStrictStrategy,))
    with pytest.raises(torch.onnx.OnnxExporterError, match="symbolic_multi_out"):
        exported(
            fastgru.GRU(FEATURES, HIDDEN).eval(),
            tmp_path / "m.onnx",
            {"input": torch.randn(7, 2, FEATURES)},
            {"input": FREE},
        )


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    def save(program, path, **options):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", save)
    with pytest.raises(OSError, match="no space left"):
        fastgru.onnx.export(fastgru.GRU(FEATURES, HIDDEN), tmp_path / "layer.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("error", "words", "model", "options"),
    [
        (errors.InputTypeError, "`model` is of type int. Expected a torch.nn.Module", 3, {}),
        (errors.ArgumentError, "an example call is missing for a Linear", nn.Linear(3, 4), {}),
        (errors.ArgumentError, "GRUCell, which takes a single step", fastgru.GRUCell(3, 4), {"with_lengths": True}),
        (
            errors.ArgumentError,
            "were given together with an example call",
            fastgru.GRU(3, 4),
            {"args": (torch.ones(2, 2, 3),), "with_h_0": True},
        ),
    ],
)
def test_wrong_arguments(tmp_path, error, words, model, options):
    with pytest.raises(error, match=words):
        fastgru.onnx.export(model, tmp_path / "m.onnx", **options)


def test_a_model_too_large_for_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(fastgru.onnx, "_MOST_BYTES", 100)
    with pytest.raises(errors.ExportError, match=r"0\.0 GB of weights.*external_data=True"):
        fastgru.onnx.export(fastgru.GRU(FEATURES, HIDDEN), tmp_path / "m.onnx")


def test_a_torch_too_old(tmp_path, monkeypatch):
    monkeypatch.delattr(torch.onnx, "ops")
    with pytest.raises(errors.ExportError, match=r"needs torch 2.8 or newer, but this is"):
        fastgru.onnx.export(fastgru.GRU(FEATURES, HIDDEN), tmp_path / "m.onnx")


@pytest.mark.parametrize("package", ["onnx", "onnxscript"])
def test_without_its_extra_it_says_what_to_install(tmp_path, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.MissingExtra) as caught:
        fastgru.onnx.export(fastgru.GRU(FEATURES, HIDDEN), tmp_path / "m.onnx")
    install = "which is not installed. Run: pip install 'fastgru[onnx]'"
    assert str(caught.value) == f"fastgru.onnx.export needs {package}, {install}"


def test_only_exporting_imports_onnx():
    code = "import sys, fastgru; fastgru.onnx, fastgru.GRU(1, 1); print([m for m in sys.modules if m[:4] == 'onnx'])"
    assert processes.run([sys.executable, "-c", code], check=True).stdout.strip() == "[]"
