"""The notebook of ten minutes: it runs from top to bottom, and its stored outputs are those of its code."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from test_scripts import load

ROOT = Path(__file__).parent.parent
NOTEBOOK = json.loads((ROOT / "docs/notebooks/ten-minutes.ipynb").read_text())
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")


def printed(notebook):
    """What each cell prints, with one sign for all numbers: times differ from run to run."""
    texts = [
        "".join(line for output in cell.get("outputs", []) for line in output["text"]) for cell in notebook["cells"]
    ]
    return [re.sub(r"[\d.]+(e-\d+)?", "0", re.sub(r"avx512|avx2|neon|baseline", "LEVEL", text)) for text in texts]


def test_the_notebook_runs_and_shows_what_it_prints(monkeypatch):
    pytest.importorskip("fastgru_recipes")
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    threads = torch.get_num_threads()
    again = load("run-notebook").executed(NOTEBOOK)
    torch.set_num_threads(threads)
    assert [text.split() for text in printed(again)] == [text.split() for text in printed(NOTEBOOK)]
    said = " ".join(printed(NOTEBOOK))
    assert "torch was imported: False" in said
    assert said.count(": True") == 4
    assert ": False" not in said.replace("torch was imported: False", "")


def test_the_links_of_the_notebook_exist():
    links = [link for cell in NOTEBOOK["cells"] for link in LINK.findall("".join(cell["source"]))]
    assert links
    assert [link for link in links if not (ROOT / "docs/notebooks" / link).exists()] == []
