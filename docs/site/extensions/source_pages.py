"""Files of the repository as pages of the site, so that each link to one of them leads somewhere at the same version.

Pages link to tests, recipes and benchmarks by relative paths, as a code host needs it. Here such a link leads to a page
with the highlighted file, or with the files of a folder. A link to CHANGELOG.md and the like leads to a page of its
text, and one to README.md to the first page.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging

ROOT = Path(__file__).parents[3]
# Page of the site -> the file whose text it shows.
SHOWN = {"site/changes": "CHANGELOG.md", "site/contributing": "CONTRIBUTING.md", "site/security": "SECURITY.md"}
# File -> the page that links to it lead to.
PAGES = {file: page for page, file in SHOWN.items()} | {"README.md": "index", "docs/README.md": "index"}
# Page -> the pages of its folder that stand below it in the navigation.
BELOW = {"decisions/README": "0*", "zh/README": "*\ntutorials/*"}
LANGUAGES = {".py": "python", ".md": "markdown", ".cpp": "cpp", ".h": "cpp", ".json": "json"}
_LINK = re.compile(r"\]\((?!\w+:)([^)#\s]+)(#[^)\s]*)?\)")
_DEFINITION = re.compile(r"<span class=\"n[fc]\">(\w+)</span>")
_logger = logging.getLogger(__name__)


def rewritten(text: str, folder: str, docname: str) -> str:
    """The text of a page with its links to files outside docs/ in the form `source:PATH#NAME`.

    Args:
        text: the page, or the file that it shows.
        folder: where that text stands, from the root of the repository.
        docname: the page.

    Example:
        >>> rewritten("[a](../tests/test_docs.py#name) [b](onnx.md#x) [c](../CHANGELOG.md)", "docs", "deploy")
        '[a](source:tests/test_docs.py#name) [b](onnx.md#x) [c](site/changes.md)'
    """

    def new(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, match[1]))
        place = match[2] or ""
        if path in PAGES:
            place = "" if PAGES[path] == "index" else place
            return f"]({_relative(f'docs/{PAGES[path]}.md', docname)}{place})"
        if path.startswith("docs/"):
            return f"]({_relative(path, docname)}{place})"
        return f"](source:{path}{place})" if (ROOT / path).exists() else match[0]

    return _LINK.sub(new, text)


def _relative(path: str, docname: str) -> str:
    return posixpath.relpath(path, posixpath.dirname(f"docs/{docname}"))


def _read(app: Sphinx, docname: str, source: list[str]) -> None:
    folder = posixpath.dirname(f"docs/{docname}")
    if docname in SHOWN:
        file = ROOT / SHOWN[docname]
        app.env.note_dependency(str(file))
        source[0], folder = file.read_text(), "."
    if Path(app.env.doc2path(docname)).suffix != ".rst":
        source[0] = rewritten(source[0], folder, docname)
    if docname in BELOW:
        source[0] += f"\n\n:::{{toctree}}\n:hidden:\n:glob:\n\n{BELOW[docname]}\n:::\n"


def _resolve(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for reference in doctree.findall(nodes.reference):
        uri = reference.get("refuri", "")
        if not uri.startswith("source:"):
            continue
        path, _, name = uri.removeprefix("source:").partition("#")
        if name and not re.search(rf"^\s*(def|class) {name}\b", (ROOT / path).read_text(), re.MULTILINE):
            _logger.warning("%s has no function or class %r", path, name, location=reference)
        app.env.source_pages.setdefault(docname, set()).add(path)  # type: ignore[attr-defined]
        reference["refuri"] = app.builder.get_relative_uri(docname, f"source/{path}") + (name and f"#{name}")


def _pages(app: Sphinx) -> Iterator[tuple[str, dict[str, Any], str]]:
    linked = set().union(*app.env.source_pages.values())  # type: ignore[attr-defined]
    folders = {path for path in linked if (ROOT / path).is_dir()}
    files = linked - folders
    for folder in sorted(folders):
        inside = sorted(each for each in (ROOT / folder).iterdir() if each.suffix in LANGUAGES)
        files |= {each.relative_to(ROOT).as_posix() for each in inside}
        page = f"source/{folder}"
        uris = [(each.name, app.builder.get_relative_uri(page, f"source/{folder}/{each.name}")) for each in inside]
        items = "".join(f'<li><a href="{uri}"><code>{html.escape(name)}</code></a></li>' for name, uri in uris)
        yield page, _context(folder, f"<ul>{items}</ul>"), "page.html"
    for file in sorted(files):
        yield f"source/{file}", _context(file, _highlighted(app, ROOT / file)), "page.html"


def _highlighted(app: Sphinx, file: Path) -> str:
    """The file as HTML; definitions have their names as anchors."""
    language = LANGUAGES.get(file.suffix, "text")
    code = app.builder.highlighter.highlight_block(file.read_text(), language)  # type: ignore[attr-defined]
    return _DEFINITION.sub(r'<span class="nf" id="\1">\1</span>', code)


def _context(title: str, body: str) -> dict[str, Any]:
    return {"title": title, "body": f"<h1><code>{html.escape(title)}</code></h1>{body}"}


def _begin(app: Sphinx) -> None:
    if not hasattr(app.env, "source_pages"):
        app.env.source_pages = {}  # type: ignore[attr-defined]  (page -> the paths that it links to)


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the handlers of links and the pages."""
    app.connect("builder-inited", _begin)
    app.connect("source-read", _read)
    app.connect("doctree-resolved", _resolve)
    app.connect("html-collect-pages", _pages)
    return {"parallel_read_safe": False, "parallel_write_safe": False}
