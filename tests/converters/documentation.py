"""The examples of docs/converting.md, which need the frameworks that they are about."""

from __future__ import annotations

import re
from pathlib import Path

import fastgru


def run_documentation(name: str) -> None:
    """Runs the framework's block, if there is one."""
    page = (Path(__file__).parents[2] / "docs" / "converting.md").read_text()
    found = re.search(rf"<!-- scripts/check-converters runs this: {name} -->\n```py\n(.*?)```", page, re.DOTALL)
    if found is not None:
        exec(compile(found[1], f"docs/converting.md, {name}", "exec"), {"fastgru": fastgru})
