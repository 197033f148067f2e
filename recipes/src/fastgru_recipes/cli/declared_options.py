"""The options of a recipe, read from its source, so that help and completion need not import torch and Lightning.

A recipe is a dataclass whose fields are `name: type = option(default, help, least=…, most=…)`. Importing it takes
seconds, and reading it milliseconds. A test compares both for every recipe.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastgru_recipes import RECIPES

PACKAGE = "fastgru_recipes"
TYPES: dict[str, Any] = {"int": int, "float": float, "str": str, "bool": bool, "tuple": tuple}
OPERATORS: dict[type, Callable[[Any, Any], Any]] = {
    ast.Pow: operator.pow,
    ast.Mult: operator.mul,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Div: operator.truediv,
}


class DeclaredOption(NamedTuple):
    """An option of a recipe.

    Attributes:
        name: of the field.
        kind: int, float, str, bool, tuple, a Literal, or one of them with None.
        default: the default value.
        help: its description.
        least: the smallest allowed number, or None.
        most: the largest allowed number, or None.
        owner: the class that declares it first, such as "Recipe".
    """

    name: str
    kind: Any
    default: Any
    help: str
    least: float | None
    most: float | None
    owner: str


def declared(recipe: str) -> list[DeclaredOption]:
    """The options of a recipe, in the order of its fields.

    Example:
        >>> from fastgru_recipes.cli.declared_options import declared
        >>> next(each for each in declared("forecast") if each.name == "horizon").default
        0
    """
    found: dict[str, DeclaredOption] = {}
    for option in _of_class(_module(f"{PACKAGE}.{recipe}.recipe"), RECIPES[recipe][0]):
        first = found.get(option.name)
        found[option.name] = option if first is None else option._replace(owner=first.owner)
    return list(found.values())


def constant(recipe: str, name: str) -> Any:
    """The value of a constant of a recipe's class, such as its metric.

    Example:
        >>> from fastgru_recipes.cli.declared_options import constant
        >>> constant("classify", "metric"), constant("classify", "higher_is_better")
        ('accuracy', True)
    """
    module = _module(f"{PACKAGE}.{recipe}.recipe")
    for node in module.classes[RECIPES[recipe][0]].body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == name:
            assert node.value is not None
            return _value(node.value, module)
    raise KeyError(f"recipe {recipe} does not set {name}")


class _Module(NamedTuple):
    """The classes and constants of a source file, and where the names come from that it imports."""

    classes: dict[str, ast.ClassDef]
    constants: dict[str, ast.expr]
    imports: dict[str, tuple[str, str]]


@lru_cache
def _module(name: str) -> _Module:
    place = Path(__file__).parents[1].joinpath(*name.split(".")[1:])
    path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    found = _Module({}, {}, {})
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef):
            found.classes[node.name] = node
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found.constants[node.targets[0].id] = node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE:
            found.imports.update({alias.asname or alias.name: (node.module or "", alias.name) for alias in node.names})
    return found


def _of_class(module: _Module, name: str) -> Iterator[DeclaredOption]:
    """The options of the bases, and then the own ones."""
    if name not in module.classes:
        if name in module.imports:
            place, original = module.imports[name]
            yield from _of_class(_module(place), original)
        return
    node = module.classes[name]
    for base in reversed(node.bases):
        base = base.value if isinstance(base, ast.Subscript) else base
        if isinstance(base, ast.Name):
            yield from _of_class(module, base.id)
    for field in node.body:
        if isinstance(field, ast.AnnAssign) and _is_option(field.value) and isinstance(field.target, ast.Name):
            call = field.value
            assert isinstance(call, ast.Call)
            default, text = (_value(each, module) for each in call.args)
            bounds = {each.arg: _value(each.value, module) for each in call.keywords}
            kind = _kind(field.annotation, module)
            yield DeclaredOption(field.target.id, kind, default, text, bounds.get("least"), bounds.get("most"), name)


def _is_option(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "option"


def _found(node: ast.expr, module: _Module) -> tuple[ast.expr, _Module]:
    """The expression that a name stands for, and the module in which it was found."""
    if isinstance(node, ast.Name) and node.id in module.constants:
        return module.constants[node.id], module
    if isinstance(node, ast.Name) and node.id in module.imports:
        place, name = module.imports[node.id]
        return _found(ast.Name(name), _module(place))
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        place, name = module.imports[node.value.id]
        return _found(ast.Name(node.attr), _module(f"{place}.{name}"))
    raise NotImplementedError(f"{ast.unparse(node)} is not a constant of {PACKAGE}.")


def _value(node: ast.expr, module: _Module) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_value(each, module) for each in node.elts)
    if isinstance(node, ast.BinOp):
        return OPERATORS[type(node.op)](_value(node.left, module), _value(node.right, module))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return -_value(node.operand, module)
    return _value(*_found(node, module))


def _kind(node: ast.expr, module: _Module) -> Any:
    if isinstance(node, ast.Constant) and node.value is None:
        return None
    if isinstance(node, ast.Name) and node.id in TYPES:
        return TYPES[node.id]
    if isinstance(node, ast.BinOp):
        return _kind(node.left, module) | _kind(node.right, module)
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
        if node.value.id == "Literal":
            values = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            return Literal.__getitem__(tuple(_value(each, module) for each in values))
        return TYPES[node.value.id]
    return _kind(*_found(node, module))
