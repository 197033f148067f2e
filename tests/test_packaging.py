"""What goes into wheels, and the scripts that build and check them, as far as that needs no build."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import json
import re
import sys
import zipfile
from pathlib import Path

import pytest

import processes

ROOT = Path(__file__).parent.parent
SBOM = ROOT / "packaging/sbom.cdx.json.in"


@pytest.fixture
def script(monkeypatch):
    """Loads a script of the checkout as a module."""

    def load(name):
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.syspath_prepend(ROOT / "scripts")
        loader = importlib.machinery.SourceFileLoader(name.replace("-", "_"), str(ROOT / "scripts" / name))
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
        monkeypatch.setitem(sys.modules, loader.name, module)
        loader.exec_module(module)
        return module

    return load


def test_the_places_of_the_version_agree(script):
    assert script("check-version").problems(ROOT, None) == []


def test_a_tag_must_be_the_version_and_have_a_section_of_the_changelog(script, tmp_path):
    module = script("check-version")
    lines = {"src/fastgru/__init__.py": '__version__ = "1.2"', "packaging/conda/recipe.yaml": '  version: "1.2"'}
    for place in module.PLACES:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / place).write_text(lines.get(place, 'version = "1.2"') + "\n")
    (tmp_path / "CHANGELOG.md").write_text("## 1.2 - 2026-01-01\n")
    assert module.problems(tmp_path, "v1.2") == []
    assert "needs v1.2" in module.problems(tmp_path, "1.2")[0]
    (tmp_path / "recipes/pyproject.toml").write_text('version = "1.1"\n')
    (tmp_path / "CHANGELOG.md").write_text("## 1.20\n")
    first, second = module.problems(tmp_path, "v1.2")
    assert first == "recipes/pyproject.toml says 1.1, and pyproject.toml 1.2"
    assert "no section" in second


def wheel_with(path, names, sbom):
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(f"fastgru-1.0.dist-info/{name}", sbom if name.endswith(".json") else "")
    return path


def test_a_wheel_has_licences_and_an_sbom_with_versions(script, tmp_path):
    module = script("wheels")
    text = SBOM.read_text()
    for name in ("SKBUILD_PROJECT_VERSION_FULL", "NANOBIND_VERSION", "ROBIN_MAP_VERSION"):
        assert f"@{name}@" in text
        text = text.replace(f"@{name}@", "1.0")
    assert module.problems_of(wheel_with(tmp_path / "a.whl", module.NEEDED, text)) == []
    assert module.problems_of(wheel_with(tmp_path / "b.whl", module.NEEDED[1:], text)) == [
        "lacks .dist-info/licenses/LICENSE"
    ]
    no_version = text.replace('"name": "nanobind",\n      "version": "1.0"', '"name": "nanobind",\n      "version": ""')
    assert module.unset_versions(json.loads(no_version)) == ["nanobind"]


def test_a_wheel_is_small_and_brings_no_library(script, tmp_path, monkeypatch):
    module = script("wheels")
    monkeypatch.setattr(module, "NEEDED", [])
    path = tmp_path / "a.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("fastgru.libs/libgomp.so.1", b"0" * (module.MOST_BYTES + 1))
    problems = module.problems_of(path)
    assert problems[1:] == ["brings fastgru.libs/libgomp.so.1"]
    assert "are the most" in problems[0]


def test_the_licence_of_nanobind_is_that_of_the_installed_one():
    try:
        files = importlib.metadata.files("nanobind") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("nanobind is not installed")
    (licence,) = (file for file in files if file.name == "LICENSE")
    assert (ROOT / "licenses/nanobind.txt").read_text() == licence.read_text()


def test_a_missing_tool_is_told_and_fails_nothing(script, tmp_path):
    module = script("platforms")
    own = module.Platform("x", "Nowhere", "no-such-compiler")
    cells = module.row(own, tmp_path / "x", 1, 1)
    assert cells == ["Nowhere", "no-such-compiler", "no no-such-compiler (not found)", "not run", "not run"]
    assert not module.failed(cells)
    assert module.failed(["Linux", "g++", "yes", "passes", "differ"])
    assert module.run(module.Platform("x", "macOS", "c++", runner=None), tmp_path, 1) == ("not run", "not run")
    with pytest.raises(SystemExit):
        module.main(["no-such-platform"])


def test_a_compiler_for_another_system_is_told_so(script, tmp_path, monkeypatch):
    module = script("platforms")
    monkeypatch.setattr(module, "zig", lambda: ["zig"])
    own = next(each for each in module.PLATFORMS if each.name == "macos-arm")
    options = module.toolchain(own, tmp_path)
    assert "-DCMAKE_SYSTEM_NAME=Darwin" in options
    monkeypatch.setattr(module, "zig", lambda: ["echo"])
    module.toolchain(own, tmp_path)
    printed = processes.run([tmp_path / "zig-c++", "-march=armv8.2-a+dotprod", "a b.cpp"]).stdout
    assert printed == "c++ -target aarch64-macos -mcpu=generic+v8_2a+dotprod a b.cpp\n"


def test_the_requirements_of_an_extra_are_those_of_the_extras_it_names(script, capsys):
    script("requirements").main(["demo"])
    lines = capsys.readouterr().out.split()
    assert {re.split("[<>=]", line)[0] for line in lines} == {
        "numpy", "safetensors", "torch", "typer", "rich", "matplotlib",
    }  # fmt: skip


def test_every_script_of_wheels_knows_the_same_pythons(script):
    versions = script("interpreters.py").SUPPORTED
    assert set(script("wheels").VERSIONS) < set(versions)
    workflow = (ROOT / ".github/workflows/wheels.yml").read_text()
    assert all(f'"{version}"' in workflow for version in versions)


def test_the_index_of_the_rehearsal_lists_the_files(script, tmp_path, capsys):
    module = script("rehearse-release")
    (tmp_path / "dist").mkdir()
    with pytest.raises(SystemExit, match="scripts/wheels"):
        module.index(tmp_path / "dist", tmp_path / "empty")
    (tmp_path / "dist/fastgru-1.0-py3-none-any.whl").touch()
    module.index(tmp_path / "dist", tmp_path / "place")
    page = (tmp_path / "place/simple/fastgru/index.html").read_text()
    assert 'href="fastgru-1.0-py3-none-any.whl"' in page
    assert "fastgru-1.0" in capsys.readouterr().out
