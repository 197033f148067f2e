"""The file of a model: safetensors, with the graph as JSON in its metadata. No pickles: reading one runs no code.

Source of the format: https://github.com/huggingface/safetensors. Any of its readers finds the weights by name.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from fastgru.atomic_files import atomic_write
from fastgru.errors import not_a_model
from fastgru.graph.graph import Graph
from fastgru.graph.json_form import from_json, to_json

_KEY = "fastgru"
_NAMES = {"F32": np.float32, "F64": np.float64}
# The library reads headers up to 100 MB; those of models with 10,000 nodes have 20.
MOST_HEADER_BYTES = 64 * 2**20


def write_graph(graph: Graph, path: str | os.PathLike[str]) -> None:
    """Writes a model to a file, atomically: the file is complete, or what was there before.

    Raises:
        WriteError: it cannot be written.
    """
    import safetensors.numpy

    arrays = {name: np.ascontiguousarray(array) for name, array in graph.parameters.items()}
    data = safetensors.numpy.save(arrays, metadata={_KEY: to_json(graph)})
    with atomic_write(Path(path)) as partial:
        partial.write_bytes(data)


def read_graph(source: str | os.PathLike[str] | bytes) -> Graph:
    """Reads a model from a file, or from the bytes of one.

    Raises:
        FormatError: it is not such a file, is damaged, or has a newer major version.
        GraphError: its graph does not fit together.
        OSError: it cannot be read.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _graph_of(bytes(source), "the data")
    return _graph_of(Path(source).read_bytes(), os.fspath(source))


def _graph_of(data: bytes, name: object) -> Graph:
    import safetensors

    _check_header(data, name)
    try:
        tensors = dict(safetensors.deserialize(data))  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        raise not_a_model(name, f"it is not a safetensors file ({error})") from None
    text = _description(data, name)
    parts = from_json(text, name)
    return Graph(*parts, parameters={key: _array(key, tensor, name) for key, tensor in tensors.items()})


def _check_header(data: bytes, name: object) -> None:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > len(data) - 8:
        raise not_a_model(name, f"it is not a safetensors file, or ends early: it has {len(data)} bytes")
    if length > MOST_HEADER_BYTES:
        raise not_a_model(name, f"its header has {length} bytes, more than {MOST_HEADER_BYTES}")


def _description(data: bytes, name: object) -> str:
    """The JSON of the graph. The library has checked the header, but does not give it out."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    text = (header.get("__metadata__") or {}).get(_KEY)
    if text is None:
        raise not_a_model(name, "it has weights but no graph, so the order of its layers is unknown")
    return str(text)


def _array(key: str, tensor: dict[str, Any], name: object) -> np.ndarray[Any, Any]:
    if tensor["dtype"] not in _NAMES:
        raise not_a_model(name, f"its parameter {key!r} is of type {tensor['dtype']}, not F32 or F64")
    return np.frombuffer(tensor["data"], dtype=_NAMES[tensor["dtype"]]).reshape(tensor["shape"])
