"""What must be equal on a page and on its translation: a page is read into sections, and two pages are compared."""

from __future__ import annotations

import ast
import re
from collections import Counter
from dataclasses import dataclass, field

HAN = re.compile(r"[\u3400-\u9fff\u3000-\u303f\uff00-\uffef]")  # characters and full-width punctuation
HEADING = re.compile(r"(#+) (.+)")
FENCE = re.compile(r"```(\w*)$")
IMAGE = re.compile(r"!\[[^]]*\]\(([^)]+)\)")
LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)")
SPAN = re.compile(r"`[^`]+`")
NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
MARK = re.compile(r"<!--.*?-->")


@dataclass
class Block:
    """A fenced block of code, or an indented one (language: formula)."""

    line: int
    language: str
    code: str = ""


@dataclass
class Table:
    line: int
    rows: list[list[str]] = field(default_factory=list)


@dataclass
class Section:
    """What stands between a heading and the next one."""

    line: int
    level: int
    title: str
    blocks: list[Block] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    prose: str = ""


def read_sections(page: str) -> list[Section]:
    """The sections of a page of Markdown; the first holds what comes before the first heading, at level 0."""
    sections, inside, previous = [Section(1, 0, "")], False, ""
    for number, line in enumerate(page.splitlines(), 1):
        here = sections[-1]
        if inside and line != "```":
            here.blocks[-1].code += line + "\n"
        elif line == "```" and inside:
            inside = False
        elif fence := FENCE.match(line):
            inside = True
            here.blocks.append(Block(number, fence[1]))
        elif heading := HEADING.match(line):
            sections.append(Section(number, len(heading[1]), heading[2]))
        else:
            add_line(here, number, line, previous)
        previous = line
    return sections


def add_line(section: Section, number: int, line: str, previous: str) -> None:
    """Adds a line that is no heading and stands outside fenced code."""
    if line.startswith("|"):
        if not previous.startswith("|"):
            section.tables.append(Table(number))
        section.tables[-1].rows.append(line.strip("|").split("|"))
    elif line.startswith("    "):
        if not previous.startswith("    "):
            section.blocks.append(Block(number, "formula"))
        section.blocks[-1].code += line + "\n"
    else:
        section.prose += MARK.sub("", line) + "\n"


def differences(original: str, translation: str) -> list[str]:
    """What differs between a page and its translation, each with the line of the translation.

    Compared are the levels of the headings, code, tables (their shapes and numbers), images, and in each section the
    numbers and the `code` of the text.
    """
    ours, theirs = read_sections(original), read_sections(translation)
    levels = [[section.level for section in page] for page in (ours, theirs)]
    if levels[0] != levels[1]:
        first = next(
            (i for i, pair in enumerate(zip(*levels, strict=False)) if pair[0] != pair[1]), min(map(len, levels))
        )
        places = [page[first].title if first < len(page) else "nothing" for page in (ours, theirs)]
        line = theirs[min(first, len(theirs) - 1)].line
        return [f"line {line}: the headings differ: {places[0]!r} in English, {places[1]!r} in Chinese"]
    return [line for pair in zip(ours, theirs, strict=True) for line in differences_of_sections(*pair)]


def differences_of_sections(ours: Section, theirs: Section) -> list[str]:
    found = differences_of_code(ours, theirs) + differences_of_tables(ours, theirs)
    counts = [(IMAGE, "images"), (SPAN, "`code`"), (NUMBER, "numbers")]
    for pattern, name in counts:
        words = [Counter(pattern.findall(f"{s.title}\n{s.prose}")) for s in (ours, theirs)]
        if pattern is SPAN:  # a name may be repeated in one language, and be "it" in the other
            words = [Counter(set(some)) for some in words]
        if pattern is IMAGE:
            words = [Counter(path.rpartition("/")[2] for path in some.elements()) for some in words]
        lacking, surplus = sorted((words[0] - words[1]).elements()), sorted((words[1] - words[0]).elements())
        if lacking or surplus:
            place = f"line {theirs.line}, section {theirs.title!r}"
            found.append(f"{place}: {name} of the text: only in English {lacking}, only in Chinese {surplus}")
    return found


def differences_of_code(ours: Section, theirs: Section) -> list[str]:
    kinds = [[block.language for block in section.blocks] for section in (ours, theirs)]
    if kinds[0] != kinds[1]:
        return [f"line {theirs.line}, section {theirs.title!r}: blocks of code: {kinds[0]} in English, {kinds[1]} here"]
    pairs = zip(ours.blocks, theirs.blocks, strict=True)
    return [f"line {new.line}: the code differs from the English page's" for old, new in pairs if not same(old, new)]


def same(ours: Block, theirs: Block) -> bool:
    """Whether the code is equal but for its comments; in other blocks, but for Chinese words at the end of a line."""
    if ours.language == "python":
        return ast.dump(ast.parse(ours.code)) == ast.dump(ast.parse(theirs.code))
    old, new = ours.code.splitlines(), theirs.code.splitlines()
    is_shell = ours.language in ("sh", "console")
    return len(old) == len(new) and all(same_line(*pair, is_shell=is_shell) for pair in zip(old, new, strict=True))


def same_line(ours: str, theirs: str, *, is_shell: bool) -> bool:
    han = HAN.search(theirs)
    if not han:
        return ours == theirs
    before = theirs[: han.start()]
    if is_shell:  # Chinese only in comments
        before, comment, _ = before.partition("# ")
        return bool(comment) and ours.partition("# ")[0].rstrip() == before.rstrip()
    return ours.startswith(before.rstrip())


def differences_of_tables(ours: Section, theirs: Section) -> list[str]:
    if len(ours.tables) != len(theirs.tables):
        counts = f"{len(ours.tables)} in English, {len(theirs.tables)} here"
        return [f"line {theirs.line}, section {theirs.title!r}: tables: {counts}"]
    found = []
    for old, new in zip(ours.tables, theirs.tables, strict=True):
        shapes = [[len(row) for row in table.rows] for table in (old, new)]
        if shapes[0] != shapes[1]:
            found.append(f"line {new.line}: the table's rows have {shapes[1]} cells, in English {shapes[0]}")
            continue
        for row, pair in enumerate(zip(old.rows, new.rows, strict=True)):
            found += differences_of_cells(new.line + row, *pair)
    return found


def differences_of_cells(line: int, ours: list[str], theirs: list[str]) -> list[str]:
    found = []
    for column, (old, new) in enumerate(zip(ours, theirs, strict=True), 1):
        for pattern in (NUMBER, SPAN):
            words = sorted(pattern.findall(old)), sorted(pattern.findall(new))
            if words[0] != words[1]:
                found.append(f"line {line}, column {column}: {words[1]}, in English {words[0]}")
    return found
