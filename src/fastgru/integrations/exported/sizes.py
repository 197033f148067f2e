"""Whether an exported program holds for all numbers of rows and steps, or only for those of the example."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from traceback import FrameSummary
from typing import Any, NamedTuple

import torch
from torch.export import ExportedProgram

from fastgru import errors
from fastgru.graph.axes import Axis, Role, flattened

_NAMES = {Role.TIME: "steps", Role.BATCH: "rows"}
_LIBRARIES = Path(torch.__file__).parent, Path(errors.__file__).parent.parent
Inputs = Mapping[str, Sequence[Axis]]  # the axes of the inputs of a program, by name


def is_free(axis: Axis) -> bool:
    """Whether users choose the size of an axis."""
    return axis.role in _NAMES


def is_unclear(inputs: Inputs) -> bool:
    """Whether torch has fixed a size that users choose, or left one open that they do not choose."""
    axes = [axis for one in inputs.values() for axis in flattened(one)]
    return any(is_free(axis) != bool(axis.size.names) for axis in axes)


def check_sizes(program: ExportedProgram, inputs: Inputs) -> None:
    """Raises unless the program is the same for all sizes that users choose.

    Raises:
        ConversionError: it is not. The message says of which input and where.
    """
    found = _free_sizes(inputs)
    for guard in _guards(program):
        if _is_equation(guard.expr):
            sides = [found.get(str(side)) for side in guard.expr.args]
            size = next((side for side in sides if side is not None), None)
            if size is None:
                continue
            other = sides[1 - sides.index(size)]
            if guard.expr.args[1].is_Integer or (other is not None and other.role is not size.role):
                raise errors.fixed_size(size.name, _NAMES[size.role], _readable(str(guard.expr.args[1]), found))
        elif not _is_of_a_library(guard) and found.keys() & set(map(str, guard.expr.free_symbols)):
            raise errors.depends_on_sizes(_place(guard), _readable(str(guard.expr), found))


class _Free(NamedTuple):
    """A size that users choose: the input that has it, what it counts, and how Python gets it."""

    name: str
    role: Role
    code: str


def _free_sizes(inputs: Inputs) -> dict[str, _Free]:
    """The sizes that users choose by their symbols.

    Raises:
        ConversionError: one is fixed.
    """
    found: dict[str, _Free] = {}
    for name, axes in inputs.items():
        for place, axis in enumerate(axes):
            role = axis.role
            if role not in _NAMES:
                continue
            if axis.size.number != 1 or len(axis.size.names) != 1:
                size = "a multiple of another size" if axis.size.names else str(axis.size.number)
                raise errors.fixed_size(name, _NAMES[role], size)
            own = found.setdefault(axis.size.names[0], _Free(name, role, f"{name}.shape[{place}]"))
            if own.role is not role:
                raise errors.fixed_size(name, _NAMES[role], own.code)
    return found


def _guards(program: ExportedProgram) -> Sequence[Any]:
    """What torch has assumed of the sizes while it went through the model."""
    for node in program.graph.nodes:
        for size in getattr(node.meta.get("val"), "shape", ()):
            if isinstance(size, torch.SymInt):
                return list(size.node.shape_env.guards)
    return []


def _is_equation(expression: Any) -> bool:
    """Whether it says only that a size is a number, or the same as another: then shapes show it."""
    return bool(expression.is_Equality) and all(side.is_Symbol or side.is_Integer for side in expression.args)


def _is_of_a_library(guard: Any) -> bool:
    """Whether an operation of torch or of ours has looked at sizes, to check them or to compute the same otherwise."""
    place = getattr(getattr(guard, "sloc", None), "framework_loc", None)
    return isinstance(place, FrameSummary) and any(map(Path(place.filename).is_relative_to, _LIBRARIES))


def _readable(expression: str, found: Mapping[str, _Free]) -> str:
    return re.sub(r"s\d+", lambda symbol: found[symbol[0]].code if symbol[0] in found else symbol[0], expression)


def _place(guard: Any) -> str:
    """The line of the model, as far as torch knows it."""
    place = getattr(getattr(guard, "sloc", None), "framework_loc", None)
    return f"{place.filename}:{place.lineno}" if isinstance(place, FrameSummary) else str(place or "the model")
