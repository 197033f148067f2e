"""Errors for ONNX files that are converted, and for parts of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from fastgru.errors.classes import ArgumentError, ConversionError, FastGRUError
from fastgru.errors.graphs import _CUT, cannot_convert

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


def onnx_operator_of_others(where: str, domain: str) -> ConversionError:
    """For an operator that ONNX does not have."""
    hint = ". Convert the model as it was before ONNX Runtime optimized it" if "microsoft" in domain else ""
    return cannot_convert(where, f"an operator of the domain {domain}{hint}")


def old_opset(version: int, oldest: int) -> ConversionError:
    """For a file of operators whose meaning has changed since."""
    return ConversionError(
        f"the model is of opset {version}. Expected at least {oldest}: sums had another meaning before. Convert it "
        "first, with onnx.version_converter.convert_version."
    )


def with_advice(error: FastGRUError, cut: tuple[Sequence[str], Sequence[str]] | None) -> FastGRUError:
    """The same error with the part that can be converted, instead of the general advice."""
    if cut is None:
        return error
    begins, ends = (list(names) for names in cut)
    options = ([f"inputs={begins}"] if begins else []) + [f"outputs={ends}"]
    text = str(error).removesuffix(_CUT).rstrip()
    return type(error)(f"{text} The rest can be converted: fastgru.convert(source, target, {', '.join(options)}).")


def features_not_fixed(name: str, size: str) -> ConversionError:
    """For an input whose vectors have a size with a name, and no weight tells the number."""
    return ConversionError(
        f"input {name!r}: the number of its features is not fixed: it is {size!r}. Give it a number, for example with "
        "onnxruntime.tools.make_dynamic_shape_fixed."
    )


def features_inserted(name: str) -> ConversionError:
    """For an input of single numbers, to which the model adds the axis of features."""
    return cannot_convert(f"input {name!r}", "numbers without an axis of features, which the model adds itself")


def unknown_onnx_value(name: str, known: Iterable[str]) -> ArgumentError:
    """For the name of a value at which a model is to be cut."""
    close = get_close_matches(name, list(known), n=3)
    guess = f" Did you mean {' or '.join(map(repr, close))}?" if close else ""
    return ArgumentError(
        f"there is no value {name!r} in the model.{guess} Expected the name of an input, or of an output of a node, as "
        "programs such as Netron show them."
    )


def unneeded_onnx_value(name: str, outputs: Sequence[str]) -> ArgumentError:
    """For an input of a part that its outputs do not depend on."""
    return ArgumentError(f"the outputs {list(outputs)} do not depend on the input {name!r}. Leave it out.")


def untold_onnx_value(name: str) -> ArgumentError:
    """For a value whose shape is unknown, where a part is to begin."""
    return ArgumentError(
        f"the shape of the value {name!r} is unknown: neither the file nor onnx.shape_inference gives it. Cut the "
        "model at another value, or write its shape into the file first (graph.value_info)."
    )


def no_parts(path: object) -> ArgumentError:
    """For names of values in a file that is not an ONNX file."""
    return ArgumentError(f"{path} is converted as a whole: `inputs` and `outputs` are for ONNX files. Leave them out.")


def not_a_list_of_names(option: str, got: object) -> ArgumentError:
    """For names of values that are given in another form."""
    return ArgumentError(f"{option}={got!r}. Expected a list of names of values, such as ['name'].")
