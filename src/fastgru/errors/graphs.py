"""Errors for graphs of models, and for the files that hold them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from fastgru.errors.classes import ArgumentError, ConversionError, FormatError, GraphError


def _guess(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(str(name), list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""


def _shortened(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def wrong_value(where: str, got: str, expected: str) -> GraphError:
    """For an input of a node that is of another type."""
    return GraphError(f"{where} reads {got}. Expected {expected}. Check the sizes of the node before it.")


def wrong_axes(where: str, axes: object, size: int | None) -> GraphError:
    """For an order of axes that no array of a model has."""
    expected = "TB, BT or B for indices" if size is None else "TBF, BTF or BF for vectors, in any order"
    return GraphError(f"{where} has the axes {_shortened(axes)}. Expected {expected} (time, batch, features).")


def too_many_cells(where: str, got: int, most: int) -> GraphError:
    """For a stack of too many layers."""
    return GraphError(f"{where} has {got} layers times directions. Expected at most {most}. Split it into two nodes.")


def wrong_count(where: str, what: str, got: int, allowed: tuple[int, int]) -> GraphError:
    """For a node with too few or too many inputs or outputs."""
    expected = str(allowed[0]) if allowed[0] == allowed[1] else f"{allowed[0]} to {allowed[1]}"
    return GraphError(f"{where} has {got} {what}. Expected {expected}.")


def unknown_operator(where: str, known: Iterable[str]) -> GraphError:
    """For a node whose operator does not exist."""
    names = list(known)
    guess = _guess(where.rsplit("(", 1)[-1].rstrip(")"), names)
    return GraphError(
        f"{where}: there is no such operator.{guess} Known ones: {', '.join(names)}. Cut the model there, or export it "
        "to ONNX and run it with an ONNX runtime."
    )


def unknown_attribute(where: str, name: str, known: Iterable[str]) -> GraphError:
    """For an attribute that the operator does not have."""
    names = list(known)
    has = f"It has: {', '.join(names)}." if names else "It has none."
    return GraphError(f"{where} has no attribute {_shortened(name)}.{_guess(name, names)} {has}")


def missing_attribute(where: str, name: str) -> GraphError:
    """For an attribute without a default that a node does not give."""
    return GraphError(f"{where} needs the attribute {name!r}.")


def wrong_attribute(where: str, name: str, got: object, expected: str) -> GraphError:
    """For an attribute with a value that it cannot have."""
    return GraphError(f"{where}: the attribute {name!r} is {_shortened(got)}. Expected {expected}.")


def mixed_dtypes(got: Sequence[str], allowed: Sequence[str]) -> GraphError:
    """For parameters that are not all float32 or all float64."""
    return GraphError(
        f"the parameters are of the types {', '.join(got)}. Expected one type for all, {' or '.join(allowed)}. "
        "Convert them first, for example with `array.astype(numpy.float32)`."
    )


def empty_graph(what: str) -> GraphError:
    """For a graph without inputs or outputs."""
    return GraphError(f"the graph has no {what}. Expected at least one.")


def unknown_value(where: str, name: str, comes_later: bool) -> GraphError:
    """For the name of a value that no input or earlier node has."""
    reason = (
        "which a later node computes, or itself: nodes must be in the order of computation, and there are no cycles"
        if comes_later
        else "which no input and no node before it has"
    )
    return GraphError(f"{where} reads {_shortened(name)}, {reason}.")


def repeated_name(kind: str, name: object) -> GraphError:
    """For a name that two things have, or that is not a name."""
    return GraphError(f"the name {_shortened(name)} of a {kind} is empty, is not text or occurs twice. Rename one.")


def wrong_parameters(where: str, got: Sequence[str], expected: Sequence[str]) -> GraphError:
    """For a node with other parameters than its operator has."""
    return GraphError(f"{where} has the parameters {_shortened(list(got))}. Expected {list(expected)}.")


def wrong_beginnings(where: str, got: int, cells: int) -> GraphError:
    """For a recurrent node with other vectors to begin with than it has layers and directions."""
    return GraphError(
        f"{where} reads {got} vectors as initial states. Expected none, or one for each layer and direction: {cells}."
    )


def two_beginnings(where: str) -> GraphError:
    """For a recurrent node that is to begin with learned states and with values at once."""
    return GraphError(f"{where} begins with learned states (learn_h0) and with values. Expected only one of them.")


def missing_parameter(where: str, role: str, key: str) -> GraphError:
    """For a parameter whose array is missing."""
    return GraphError(f"{where}: its {role} is {_shortened(key)}, and there is no such array.")


def wrong_parameter_shape(where: str, key: str, got: Sequence[int], expected: Sequence[int]) -> GraphError:
    """For a parameter of another shape than the attributes of its node say."""
    return GraphError(f"{where}: {key!r} has shape {tuple(got)}. Expected {tuple(expected)}.")


def unused_parameter(key: str) -> GraphError:
    """For an array that no node reads."""
    return GraphError(f"no node reads the parameter {_shortened(key)}. Remove it.")


def not_a_number(key: str, count: int) -> GraphError:
    """For weights that contain NaN."""
    return GraphError(
        f"the parameter {key!r} has {count} values that are not a number (NaN). A model with them computes nothing but "
        "NaN. Load a checkpoint from before training diverged."
    )


def not_a_model(path: object, reason: str) -> FormatError:
    """For a file that cannot be read as a model."""
    return FormatError(f"{path}: {reason}. Expected a file that `fastgru.save` wrote.")


def newer_version(path: object, version: object, supported: int) -> FormatError:
    """For a file of a later format."""
    return FormatError(
        f"{path} has version {version} of the format, and this fastgru reads up to version {supported}. "
        "Upgrade it: pip install --upgrade fastgru"
    )


_CUT = "Cut the model there, or export it to ONNX and run it with an ONNX runtime."


def clashing_axes(where: str, first: str, second: str) -> ConversionError:
    """For an axis that stands for two things."""
    return ConversionError(
        f"{where}: the same axis of an array is that of {first} and of {second}. Check the order of axes there "
        "(`batch_first`), and whether the model mixes rows of the batch or steps in a way that a GRU does not."
    )


def cut_by_reshape(where: str) -> ConversionError:
    """For a reshape that does more than join axes or take joined ones apart."""
    return ConversionError(f"{where}: this reshape cuts an axis in pieces, which the runtime cannot do. {_CUT}")


def merged_axes(where: str, what: str) -> ConversionError:
    """For axes that a reshape has joined, where an operation needs one of them alone."""
    return ConversionError(
        f"{where}: axes that a reshape has joined are used as one axis {what}. The runtime has only the separate "
        f"axes; leave the reshape out there, or undo it. {_CUT}"
    )


def different_features(where: str, sizes: Sequence[int | None]) -> ConversionError:
    """For two values whose vectors have different sizes."""
    return ConversionError(
        f"{where}: vectors of {sizes[0]} and {sizes[1]} numbers in one operation. Expected one size for both, or one "
        f"number. {_CUT}"
    )


def constant_of_wrong_shape(where: str, shape: Sequence[int]) -> ConversionError:
    """For a constant that is neither a number nor a vector of features."""
    return ConversionError(
        f"{where}: a constant of shape {tuple(shape)}. Expected one number, or a vector of features. {_CUT}"
    )


def not_a_step(where: str) -> ConversionError:
    """For a layer over a single step that is bidirectional, or has a learned h_0."""
    return ConversionError(
        f"{where}: a layer over a single step that is bidirectional or has a learned h_0. Expected whole sequences."
    )


def cannot_begin(where: str, axes: int) -> ConversionError:
    """For a recurrent layer that begins with something else than a vector for each sequence."""
    return ConversionError(
        f"{where}: the layer begins with an array of {axes} axes apart from those of size 1. Expected a vector for "
        f"each sequence and for each layer and direction. {_CUT}"
    )


def hands_states_on(where: str) -> ConversionError:
    """For a model that takes a state, from which one layer computes the initial state of another."""
    return ConversionError(
        f"{where}: the layer begins with a state that another layer computed from a state of the caller. In the "
        "runtime each layer continues from its own state. Let the model take no state (`h_0`), or a state for each "
        "layer."
    )


def fixed_size(name: str, what: str, size: str) -> ConversionError:
    """For a model whose program holds only for the numbers of rows or steps of the example."""
    return ConversionError(
        f"input {name!r}: the model fixes the number of {what} to {size}, and the file would be wrong for all others. "
        "Do not turn sizes into numbers (`int(x.shape[1])`, `view(2, -1)`), and give an example with sizes from 2 on, "
        "all different."
    )


def depends_on_sizes(place: str, condition: str) -> ConversionError:
    """For a model that computes something else for other sizes."""
    return ConversionError(
        f"{place}: the model computes something else where this does not hold: {condition}. The file would be right "
        "for such calls only. Leave out what depends on the numbers of rows and steps."
    )


def only_one_in_the_example(where: str, operation: str) -> ConversionError:
    """For an axis that is removed and may have another size."""
    return ConversionError(
        f"{where}: {operation} removes an axis of steps, rows or unknown meaning where it has size 1, and does "
        "something else where it has another. Name an axis that always has size 1, as `squeeze(-1)` does; take the "
        "last step with [:, -1]; and give an example whose numbers of rows and steps are 2 or more."
    )


def cannot_export(error: Exception) -> ConversionError:
    """For a model that torch.export cannot go through."""
    lines = str(error).strip().splitlines() or [""]
    return ConversionError(
        f"torch.export could not go through the model with this example: {type(error).__name__}: {lines[0]:.300}. The "
        "model must run with the example, and compute the same for all values and numbers of rows and steps."
    )


def packed_sequence(where: str) -> ConversionError:
    """For a packed sequence in a model that is saved."""
    return ConversionError(
        f"{where} has a packed sequence, which torch.export does not support. Use fastgru.GRU and give it the padded "
        "array and the lengths, in any order: `self.gru(x, lengths=lengths)`. Outputs after the end of a sequence are "
        "zero, and h_n has the states at the ends, as with packing."
    )


def changes_in_place(where: str, operation: str, what: str) -> ConversionError:
    """For an operation that changes something which is read elsewhere, or that the caller sees."""
    return ConversionError(
        f"{where}: {operation} changes {what} in place. Write it out of place, as a new value: `y = y.relu()` or "
        "`y = y + 1` instead of `y.relu_()` and `y += 1`."
    )


def returns_changed_state(source: str, name: str) -> ConversionError:
    """For a model that takes a state and returns what it has computed of the next one, instead of that."""
    return ConversionError(
        f"the model takes the state {source!r} and returns {name!r}, which is computed of the layer's next state and "
        "could be mistaken for it. The runtime passes on the layer's own state. Return that (`h_n`) too, or let the "
        "model take no state."
    )


def state_read_elsewhere(where: str, source: str) -> ConversionError:
    """For a state that something else than a recurrent layer reads."""
    return ConversionError(
        f"{where} reads the state {source!r}, which only a recurrent layer can: the runtime passes states from call to "
        "call by itself. Make it a separate input."
    )


def too_many_axes(name: str, count: int) -> ConversionError:
    """For an input or output that is not of time, batch and features."""
    return ConversionError(
        f"{name!r} has {count} axes that are not those of time, batch and features, once each. {_CUT}"
    )


def cannot_convert(where: str, what: str, remedy: str = _CUT) -> ConversionError:
    """For an operation that the runtime does not have."""
    return ConversionError(f"{where}: {what}. {remedy}")


def no_example_to_save(model: object) -> ArgumentError:
    """For a model whose operations are unknown without a call."""
    return ArgumentError(
        f"a {type(model).__name__} needs an example call, from which its operations become known: "
        "fastgru.save(model, path, args=(x,)), with x of any number of rows and steps from 2 on."
    )


def not_an_onnx_file(path: object, error: object) -> FormatError:
    """For a file that the package onnx cannot read, or finds wrong."""
    return FormatError(f"{path} is not a valid ONNX model: {error}")


def cannot_store(weights: str, what: str, reason: str) -> ArgumentError:
    """For a model whose weights cannot be stored in fewer bytes."""
    return ArgumentError(f"weights={weights!r} is not possible for {what}: {reason}. Load it without `weights`.")


def unknown_model_file(path: object, known: Iterable[str], archives: Iterable[str]) -> ArgumentError:
    """For a file whose ending no reader of models has."""
    return ArgumentError(
        f"{path}: there is no reader of whole models for this ending. Expected one of: {', '.join(known)}. A file of "
        f"weights ({', '.join(archives)}) needs the name of its framework."
    )


def unknown_framework(name: object, known: Iterable[str]) -> ArgumentError:
    """For a framework that there is no converter for."""
    names = list(known)
    return ArgumentError(
        f"there is no converter for {name!r}.{_guess(str(name), names)} Known ones: {', '.join(names)}."
    )


def unknown_weights_file(path: object, known: Iterable[str]) -> ArgumentError:
    """For a file of weights with another ending."""
    return ArgumentError(f"{path}: weights are read from files with the endings {' and '.join(known)}.")


def not_an_archive(path: object, error: object) -> FormatError:
    """For a file of arrays that cannot be read."""
    return FormatError(f"{path} cannot be read as a file of arrays: {error}")
