"""The documentation site: its pages name everything that is public, every page is in a section, lists are read right.

The site itself is built by `make site`, which fails for a warning. These tests need none of its packages.
"""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.util
import json
import re
import sys
import zlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXTENSIONS = DOCS / "site/extensions"
# Module -> page of the reference.
MODULES = {
    "fastgru": None,  # its names are on several pages
    "fastgru.functional": "functional",
    "fastgru.nn.activations": "layers",
    "fastgru.runtime": "runtime",
    "fastgru.graph": "runtime",
    "fastgru.convert": "convert",
    "fastgru.integrations.onnx": "convert",
    "fastgru.integrations.opacus": "models",
    "fastgru.errors.classes": "exceptions",
    "fastgru_recipes": "recipes",
    "fastgru_recipes.estimators": "recipes",
    "fastgru_recipes.estimators.sktime": "recipes",
    "fastgru_recipes.errors": "recipes",
}
SUBMODULES = {"convert", "errors", "functional", "onnx", "opacus", "runtime"}  # public names that are modules
# The runtime names these again; they are on its page as those of fastgru.graph.
AGAIN = {"fastgru.runtime": {"Graph", "Input", "Node", "Output"}}
ENTRY = re.compile(r"^\.\. (?:auto|py:)(?:class|function|exception|data|module):: ([\w.]+)", re.MULTILINE)


def public_names(module):
    """`__all__`, or what is defined without an underscore or imported as the same name, and no constants."""
    tree = ast.parse(Path(importlib.util.find_spec(module).origin).read_text())
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__":
            return set(ast.literal_eval(node.value))
    defined = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imports = [alias for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    return {name for name in defined | {a.name for a in imports if a.asname == a.name} if not name.startswith("_")}


def entries(page):
    paths = [DOCS / f"api/{page}.rst"] if page else sorted((DOCS / "api").glob("*.rst"))
    return {name for path in paths for name in ENTRY.findall(path.read_text())}


@pytest.fixture(scope="module")
def extensions():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "dont_write_bytecode", True)
        patch.syspath_prepend(str(EXTENSIONS))
        yield


@pytest.mark.parametrize("extension", sorted(path.stem for path in EXTENSIONS.glob("*.py")))
def test_the_examples_of_extensions_run(extensions, extension):
    if extension != "inventories":
        pytest.importorskip("sphinx")  # `make site` installs it
        pytest.importorskip("myst_parser")
    assert doctest.testmod(importlib.import_module(extension)).failed == 0


@pytest.mark.parametrize("module", MODULES)
def test_the_reference_has_every_public_name(module):
    if module.startswith("fastgru_recipes"):
        pytest.importorskip("fastgru_recipes")
    listed = entries(MODULES[module])
    wanted = public_names(module) - AGAIN.get(module, set())
    wanted -= SUBMODULES if module == "fastgru" else set()
    assert wanted
    if module == "fastgru.nn.activations":  # all members of the module
        assert module in listed
        return
    short = {name.rsplit(".", 1)[1] for name in listed if "." in name}
    assert wanted - short == set()


def test_every_entry_of_the_reference_is_there():
    for entry in sorted(entries(None)):
        if entry.startswith("fastgru_recipes"):
            pytest.importorskip("fastgru_recipes")
        parts = entry.split(".")
        found = importlib.import_module(parts[0])
        for part, path in zip(parts[1:], (parts[: n + 1] for n in range(1, len(parts))), strict=True):
            found = getattr(found, part, None) or importlib.import_module(".".join(path))
        assert found is not None


def test_every_page_is_in_a_section():
    pages = {path for ending in ("md", "rst", "ipynb") for path in DOCS.rglob(f"*.{ending}")}
    pages -= {DOCS / "README.md", DOCS / "index.md"}  # the table for code hosts, and the first page
    listed = set()
    for section in [DOCS / "index.md", *sorted((DOCS / "site").glob("*.md"))]:
        for tree in re.findall(r"^:::\{toctree\}\n(.*?)^:::$", section.read_text(), re.MULTILINE | re.DOTALL):
            names = [line.rsplit("<", 1)[-1].rstrip(">") for line in tree.splitlines() if line and line[0] != ":"]
            listed |= {(section.parent / name).resolve() for name in names}
    # These two list the pages of their folders by themselves.
    listed |= {path for folder in ("decisions", "zh") for path in (DOCS / folder).rglob("*.md")}
    assert {path.relative_to(ROOT).as_posix() for path in pages - listed} == set()
    assert listed - pages == set()


def test_lists_of_names_become_inventories(extensions, tmp_path):
    import inventories

    found = inventories.mapping(DOCS / "site/inventories", tmp_path)
    assert {"torch", "python", "numpy"} <= found.keys()
    address, path = found["torch"]
    assert address.startswith("https://docs.pytorch.org/")
    head, body = Path(path).read_bytes().split(b"zlib.\n")
    assert head.startswith(b"# Sphinx inventory version 2\n# Project: torch\n")
    lines = zlib.decompress(body).decode().splitlines()
    assert "torch.nn.GRU py:class 1 generated/torch.nn.GRU.html#torch.nn.GRU -" in lines
    assert len(lines) == len(set(lines)) > 50


def test_a_wrong_line_of_a_list_is_named(extensions, tmp_path):
    import inventories

    (tmp_path / "torch.txt").write_text("https://example.org/\ntorch.save function\n")
    with pytest.raises(ValueError, match=r"'torch.save function' has 2 parts. Expected a name, its kind and its page"):
        inventories.read(tmp_path / "torch.txt")


def test_names_of_torch_in_the_lists_exist():
    import torch

    names = [
        line.split()[0] for line in (DOCS / "site/inventories/torch.txt").read_text().splitlines() if line[0] == "t"
    ]
    for name in names:
        found = torch
        for part in name.split(".")[1:]:
            found = getattr(found, part, None) or importlib.import_module(name.rsplit(".", 1)[0])
        assert found is not None


def test_the_site_asks_for_pinned_packages():
    text = (ROOT / "pyproject.toml").read_text()
    wanted = re.findall(r'"([\w-]+)>=', re.search(r"^docs = \[(.*?)^\]", text, re.MULTILINE | re.DOTALL)[1])
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines()}
    assert len(wanted) >= 4
    assert [name for name in wanted if name.lower() not in pinned] == []


def test_versions_begin_with_this_one():
    import fastgru

    assert json.loads((DOCS / "site/versions.json").read_text())[0] == fastgru.__version__


def test_the_first_page_leads_to_what_newcomers_look_for():
    links = set(re.findall(r"\]\(([^)]+)\)", (DOCS / "index.md").read_text()))
    wanted = {
        "site/start.md#install",
        "site/start.md#the-first-swap",
        "sequences.md",  # lengths
        "streaming.md",
        "deploy.md",  # the runtime
        "tasks.md",  # recipes
        "errors.md",
    }
    assert wanted - links == set()


def test_external_links_have_the_form_of_addresses():
    links = {link for page in DOCS.rglob("*.md") for link in re.findall(r"\]\((\w+:[^)]*)\)", page.read_text())}
    assert len(links) > 3
    assert [link for link in links if not re.fullmatch(r"https://[\w-]+(\.[\w-]+)+(/[^\s<>]*)?", link)] == []
