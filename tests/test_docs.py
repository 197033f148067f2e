"""The documentation: its code runs, quotes are verbatim, links and commands exist."""

from __future__ import annotations
import __future__

import doctest
import importlib
import inspect
import pkgutil
import re
import runpy
import shlex
import sys
import types
from pathlib import Path

import pytest
import torch

import fastgru
from fastgru import reference

ROOT = Path(__file__).parent.parent
PAGES = sorted(page for place in ("*.md", "docs/**/*.md", "examples/*.md", "recipes/*.md") for page in ROOT.glob(place))
# The code of a Chinese page is that of its English page, as tests/test_chinese.py checks: it runs there, once.
RUN = [page for page in PAGES if ROOT / "docs/zh" not in page.parents]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

BLOCK = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTE = re.compile(
    r"<!-- quoted from (?P<file>\S+): (?P<name>\w+) -->\n```python\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
SCRIPT = re.compile(r"\bscripts/[a-z-]+")


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", [p for p in RUN if BLOCK.search(p.read_text())], ids=name)
def test_the_code_of_a_page_runs_in_order(page, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    text = page.read_text()
    if "fastgru_recipes" in text:
        pytest.importorskip("fastgru_recipes")
    module = types.ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where dataclasses look for the names of types
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start(2))
        if block[1] == "console":
            run_commands(block[2], f"{page}, line {line + 1}")
            continue
        code = "\n" * line + block[2]  # so that a failure names the page's own line
        unevaluated = __future__.annotations.compiler_flag  # quoted functions name types of their file
        exec(compile(code, str(page), "exec", flags=unevaluated), vars(module))


def run_commands(block: str, place: str) -> None:
    """Runs `$ fastgru …`; lines below a command are what it must print, where ... stands for anything."""
    from typer.testing import CliRunner

    from fastgru.cli.commands import app

    for entry in block.removeprefix("$ ").split("\n$ "):
        command, _, expected = entry.partition("\n")
        program, *arguments = shlex.split(command, comments=True)
        assert program == "fastgru", place
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, f"{place}: {command}\n{result.output}"
        flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
        is_right = doctest.OutputChecker().check_output(expected, result.output, flags)
        assert is_right or not expected.strip(), f"{place}: {command}\n{result.output}"


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_an_example_runs(example, monkeypatch, tmp_path, capsys):
    if "fastgru_recipes" in example.read_text():
        pytest.importorskip("fastgru_recipes")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out


def test_the_quoted_step_is_the_one_in_the_file():
    quotes = list(QUOTE.finditer((ROOT / "docs/equations.md").read_text()))
    assert [quote["name"] for quote in quotes] == ["step"]
    for quote in quotes:
        source = inspect.getsource(getattr(reference, quote["name"]))
        assert source in (ROOT / quote["file"]).read_text()
        assert quote["code"] == source


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_and_commands_of_a_page_exist(page):
    text = page.read_text()
    missing = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    missing += [script for script in SCRIPT.findall(text) if not (ROOT / script).exists()]
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    code = " ".join(re.findall(r"`[^`\n]+`|^```sh\n.*?^```$", text, re.MULTILINE | re.DOTALL))
    missing += [f"make {target}" for target in TARGET.findall(code) if target not in targets]
    assert missing == []


def test_every_page_can_be_reached_from_the_list_of_pages():
    found, waiting = set(), [ROOT / "docs/README.md"]
    while waiting:
        page = waiting.pop()
        if page in found or not page.is_file():
            continue
        found.add(page)
        if page.suffix == ".md":
            waiting += [(page.parent / link).resolve() for link in LINK.findall(page.read_text())]
    pages = {page for ending in ("md", "rst", "ipynb") for page in (ROOT / "docs").rglob(f"*.{ending}")}
    assert {name(page) for page in pages - found} == set()


def test_every_decision_is_listed():
    notes = {path.name for path in (ROOT / "docs/decisions").glob("[0-9]*.md")}
    listed = set(LINK.findall((ROOT / "docs/decisions/README.md").read_text()))
    assert listed == notes


# The commands print what they do when they run; the rest of the package shows it in its docstrings.
MODULES = [
    module.name
    for module in pkgutil.walk_packages(fastgru.__path__, "fastgru.")
    if module.name not in ("fastgru._core", "fastgru.__main__", "fastgru.cli", "fastgru.cli.commands")
]


@pytest.mark.parametrize("module", MODULES)
def test_the_examples_of_docstrings_run(module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # some write files
    names = {"torch": torch, "fastgru": fastgru}
    flags = doctest.NORMALIZE_WHITESPACE
    result = doctest.testmod(importlib.import_module(module), extraglobs=names, optionflags=flags)
    assert result.failed == 0


@pytest.mark.parametrize("public", [n for n in fastgru.__all__ if callable(getattr(fastgru, n))])
def test_every_public_name_shows_an_example(public):
    assert ">>> " in getattr(fastgru, public).__doc__
