"""Errors for ONNX files that are converted, and for parts of them."""

from __future__ import annotations

from fastgru.errors.classes import ConversionError
from fastgru.errors.graphs import cannot_convert

_LOOPS = ("Loop", "Scan", "If")
_QUANTIZED = ("Quantize", "QLinear", "Integer")


def unknown_onnx_operator(where: str, kind: str) -> ConversionError:
    """For an operator that nothing in a graph of the runtime does."""
    if kind in _LOOPS:
        what = f"the operator {kind}, and what is inside it is not read. A Keras model is read from its .keras file"
    elif any(part in kind for part in _QUANTIZED):
        what = f"the operator {kind} of quantized models. Convert the model as it was before it was quantized"
    else:
        what = f"the operator {kind}, which the runtime does not have"
    return cannot_convert(where, what)


def features_not_fixed(name: str, size: str) -> ConversionError:
    """For an input whose vectors have a size with a name, and no weight tells the number."""
    return ConversionError(
        f"input {name!r}: the number of its features is not fixed: it is {size!r}. Give it a number, for example with "
        "onnxruntime.tools.make_dynamic_shape_fixed."
    )


def features_inserted(name: str) -> ConversionError:
    """For an input of single numbers, to which the model adds the axis of features."""
    return cannot_convert(f"input {name!r}", "numbers without an axis of features, which the model adds itself")
