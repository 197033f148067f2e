"""The architecture: who may import whom, what works without torch, what is public."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import fastgru
import processes

SOURCE = Path(fastgru.__file__).parent

# A file imports only from rows above its own (docs/architecture.md).
ROWS = [
    {"errors.kinds", "importing", "recording", "_core"},
    {"errors.operands", "errors.features", "errors.writing"},
    {"errors"},
    {"spec", "frozen_parameter", "files"},
    {"interruption"},
    {"reference", "weights", "levels", "data"},
    {"backends.base", "backends.saving", "backends.taking", "convert.torch"},
    {"backends.reference", "backends.core_calls", "backends.onnx", "convert"},
    {"backends.side_by_side", "backends.guarding", "checking", "ops.inputs"},
    {
        "ops.batching",
        "ops.checks",
        "ops.legacy_batches",
        "ops.flops",
        "ops.recurrence",
        "ops.short",
        "ops.timing",
        "backends.aten",
    },
    {"ops.computing", "ops.recorded", "ops.trajectory", "ops.whole"},
    {"ops.core_tangents"},
    {"ops.derivatives"},
    {"ops.functions", "ops.gradients", "backends.expanded"},
    {"ops"},
    {"backends.cpu"},
    {"backends", "dispatch"},
    {"functional"},
    {"freezing", "stacking", "layouts"},
    {"streaming", "projection", "quantization", "scripting", "sharing", "symbols"},
    {"base_layer", "counting"},
    {"nn", "cell"},
    {"stateful", "explanation", "replace", "patching", "onnx", "opacus"},
    {"bench.cases", "demo"},
    {"bench.limits"},
    {"bench.measuring"},
    {"bench.summaries"},
    {"bench.records"},
    {"bench.comparing"},
    {"bench.plotting", "bench.report"},
    {"bench"},
    {"console"},
    {"commands"},
    {"tasks"},
    {"tasks.recipe", "tasks.vocabulary"},
    {"tasks.batching", "tasks.checkpoints", "tasks.layers", "tasks.plots", "tasks.reading"},
    {"tasks.beam", "tasks.calendars", "tasks.conll", "tasks.labelled", "tasks.quantiles"},
    {"tasks.series", "tasks.tagged"},
    {"tasks.features"},
    {"tasks.classify", "tasks.forecast", "tasks.generate", "tasks.tag", "tasks.translate"},
    {"tasks.runs", "tasks.training"},
    {"tasks.work", "tasks.inputs"},
    {"tasks.estimators"},
    {"tasks.sktime"},
    {"tasks.examples", "tasks.baselines"},
    {f"tasks.baselines.{name}" for name in ("classify", "forecast", "generate", "tag", "translate")},
    {f"tasks.examples.{name}" for name in ("classify", "forecast", "generate", "tag", "translate")},
    {"tasks.showcase"},
    {"tasks.tables"},
    {"tasks.commands"},
    {"cli"},
    {"__main__"},
]
RANK = {name: rank for rank, names in enumerate(ROWS) for name in names}
FACADE = RANK["demo"]  # `import fastgru` itself, which knows every public name: for bench, demo and above
WITHOUT_TORCH = [name for name in RANK if name.split(".")[0] == "errors"] + [
    "spec",
    "reference",
    "weights",
    "levels",
    "data",
    "convert",
    "convert.torch",
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
            submodules = {name for name in inner if name.removeprefix("fastgru.") in RANK}
            found |= submodules or {node.module}
    return {name.removeprefix("fastgru").removeprefix(".") for name in found if name.split(".")[0] == "fastgru"}


def test_every_module_has_a_row():
    assert set(MODULES) | {"_core"} == set(RANK)


# `fastgru.tasks` is a facade as `fastgru` is: it names types of modules above it, and imports them when asked.
@pytest.mark.parametrize("name", [name for name in MODULES if name != "tasks"])
def test_imports_go_one_way(name):
    for other in imported(MODULES[name]):
        if other == "":
            assert RANK[name] >= FACADE, f"{name} imports fastgru itself"
        else:
            assert RANK[other] < RANK[name], f"{name} imports {other}, which stands above it"


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
        "GRU", "GRUCell", "GRUSpec", "StatefulGRU", "Stepper", "__version__", "convert", "cpu_info", "errors",
        "explain", "functional", "last_output", "onnx", "opacus", "patch", "replace_gru", "restore_gru",
        "use_backend",
    }  # fmt: skip
    for name in fastgru.__all__:
        value = getattr(fastgru, name)
        assert value.__doc__, f"{name} has no documentation"
    with pytest.raises(AttributeError, match="module 'fastgru' has no attribute 'LSTM'"):
        _ = fastgru.LSTM
