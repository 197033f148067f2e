"""The architecture: import rules, what works without torch, public names."""

from __future__ import annotations

import ast
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import fastgru
import processes

SOURCE = Path(fastgru.__file__).parent

# The floors of the house: a file imports from floors below its own, and from its own folder. What stands in no folder
# is named by itself. `fastgru` alone is the facade, which knows every public name.
FLOORS = [
    {"errors", "importing", "recording", "_core"},
    {"spec", "levels", "atomic_files", "data"},
    {"reference"},
    {"graph"},
    {"runtime"},
    {"call"},
    {"convert"},
    {"backends"},
    {"dispatch"},
    {"rows"},
    {"functional", "ops"},
    {"nn"},
    {"explanation", "integrations"},
    {"bench"},
    {"cli"},
    {"__main__"},
]
FLOOR = {name: floor for floor, names in enumerate(FLOORS) for name in names}
FACADE = FLOOR["bench"]  # from here on upwards, the public names by `import fastgru`
WITHOUT_TORCH = [
    "errors",
    "spec",
    "reference",
    "levels",
    "data",
    "convert",
    "convert.torch",
    "convert.gate_order",
    "convert.frameworks",
    "convert.keras_graph",
    "convert.reading",
    "convert.writing",
    "convert.onnx_graph",
    "graph",
    "runtime",
    "cli",
]


def module_name(path: Path) -> str:
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path): path for path in SOURCE.rglob("*.py") if module_name(path)}


def imported(path: Path) -> set[str]:
    """Modules of the package that a file imports; the empty name is the package itself."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, f"{path.name} imports relatively"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in inner if name.removeprefix("fastgru.") in {*MODULES, "_core"}}
            found |= submodules or {node.module}
    return {name.removeprefix("fastgru").removeprefix(".") for name in found if name.split(".")[0] == "fastgru"}


def floor_of(name: str) -> int:
    return FLOOR[name.split(".")[0]]


def test_every_folder_has_a_floor():
    assert {name.split(".")[0] for name in MODULES} | {"_core"} == set(FLOOR)


@pytest.mark.parametrize("name", MODULES)
def test_imports_go_down_or_stay_in_their_folder(name):
    for other in imported(MODULES[name]):
        if other == "":
            assert floor_of(name) >= FACADE, f"{name} imports fastgru itself"
        elif other.split(".")[0] != name.split(".")[0]:
            assert floor_of(other) < floor_of(name), f"{name} imports {other}, which does not stand below it"


def test_imports_make_no_circle():
    sorter = graphlib.TopologicalSorter({name: imported(path) - {"", name} for name, path in MODULES.items()})
    sorter.prepare()


@pytest.mark.parametrize("name", MODULES)
def test_the_layer_knows_nothing_of_the_recipes(name):
    assert not re.search(r"^\s*(from|import) fastgru_recipes", MODULES[name].read_text(), re.MULTILINE)


def test_importing_the_package_alone_imports_nothing_heavy():
    code = "import sys, fastgru; print([m for m in ('torch', 'numpy', 'rich', 'typer', 'onnx') if m in sys.modules])"
    assert processes.run([sys.executable, "-c", code], check=True).stdout.strip() == "[]"


BLOCK_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")
sys.meta_path.insert(0, Blocker())
"""


def without_torch(code: str) -> subprocess.CompletedProcess[str]:
    return processes.run([sys.executable, "-c", BLOCK_TORCH + code])


@pytest.mark.parametrize("name", WITHOUT_TORCH)
def test_works_without_torch(name):
    finished = without_torch(f"import fastgru, fastgru.{name}")
    assert finished.returncode == 0, finished.stderr


def test_the_numpy_reference_runs_without_torch():
    finished = without_torch(
        "import fastgru, numpy as np\n"
        "from fastgru import reference\n"
        "spec = fastgru.GRUSpec(2, 3)\n"
        "weights = [np.zeros(s) for s in spec.parameter_shapes]\n"
        "print(reference.run(reference.NumPyOperations(), spec, np.ones((4, 5, 2)), None, weights)[0].shape)\n"
        "print(len(fastgru.cpu_info()) > 0)"
    )
    assert finished.stdout.split("\n")[:2] == ["(4, 5, 3)", "True"], finished.stderr


def test_a_name_that_needs_torch_says_how_to_get_it():
    finished = without_torch("import fastgru; fastgru.GRU")
    assert finished.returncode != 0
    last = finished.stderr.strip().splitlines()[-1]
    assert last.endswith("fastgru.GRU needs torch, which is not installed. Run: pip install 'fastgru[torch]'")
    assert "MissingExtra" in last


def test_public_names():
    assert set(fastgru.__all__) == set(dir(fastgru)) == {
        "GRU", "GRUCell", "GRUSpec", "LayerNorm", "Linear", "StatefulGRU", "Stepper", "__version__", "convert",
        "cpu_info", "errors", "explain", "freeze", "functional", "last_output", "load", "onnx", "opacus", "patch",
        "replace", "replace_gru", "restore", "restore_gru", "runtime", "save", "unfreeze", "use_backend",
    }  # fmt: skip
    for name in fastgru.__all__:
        value = getattr(fastgru, name)
        assert value.__doc__, f"{name} has no documentation"
    with pytest.raises(AttributeError, match="module 'fastgru' has no attribute 'LSTM'"):
        _ = fastgru.LSTM


CORE = Path(__file__).parent.parent / "csrc"

# Which folders of the core's sources a file may include, by its own folder (docs/architecture.md).
MAY_INCLUDE = {
    "shared": {"shared"},
    "kernels": {"kernels", "shared"},
    "include": {"include", "shared"},
    "host": {"host", "include", "shared"},
    "python": {"python", "host", "include", "shared"},
    "tools": {"tools", "host", "include", "shared"},
}
# What is compiled for several levels must not bring functions that the linker could keep of one level for all.
C_HEADERS = {"stddef.h", "stdint.h", "immintrin.h", "arm_neon.h"}
# Headers that every compiler has; C++'s own have no ending. All others are of a system.
EVERYWHERE = C_HEADERS | {"cpuid.h", "math.h", "stdlib.h", "string.h"}
CORE_FILES = [path.relative_to(CORE) for path in sorted(CORE.rglob("*")) if path.suffix in (".h", ".cpp")]


@pytest.mark.parametrize("path", CORE_FILES, ids=str)
def test_sources_of_the_core_include_only_what_their_folder_may(path):
    included = re.findall(r'^ *#include ([<"])(.*)[>"]', (CORE / path).read_text(), re.MULTILINE)
    for name in (name for mark, name in included if mark == '"'):
        file = Path("include" if "/" not in name else "", name)
        assert (CORE / file).is_file(), f"{path} includes {name}, which is not there"
        assert file.parts[0] in MAY_INCLUDE[path.parts[0]], f"{path} includes {name}"
    libraries = {name for mark, name in included if mark == "<"}
    if path.parts[0] in ("kernels", "shared"):
        assert libraries <= C_HEADERS, f"{path} includes {libraries - C_HEADERS}"
    assert path.parts[0] == "python" or not any(re.match("Python|nanobind", name) for name in libraries)


@pytest.mark.parametrize("path", [path for path in CORE_FILES if path.parts[0] != "tools"], ids=str)
def test_one_file_for_each_system_includes_headers_of_systems(path):
    if path.match("host/platform_*.cpp"):
        return
    included = re.findall(r"^ *#include <(.*\.h)>", (CORE / path).read_text(), re.MULTILINE)
    others = {name for name in included if name not in EVERYWHERE and not re.match("Python|nanobind", name)}
    assert not others, f"{path} includes {others}; what systems do differently belongs in host/platform.h"
