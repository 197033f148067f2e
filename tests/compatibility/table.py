"""The table of docs/compatibility.md: writing it from results, and reading it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

from compatibility import CAPABILITIES, OURS, STOCK, Capability, Entry
from compatibility.registry import GROUPS, NO, NOT_RUN, ROOT, YES

PAGE = ROOT / "docs/compatibility.md"
BEGIN, END = "<!-- compatibility:begin -->\n", "<!-- compatibility:end -->"
Results = Mapping[Capability, tuple[Entry, Entry]]
_ROW = re.compile(r"^\| (?P<title>[^|*].*?) \| (?P<stock>.*?) \| (?P<ours>.*?) \|$", re.MULTILINE)


def heading_of(one: Capability) -> str:
    """Of the module that the row stands in."""
    return next(import_module(module).HEADING for module, rows in GROUPS.items() if one in rows)


def cell(one: Capability, entry: Entry) -> str:
    """A yes with the test that shows it, or another word with its reason."""
    if entry.status == YES:
        slow = ", slow" if entry.is_slow else ""
        return f"[yes](../{one.path}#{one.name}){slow}"
    reason = entry.reason.replace("`", "'").replace("<", "&lt;").replace("|", "\\|")
    if entry.status == NO:
        return f"**no**: {reason}"
    return f"{entry.status}: {reason}"


def table(results: Results) -> str:
    """Rows in the order of the modules, under a line for each."""
    lines, heading = [f"| | `{STOCK.name}` | `{OURS.name}` |", "|---|---|---|"], ""
    for one in CAPABILITIES:
        if (own := heading_of(one)) != heading:
            heading = own
            lines.append(f"| **{heading}** | | |")
        stock, ours = (cell(one, entry) for entry in results[one])
        lines.append(f"| {one.title} | {stock} | {ours} |")
    return "\n".join(lines) + "\n"


def split(text: str) -> tuple[str, str, str]:
    """What stands before, between and after the marks."""
    before, rest = text.split(BEGIN)
    between, after = rest.split(END)
    return before, between, after


def cells() -> dict[str, tuple[str, str]]:
    """What stands in the table of the repository, by titles: for torch's layer and for ours."""
    _, between, _ = split(PAGE.read_text(encoding="utf-8"))
    return {row["title"]: (row["stock"], row["ours"]) for row in _ROW.finditer(between)}


def committed() -> dict[str, tuple[str, str]]:
    """The words of these cells: yes, no, not run or n/a; of a slow way, "yes, slow"."""
    return {title: (word(stock), word(ours)) for title, (stock, ours) in cells().items()}


def word(text: str) -> str:
    """Of a cell, without its link or reason."""
    plain = re.sub(r"\[(\w+)\]\([^)]*\)|\*\*(\w+)\*\*", r"\1\2", text)
    return plain.split(":")[0]


def link(text: str) -> str | None:
    """The test that a cell points to, as pytest names it."""
    found = re.match(r"\[yes\]\(\.\./([^)#]+)#(\w+)\)", text)
    return "::".join(found.groups()) if found else None


def word_of(entry: Entry) -> str:
    return f"{entry.status}, slow" if entry.status == YES and entry.is_slow else entry.status


def same(first: str, second: str) -> bool:
    """Two words are the same, or one of the two machines lacked something."""
    return first == second or NOT_RUN in (first, second)


def defines(path: Path, name: str) -> bool:
    return re.search(rf"^def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE) is not None
