"""Files of other frameworks -> the file of the runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import BadZipFile

import numpy as np

from fastgru import errors
from fastgru.convert import reading
from fastgru.convert.frameworks import FRAMEWORKS
from fastgru.convert.keras_graph import read_keras
from fastgru.convert.onnx_graph import read_onnx
from fastgru.graph import Graph, Input, Node, Output
from fastgru.graph.files import write_graph

# Ending of a file -> what reads whole models of it.
READERS: Mapping[str, Callable[..., Graph]] = MappingProxyType({".onnx": read_onnx, ".keras": read_keras})
ARRAYS = (".npz", ".safetensors")


def convert_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    framework: str | None = None,
    reset_after: bool | None = None,
    inputs: Sequence[str] | None = None,
    outputs: Sequence[str] | None = None,
) -> Graph:
    """Converts a model of another framework to a file for `fastgru.runtime.load`.

    Args:
        source: an ONNX file with GRU nodes and others; a .keras file; or, with `framework`, a NumPy
            archive (.npz) or safetensors file with the weights of one layer.
        target: the file to write; an existing one is replaced as a whole, or kept if there is an error.
        framework: a key of `CONVERTERS`, for a file of weights.
        reset_after: for weights that do not show it, see `fastgru.convert.read`.
        inputs: for an ONNX file, names of values at which to begin, such as the output of a convolution that the
            runtime does not have. Other inputs of the model that are needed remain. None: those of the model.
        outputs: for an ONNX file, names of values to compute; None: the outputs of the model.

    Returns:
        The graph that was written.

    Raises:
        ConversionError: the model has something that the runtime does not have; the message names it and its place,
            and for ONNX files the `inputs` and `outputs` between which the rest can be converted.
        ArgumentError: the ending of `source` is unknown, the weights are not those of the framework, or there is no
            value of a name.
        FormatError: the file is damaged, or of another kind than its name says.
        MissingExtra: a package that opens the format is not installed.
        WriteError, OSError: a file cannot be read or written.

    Example:
        >>> import numpy as np
        >>> from fastgru import runtime
        >>> from fastgru.convert.files import convert_file
        >>> weights = {"kernel": np.ones((2, 9)), "recurrent_kernel": np.ones((3, 9)), "bias": np.zeros((2, 9))}
        >>> np.savez("keras.npz", **weights)
        >>> _ = convert_file("keras.npz", "gru.safetensors", framework="keras")
        >>> runtime.load("gru.safetensors").run(np.zeros((1, 5, 2)))[0].shape
        (1, 5, 3)
    """
    path = Path(source)
    if framework is not None and not (inputs is None and outputs is None):
        raise errors.no_parts(path)
    graph = _read_model(path, inputs, outputs) if framework is None else _read_weights(path, framework, reset_after)
    write_graph(graph, target)
    return graph


def _read_model(path: Path, inputs: Sequence[str] | None, outputs: Sequence[str] | None) -> Graph:
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise errors.unknown_model_file(path, READERS, ARRAYS)
    if inputs is None and outputs is None:
        return reader(path)
    if reader is not read_onnx:
        raise errors.no_parts(path)
    return read_onnx(path, inputs=inputs, outputs=outputs)


def _read_weights(path: Path, framework: str, reset_after: bool | None) -> Graph:
    """A graph of one GRU, batch first, with the weights of a file."""
    if framework not in FRAMEWORKS:
        raise errors.unknown_framework(framework, FRAMEWORKS)
    arrays = _arrays(path)
    spec = reading.spec(FRAMEWORKS[framework], arrays, reset_after)
    state = reading.read(FRAMEWORKS[framework], arrays, spec.reset_after)
    node = Node("gru", "GRU", ("input",), ("output",), spec._asdict(), {name: name for name in state})
    return Graph([Input("input", "BTF", spec.input_size)], [node], [Output("output", "output", "BTF")], state)


def _arrays(path: Path) -> dict[str, Any]:
    if path.suffix.lower() not in ARRAYS:
        raise errors.unknown_weights_file(path, ARRAYS)
    data = path.read_bytes()
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as archive:
                return dict(archive)
        import safetensors.numpy

        return dict(safetensors.numpy.load(data))
    except (ValueError, KeyError, TypeError, EOFError, BadZipFile) as error:
        raise errors.not_an_archive(path, error) from None
    except Exception as error:
        if type(error).__name__ != "SafetensorError":
            raise
        raise errors.not_an_archive(path, error) from None
