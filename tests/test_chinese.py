"""The Chinese pages say what the English ones say: same headings, code, tables, images and numbers."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from page_pairs import HAN, LINK, differences, read_sections

ROOT = Path(__file__).parent.parent
CHINESE = ROOT / "docs/zh"

# The English page of each Chinese one, from the root.
PAIRS = {
    "README.md": "README.md",
    "deploy.md": "docs/deploy.md",
    "equations.md": "docs/equations.md",
    "learning.md": "docs/learning.md",
    "sequences.md": "docs/sequences.md",
    "start.md": "docs/site/start.md",
    "streaming.md": "docs/streaming.md",
    "tasks.md": "docs/tasks.md",
    "training.md": "docs/training.md",
    "tutorials/classify.md": "docs/tutorials/classify.md",
    "tutorials/forecast.md": "docs/tutorials/forecast.md",
    "tutorials/generate.md": "docs/tutorials/generate.md",
    "tutorials/tag.md": "docs/tutorials/tag.md",
    "tutorials/translate.md": "docs/tutorials/translate.md",
}

PAGE = """# Title

Text with `code` and 3.5 of 1,000.

```python
x = 1  # one
```

    h = 1        above

## Part

![plot](plots/a.png)

| a | b |
|---|---|
| 1 | `t` |
"""
TRANSLATION = PAGE.translate(str.maketrans({"T": "标", "P": "部"})).replace("above", "同上").replace("# one", "# 一")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("## ", "### ", "line 11: the headings differ: 'Part' in English, '部art' in Chinese"),
        ("\n## 部art\n", "", "line 1: the headings differ: 'Part' in English, 'nothing' in Chinese"),
        ("x = 1", "x = 2", "line 5: the code differs"),
        ("```python", "```text", "line 1, section '标itle': blocks of code"),
        ("h = 1", "h = 2", "line 9: the code differs"),
        ("a.png", "b.png", "section '部art': images of the text: only in English ['a.png']"),
        ("`code`", "code", "section '标itle': `code` of the text: only in English ['`code`']"),
        ("3.5", "3.6", "section '标itle': numbers of the text: only in English ['3.5'], only in Chinese ['3.6']"),
        ("| 1 |", "| 2 |", "line 17, column 1: ['2'], in English ['1']"),
        ("| `t` |", "| `u` |", "line 17, column 2: ['`u`'], in English ['`t`']"),
        ("| a | b |", "| a |", "line 15: the table's rows have [1, 2, 2] cells"),
    ],
)
def test_a_difference_is_found_and_placed(old, new, message):
    assert old in TRANSLATION
    found = differences(PAGE, TRANSLATION.replace(old, new))
    assert any(message in line for line in found), found


def test_a_faithful_translation_has_no_differences():
    assert differences(PAGE, TRANSLATION) == []


def test_code_hidden_behind_chinese_is_found():
    english = "```sh\nmake all  # all\n```\n"
    assert differences(english, english.replace("# all", "# 全部")) == []
    assert differences(english, english.replace("all  # all", "全部")) != []


def test_every_chinese_page_has_its_english_page():
    pages = {page.relative_to(CHINESE).as_posix() for page in CHINESE.rglob("*.md")}
    assert pages == set(PAIRS), "add the page to PAIRS, or its file to docs/zh"


@pytest.mark.parametrize("page", PAIRS)
def test_a_chinese_page_is_in_step_with_its_english_page(page):
    found = differences((ROOT / PAIRS[page]).read_text(), (CHINESE / page).read_text())
    assert found == [], "\n".join(["", f"docs/zh/{page} against {PAIRS[page]}:", *found])


@pytest.mark.parametrize("page", PAIRS)
def test_a_chinese_page_links_to_chinese_pages(page):
    """A link leads to the Chinese page where there is one, and an anchor on such a page exists."""
    english = {(ROOT / path).resolve() for path in PAIRS.values()}
    wrong = []
    for link in LINK.findall((CHINESE / page).read_text()):
        path, _, anchor = link.partition("#")
        target = (CHINESE / page).parent.joinpath(path).resolve() if path else CHINESE / page
        if ":" in path or target.suffix != ".md":
            continue
        is_own_original = target == (ROOT / PAIRS[page]).resolve()  # "this page in English"
        if target in english and not is_own_original:
            wrong.append(f"{link}: there is a Chinese page")
        if anchor and anchor not in anchors(target.read_text()):
            wrong.append(f"{link}: no such heading")
    assert wrong == []


def anchors(text: str) -> set[str]:
    """The anchors that the code host makes of the headings."""
    titles = (re.sub(r"[^\w\- ]", "", section.title.lower()) for section in read_sections(text))
    return {title.replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAIRS)
def test_chinese_is_set_in_one_way(page):
    """A space between Chinese and Latin letters, digits or code; full-width punctuation after Chinese."""
    wrong = []
    for section in read_sections((CHINESE / page).read_text()):
        cells = [cell for table in section.tables for row in table.rows for cell in row]
        for line in [section.title, *section.prose.splitlines(), *cells]:
            wrong += misset(line)
    assert wrong == []


IDEOGRAPH = r"[\u3400-\u9fff]"
WIDE = r"[\uff0c\u3002\uff1b\uff1a\uff1f\uff01\u3001]"  # full-width punctuation
NARROW = r"[,;:!?.](?![A-Za-z0-9])"
LATIN = r"[A-Za-z0-9`]"
MISSET = re.compile(
    rf"{IDEOGRAPH}{LATIN}|{IDEOGRAPH}\(|{LATIN}{IDEOGRAPH}|\){IDEOGRAPH}|{IDEOGRAPH} ?{NARROW}|{WIDE} | {WIDE}"
)
EMPHASIS = re.compile(r"(\*+)[^*\s][^*]*\1")
UNCLOSED = re.compile(rf"{WIDE}\*+$")


def misset(line: str) -> list[str]:
    """The places of a line that are not set like the others.

    Stars after a full stop close nothing in Markdown if a word follows at once: they would be shown.
    """
    words = re.sub(r"!?\[|\]\([^)]*\)|\*\*", "", line)  # without the marks of links and images
    found = [words[max(0, place.start() - 8) : place.end() + 8] for place in MISSET.finditer(words)]
    stars = [mark for mark in EMPHASIS.finditer(line) if UNCLOSED.search(mark[0])]
    return found + [mark[0] for mark in stars if line[mark.end() : mark.end() + 1].isalnum()]


@pytest.mark.parametrize(
    ("line", "is_wrong"),
    [
        ("用 `GRU` 训练，再用 CPU 推理。", False),
        ("用`GRU` 训练", True),
        ("用 CPU推理", True),
        ("训练,推理", True),
        ("训练， 推理", True),
        ("见[公式](equations.md)，**先训练**。再推理", False),
        ("**先训练。**再推理", True),
        ("一个：*强调*，和 **另一个：**", False),
    ],
)
def test_a_misset_line_is_found(line, is_wrong):
    assert bool(misset(line)) is is_wrong


@pytest.mark.parametrize("page", PAIRS)
def test_a_chinese_page_is_chinese(page):
    """Every section with text has Chinese in it, so a page that was copied and not translated fails."""
    sections = read_sections((CHINESE / page).read_text())
    assert [section.title for section in sections if section.prose.strip() and not HAN.search(section.prose)] == []
