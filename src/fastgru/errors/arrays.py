"""Errors for the arrays of a model's call in the runtime."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from fastgru.errors.classes import (
    ArgumentError,
    DTypeError,
    FormatError,
    IndexRangeError,
    InputTypeError,
    RankError,
    SequenceError,
    ShapeError,
)

_AXES = {"1": "1", "T": "steps", "B": "batch", "F": "features"}


def _spelled(axes: str, size: int | None = None) -> str:
    names = (str(size) if axis == "F" and size is not None else _AXES[axis] for axis in axes)
    return f"({', '.join(names)}{',' if len(axes) == 1 else ''})"


def need_inputs_by_name(names: Sequence[str]) -> InputTypeError:
    """For one array where a model has several inputs."""
    return InputTypeError(f"the model has the inputs {', '.join(names)}. Expected a dict of arrays by these names.")


def wrong_input_names(got: Sequence[object], names: Sequence[str]) -> ArgumentError:
    """For a dict with other inputs than the model's."""
    return ArgumentError(f"got the inputs {list(got)}. Expected {list(names)}.")


def wrong_out_names(got: Sequence[object], names: Sequence[str]) -> ArgumentError:
    """For `out` with other names than the model's outputs."""
    return ArgumentError(f"`out` has arrays for {list(got)}. Expected {list(names)}.")


def wrong_array_dtype(what: str, got: object, expected: object) -> DTypeError:
    """For an array of the wrong kind of numbers."""
    return DTypeError(f"{what} is of type {got}. Expected {expected}. Convert it first, with `array.astype`.")


def wrong_features(name: str, shape: Sequence[int], axes: str, size: int) -> ShapeError:
    """For an input with the wrong number of features."""
    return ShapeError(
        f"the input {name!r} has {shape[axes.index('F')]} features (its shape is {tuple(shape)}). Expected {size}: "
        f"shape {_spelled(axes, size)}."
    )


def wrong_input_rank(name: str, shape: Sequence[int], axes: str, whole: str, size: int | None) -> RankError:
    """For an input with the wrong number of axes."""
    also = "" if axes == whole else f" beside the other inputs (with all axes it is {_spelled(whole, size)})"
    return RankError(
        f"the input {name!r} has shape {tuple(shape)}. Expected {_spelled(axes, size)}{also}. "
        "Use `run` for sequences and `step` for one step."
    )


def different_sizes(what: str, sizes: Mapping[str, int]) -> ShapeError:
    """For inputs that do not agree in steps or rows."""
    found = ", ".join(f"{name!r} has {size}" for name, size in sizes.items())
    advice = " Save parts of a model that read other numbers of steps as separate files." if what == "steps" else ""
    return ShapeError(f"the inputs have different numbers of {what}: {found}. Expected one number.{advice}")


def no_steps() -> ShapeError:
    """For a sequence of length 0."""
    return ShapeError("Expected sequence length to be larger than 0 in RNN. The input has no steps. Skip such a call.")


def index_out_of_range(name: str, least: int, most: int, limit: int) -> IndexRangeError:
    """For an index that an embedding does not have."""
    return IndexRangeError(
        f"index out of range: the input {name!r} has indices from {least} to {most}. Expected 0 to {limit - 1}, "
        "the indices of its embedding."
    )


def wrong_batch(got: object) -> ArgumentError:
    """For a number of rows that cannot be."""
    return ArgumentError(f"batch={got!r:.80} is not a number of rows. Expected an integer from 0 on.")


def wrong_states(shapes: Mapping[str, Sequence[int]]) -> ShapeError:
    """For states that are not of three dimensions or of different batch sizes."""
    found = ", ".join(f"{name!r} {tuple(shape)}" for name, shape in shapes.items())
    return ShapeError(f"the states have the shapes {found}. Expected (layers * directions, B, H), with one B for all.")


def unknown_state(name: object, known: Collection[str]) -> ArgumentError:
    """For the state of a node that there is not."""
    return ArgumentError(f"there is no state {name!r}. Known ones: {', '.join(known) or 'none'}.")


def wrong_state_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> ShapeError:
    """For a state of the wrong shape."""
    return ShapeError(
        f"the state {name!r} has shape {tuple(got)}. Expected {tuple(expected)}: (layers * directions, B, H). "
        "A state belongs to one model and to the rows of one batch."
    )


def not_a_state_object(got: object) -> InputTypeError:
    """For a state that is not a `State`."""
    return InputTypeError(
        f"`state` is of type {type(got).__name__}. Expected a fastgru.runtime.State: the one that the last call "
        "returned, or `model.initial_state(batch)`, whose arrays can be set by name."
    )


def state_of_another_model(got: Sequence[str], expected: Sequence[str]) -> ArgumentError:
    """For a state with other nodes than the model's."""
    return ArgumentError(
        f"the state has arrays for {got}. Expected {expected}: a state belongs to the model that returned it. "
        "Begin with `model.initial_state(batch)`."
    )


def not_a_state(error: object) -> FormatError:
    """For bytes that are not a state."""
    return FormatError(f"the data is not a state ({error}). Expected the bytes that `State.to_bytes` gave.")


def wrong_timing_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> SequenceError:
    """For `lengths` or `reset` of the wrong shape."""
    return SequenceError(f"`{name}` has shape {tuple(got)}. Expected {tuple(expected)}.")


def wrong_lengths(least: int, most: int, steps: int) -> SequenceError:
    """For lengths outside the sequence."""
    return SequenceError(f"`lengths` has values from {least} to {most}. Expected 0 to {steps}, the number of steps.")


def lengths_without_steps() -> SequenceError:
    """For `lengths` of a model whose inputs have no steps."""
    return SequenceError("`lengths` are given, and no input of this model has steps. Leave them out.")


def cannot_write_out(name: str, got: object) -> InputTypeError:
    """For `out` that is not a writable array."""
    return InputTypeError(f"`out` for {name!r} is a {type(got).__name__}. Expected a writable numpy.ndarray.")


def wrong_out_shape(name: str, got: Sequence[int], expected: Sequence[int]) -> ShapeError:
    """For `out` of the wrong shape."""
    return ShapeError(f"`out` for {name!r} has shape {tuple(got)}. Expected {tuple(expected)}.")


def wrong_threads(got: object) -> ArgumentError:
    """For an invalid number of threads."""
    return ArgumentError(f"threads={got!r}. Expected an integer from 1 on, or None.")


def runs_by_numpy() -> str:
    """The warning that is given once if the compiled core is missing."""
    return (
        "fastgru runs this model with NumPy, because its compiled core is not installed: results are equal up to "
        "rounding, but it is many times slower. Install a wheel for this platform: pip install fastgru"
    )
