"""The architecture: import rules of the folders, and use of the layer by public names only."""

from __future__ import annotations

import ast
import graphlib
from importlib import import_module
from pathlib import Path

import pytest

import fastgru
import fastgru_recipes

SOURCE = Path(fastgru_recipes.__file__).parent

# A folder imports from itself and from those before it (docs/architecture.md); "" are the files beside the folders.
FLOORS = [
    {""},
    {"plots", "text"},
    {"training"},
    {*fastgru_recipes.RECIPES},
    {"estimators"},
    {"estimators/options"},
    {"cli"},
]
FLOOR = {folder: number for number, folders in enumerate(FLOORS) for folder in folders}
# Public for packages that add commands to `fastgru`: what these modules have in `__all__`.
FOR_COMMANDS = ("cli.console", "atomic_files", "cli.interruption")
FILES = sorted(SOURCE.rglob("*.py"))


def name(path: Path) -> str:
    return path.relative_to(SOURCE).as_posix()


def folder(path: Path) -> str:
    return path.relative_to(SOURCE).parent.as_posix().removeprefix(".")


def imported(path: Path, package: str) -> list[tuple[str, str]]:
    """Module, without the package, and name of everything that a file imports from a package."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not any(alias.name.startswith(f"{package}.") for alias in node.names), "say `from … import …`"
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            found += [(node.module[len(package) + 1 :], alias.name) for alias in node.names]
    return found


def folder_of(module: str, imported_name: str) -> str:
    """The folder that an import goes to."""
    first = (module or imported_name).split(".")[0]
    return first if first in FLOOR else ""


def test_every_folder_has_a_floor():
    assert {folder(path) for path in FILES} == {*FLOOR}


# The facade imports what it names when asked; its types it names before.
@pytest.mark.parametrize("path", [path for path in FILES if name(path) != "__init__.py"], ids=name)
def test_imports_go_one_way(path):
    own = folder(path)
    for module, imported_name in imported(path, "fastgru_recipes"):
        other = folder_of(module, imported_name)
        assert other == own or FLOOR[other] < FLOOR[own], f"{name(path)} imports {module}.{imported_name}"


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_make_no_circle():
    """Imports for types alone count too: a file that needs a type of another one depends on it."""
    modules = {module_name(path): path for path in FILES}
    graph = {}
    for own, path in modules.items():
        named = {f"{module}.{what}".removeprefix(".") for module, what in imported(path, "fastgru_recipes")}
        graph[own] = {each if each in modules else each.rpartition(".")[0] for each in named} - {"", own}
    graphlib.TopologicalSorter({own: found for own, found in graph.items() if own}).prepare()


@pytest.mark.parametrize("path", FILES, ids=name)
def test_the_layer_is_used_by_its_public_names(path):
    used = imported(path, "fastgru")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "fastgru":
            used.append(("", node.attr))
    for module, used_name in used:
        if f"{module}.{used_name}" in FOR_COMMANDS:
            continue
        if module in FOR_COMMANDS:
            assert used_name in import_module(f"fastgru.{module}").__all__, f"fastgru.{module}.{used_name}"
        else:
            known = {*fastgru.__all__} if module == "" else {*dir(getattr(fastgru, module))}
            assert module in ("", *fastgru.__all__), f"fastgru.{module}"
            assert used_name in known, f"{module}.{used_name}"
            assert not used_name.startswith("_") or used_name == "__version__"
