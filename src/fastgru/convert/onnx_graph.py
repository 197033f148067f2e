"""Reading ONNX models that hold GRU nodes among others into graphs of the runtime.

Source of the operators: https://onnx.ai/onnx/operators/. What is constant in a model is computed by the reference
implementation of the package onnx; sizes are followed as products of names.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from fastgru import errors
from fastgru.convert.onnx_reading import MALFORMED, Reader, Refused
from fastgru.graph import Graph


def read_onnx(path: str | os.PathLike[str]) -> Graph:
    """The graph of an ONNX file.

    Inputs that are only initial states of GRU nodes, and outputs that are only last states, are states of the graph:
    the runtime hands them on by itself. So it is with inputs that are only `sequence_lens`.

    Args:
        path: the file; weights in files beside it are found.

    Raises:
        MissingExtra: the package onnx is not installed.
        ConversionError: the file has an operation that the runtime does not have. The message names the node.
        FormatError: it is no ONNX file.
        OSError: it cannot be read.
    """
    model = _opened(Path(path))
    try:
        return Reader(model).graph()
    except Refused as refused:
        raise refused.error from None
    except errors.FastGRUError:
        raise
    except MALFORMED as error:  # names that are no text, sizes below 0, and the like
        raise errors.not_an_onnx_file(path, error) from error


def _opened(path: Path) -> Any:
    try:
        import onnx
        import onnx.inliner
    except ModuleNotFoundError as missing:
        raise errors.missing_extra("onnx", "onnx", "fastgru.convert of an ONNX file") from missing
    path.open("rb").close()  # an error about the file itself comes out as it is
    try:
        model = onnx.load(path)
        if not model.graph.output:
            raise ValueError("it has no graph")
        return onnx.inliner.inline_local_functions(model)
    except (onnx.checker.ValidationError, ValueError, TypeError, RuntimeError) as error:
        raise errors.not_an_onnx_file(path, error) from None
    except Exception as error:
        if type(error).__name__ != "DecodeError":  # of protobuf, which has no public name for it
            raise
        raise errors.not_an_onnx_file(path, error) from None
