"""The page of errors: each message on it is one of the source, and the messages of `fastgru.errors` are on it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/errors.md").read_text()
ROW = re.compile(r"^\| `(?P<message>[^`]+)` \| (?P<cause>.+) \| (?P<cure>.+) \|$", re.MULTILINE)
MESSAGES = [row["message"] for row in ROW.finditer(PAGE)]
VALUE = "\N{HORIZONTAL ELLIPSIS}"


def template(node):
    """The text of a string in the source, with an ellipsis for each value; None for another expression."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else VALUE for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return f"{template(node.left) or VALUE}{template(node.right) or VALUE}"
    return None


def comparable(text):
    """Without what a table cannot show: names in backticks count as values, and neighbouring values as one."""
    return re.sub(rf"{VALUE}+", VALUE, re.sub(r"`[^`]*`", VALUE, text))


def templates(tree):
    return [comparable(text) for node in ast.walk(tree) if (text := template(node)) and len(text) > 8]


SOURCES = [path for folder in ("src", "recipes/src") for path in sorted((ROOT / folder).rglob("*.py"))]
TEMPLATES = [text for path in SOURCES for text in templates(ast.parse(path.read_text()))]
# Functions without a text of their own: callers give it, or another function writes it.
WITHOUT_TEXT = ("remedy", "cannot_convert", "missing_extra")
FUNCTIONS = [
    pytest.param(node, id=f"{path.stem}.{node.name}")
    for path in sorted((ROOT / "src/fastgru/errors").glob("*.py"))
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_") and node.name not in WITHOUT_TEXT
]


def test_every_row_is_read():
    rows = [line for line in PAGE.splitlines() if line.startswith("| `")]
    assert len(rows) == len(MESSAGES) == len(set(MESSAGES))


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_of_the_page_is_in_the_source(message):
    assert any(message in text for text in TEMPLATES)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_message_of_the_package_is_on_the_page(function):
    assert any(message in text for text in templates(function) for message in MESSAGES)


def test_the_page_names_every_class_of_error():
    files = ("src/fastgru/errors/classes.py", "recipes/src/fastgru_recipes/errors.py")
    trees = [ast.parse((ROOT / file).read_text()) for file in files]
    names = [node.name for tree in trees for node in tree.body if isinstance(node, ast.ClassDef)]
    assert len(names) > 25
    assert [name for name in names if not re.search(rf"`(fastgru\.errors\.)?{name}`", PAGE)] == []
