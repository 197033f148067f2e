"""Arrays of a framework -> torch's parameters, for every framework of the table."""

from __future__ import annotations

from itertools import product
from typing import Any

from fastgru.convert import names
from fastgru.convert.arrays import to_numpy
from fastgru.convert.layout import Arrays, Cell, Framework, Layout, fits
from fastgru.convert.recognition import wrong_names
from fastgru.convert.state import to_state
from fastgru.errors import ArgumentError
from fastgru.spec import GRUSpec


def read(framework: Framework, arrays: Any, reset_after: bool | None = None) -> dict[str, Any]:
    """The state dict of the layers in `arrays`; see `fastgru.convert.read`."""
    layers, resets = _layers(framework, arrays, reset_after)
    if reset_after is None and not resets:
        raise ArgumentError(
            f"in these arrays of {framework.title} the reset gate acts before the product with the state. torch.nn.GRU "
            "has no such layer. Pass reset_after=False, and load the result into fastgru.GRU(..., reset_after=False)."
        )
    return to_state(layers)


def spec(framework: Framework, arrays: Any, reset_after: bool | None = None) -> GRUSpec:
    """The sizes and options of the layers in `arrays`; see `fastgru.convert.spec`."""
    layers, resets = _layers(framework, arrays, reset_after)
    first, directions = layers[0][0], len(layers[0])
    sizes = first.weight_ih.shape[1], first.weight_hh.shape[1], len(layers)
    return GRUSpec(*sizes, first.bias_ih is not None, directions == 2, reset_after=resets)


def _layers(framework: Framework, arrays: Any, reset_after: bool | None) -> tuple[list[list[Cell]], bool]:
    """The cells of each layer and direction, checked against each other, and where the reset gate acts."""
    given = list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]
    if not given:
        raise ArgumentError("there are no layers. Pass the arrays of one layer by name, or a list of layers.")
    read = [_read_layer(framework, layer, reset_after) for layer in given]
    if len({resets for _, resets in read}) > 1:
        raise ArgumentError("the reset gates of these layers act in different places. Read them one by one.")
    layers = [directions for stack, _ in read for directions in stack]
    _check_stack(layers)
    return layers, read[0][1]


def _read_layer(framework: Framework, arrays: Any, reset_after: bool | None) -> tuple[list[list[Cell]], bool]:
    """The cells of one element of a stack, by layer and direction; only oneDNN has several layers in one."""
    paths = names.flattened(arrays)
    sides = [paths] if framework.leading else names.directions(paths)
    pieces = [_split(framework, _named_arrays(framework, side)) for side in sides]
    resets = [_layout(framework, cell, reset_after) for piece in pieces for row in piece for cell in row]
    if len(set(resets)) > 1:
        raise ArgumentError("the reset gates of the two directions act in different places. Read them one by one.")
    stack = [[framework.read(cell, resets[0]) for cell in row] for row in pieces[0]]
    return [stack[0] + [framework.read(pieces[1][0][0], resets[0])]] if len(pieces) == 2 else stack, resets[0]


def _named_arrays(framework: Framework, paths: names.Paths) -> Arrays:
    known = [set(layout.shapes) for layout in framework.layouts]
    found = names.last_parts(paths, framework.names) if paths else {}
    if set(found) not in known:
        raise wrong_names(framework, list(found))
    arrays = {name: to_numpy(name, value) for name, value in found.items()}
    first = next(iter(arrays))
    for name, array in arrays.items():
        if array.dtype != arrays[first].dtype:
            raise ArgumentError(f"{name!r} is {array.dtype}, {first!r} is {arrays[first].dtype}. Convert one of them.")
    return arrays


def _split(framework: Framework, arrays: Arrays) -> list[list[Arrays]]:
    """The arrays of each layer and direction, without their leading dimensions."""
    leading = len(framework.leading)
    shapes = {array.shape[:leading] for array in arrays.values()}
    shape = shapes.pop()
    if shapes or len(shape) < leading or 0 in shape or shape[leading - 1 :][:1] > (2,):
        told = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ArgumentError(
            f"the first dimension{'s' * (leading > 1)} of all arrays must count {' and '.join(framework.leading)}, "
            f"one or two of the latter. Got: {told}. Add a dimension of size 1 where it is missing: array[None]."
        )
    layers, directions = (1, 1, *shape)[-2:]
    if layers > 1 and directions > 1:
        raise ArgumentError(
            f"a primitive of {framework.title} with {layers} layers and two directions runs each direction through all "
            "layers on its own, which no stack of torch does. Read its layers one by one."
        )
    index = [(layer, direction)[2 - leading :] for layer, direction in product(range(layers), range(directions))]
    cells = [{name: array[place] for name, array in arrays.items()} for place in index]
    return [cells[i : i + directions] for i in range(0, len(cells), directions)]


def _layout(framework: Framework, arrays: Arrays, reset_after: bool | None) -> bool:
    """Where the reset gate acts in these arrays.

    Raises:
        ArgumentError: shapes that do not fit, or `reset_after` that contradicts them, or is needed and missing.
    """
    layouts = [layout for layout in framework.layouts if set(layout.shapes) == set(arrays)]
    fitting = [layout for layout in layouts if fits(layout.shapes, arrays, {}) is None]
    if not fitting:
        raise _wrong_shape(framework, layouts, arrays)
    told = fitting[0].reset_after
    if told is None and reset_after is None:
        raise ArgumentError(
            f"{framework.title}: these arrays do not tell where the reset gate acts. Pass reset_after=True for a layer "
            f"with {framework.asks_reset}, otherwise reset_after=False."
        )
    if told is not None and reset_after is not None and told != reset_after:
        raise ArgumentError(
            f"reset_after={reset_after} was passed, but these arrays of {framework.title} are those of a layer with "
            f"reset_after={told}. Leave the option out, or pass reset_after={told}."
        )
    return bool(reset_after if told is None else told)


def _wrong_shape(framework: Framework, layouts: list[Layout], arrays: Arrays) -> ArgumentError:
    """The error for the array that the most layouts blame, with the shapes that would fit."""
    sizes: dict[str, int] = {}
    name = [fits(layout.shapes, arrays, sizes) for layout in layouts][-1] or ""
    leading = framework.leading
    shapes = dict.fromkeys(f"({', '.join((*leading, *layout.shapes[name].split()))})" for layout in layouts)
    got = ", ".join(map(str, (*leading, *arrays[name].shape)))
    known = ", ".join(f"{letter} = {size}" for letter, size in sizes.items())
    return ArgumentError(
        f"{framework.title}: {name!r} has shape ({got}). Expected {' or '.join(shapes)}, in which H is the hidden "
        f"size and I the input size{', here ' + known if known else ''}. Check that these are the arrays of one layer."
    )


def _check_stack(layers: list[list[Cell]]) -> None:
    """Raises unless the layers can stand on each other."""
    first = layers[0][0]
    for k, directions in enumerate(layers):
        features = first.weight_ih.shape[1] if k == 0 else len(layers[0]) * first.weight_hh.shape[1]
        got = [(cell.weight_ih.shape[1], cell.weight_hh.shape[1], cell.weight_ih.dtype) for cell in directions]
        want = (features, first.weight_hh.shape[1], first.weight_ih.dtype)
        if len(directions) != len(layers[0]) or any(sizes != want for sizes in got):
            told = " and ".join("input size {}, hidden size {} in {}".format(*sizes) for sizes in dict.fromkeys(got))
            raise ArgumentError(
                f"layer {k} has {len(directions)} direction(s) with {told}. Expected {len(layers[0])} with input size "
                f"{want[0]}, hidden size {want[1]} in {want[2]}, to stand on the layer before. "
                "Read such layers one by one."
            )
        if any((cell.bias_ih is None) != (first.bias_ih is None) for cell in directions):
            raise ArgumentError(f"layer {k} and layer 0 differ in whether they have biases. Add biases that are zero.")
