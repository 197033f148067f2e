"""Reading ONNX models that hold GRU nodes among others into graphs of the runtime.

Source of the operators: https://onnx.ai/onnx/operators/. What is constant in a model is computed by the reference
implementation of the package onnx; sizes are followed as products of names.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastgru import errors
from fastgru.convert.onnx_parts import part_of, told_values, wider_cut
from fastgru.convert.onnx_reading import MALFORMED, Reader, Refused
from fastgru.graph import Graph

_TRIES = 24  # operations that are left out, one after the other, until the rest can be converted


def read_onnx(
    path: str | os.PathLike[str], *, inputs: Sequence[str] | None = None, outputs: Sequence[str] | None = None
) -> Graph:
    """The graph of an ONNX file, or of a part of it.

    Inputs that are only initial states of GRU nodes, and outputs that are only last states, are states of the graph,
    which the runtime passes from call to call. Inputs that are only `sequence_lens` are not inputs of the graph either.

    Args:
        path: the file; weights in files beside it are found.
        inputs: names of values at which the part begins; inputs of the model that it needs besides remain. None: the
            inputs of the model.
        outputs: names of the values that it computes; None: the outputs of the model.

    Raises:
        MissingExtra: the package onnx is not installed.
        ConversionError: the file has an operation that the runtime does not have. The message names the node, and the
            values between which the rest can be converted.
        ArgumentError: there is no value of that name, or the part does not need it.
        FormatError: it is no ONNX file.
        OSError: it cannot be read.
    """
    whole = model = _opened(Path(path))
    try:
        if inputs is not None or outputs is not None:
            model = part_of(whole, inputs, outputs)
        return Reader(model).graph()
    except Refused as refused:
        raise errors.with_advice(refused.error, _advice(whole, model, refused)) from refused.error
    except errors.FastGRUError:
        raise
    except MALFORMED as error:  # names that are no text, sizes below 0, and the like
        raise errors.not_an_onnx_file(path, error) from error


def _advice(whole: Any, model: Any, refused: Refused) -> tuple[list[str], list[str]] | None:
    """Inputs and outputs of the part of `model` around the GRU nodes that can be converted; None: there is none."""
    left_out, known = set(refused.nodes), told_values(whole)
    for _ in range(_TRIES):
        cut = wider_cut(model, left_out)
        if cut is None:
            return None
        try:
            Reader(part_of(model, *cut, known)).graph()
            return cut
        except Refused as another:
            if left_out >= another.nodes:
                return None
            left_out |= another.nodes
        except (errors.FastGRUError, *MALFORMED):
            return None
    return None


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
