"""Notebooks as pages: cells of text as they are, cells of code with the outputs that are stored in the file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from docutils import nodes
from myst_parser.parsers.sphinx_ import MystParser
from sphinx.application import Sphinx


class NotebookParser(MystParser):
    """Reads a notebook as the Markdown that shows the same."""

    supported = ("notebook",)

    def parse(self, inputstring: str, document: nodes.document) -> None:
        """Adds the content of the notebook to the document."""
        super().parse(markdown(json.loads(inputstring)), document)


def markdown(notebook: Mapping[str, Any]) -> str:
    r"""The cells of a notebook as Markdown.

    Args:
        notebook: the content of an .ipynb file of format 4.

    Raises:
        ValueError: an output is not text that was printed. The message names its kind.

    Example:
        >>> code = {"cell_type": "code", "source": ["1\n"], "outputs": []}
        >>> print(markdown({"cells": [{"cell_type": "markdown", "source": ["# Title"]}, code]}))
        # Title
        <BLANKLINE>
        ```python
        1
        ```
    """
    return "\n\n".join(part for cell in notebook["cells"] for part in _parts(cell))


def _parts(cell: Mapping[str, Any]) -> Iterator[str]:
    text = "".join(cell["source"]).strip("\n")
    if cell["cell_type"] != "code":
        yield text
        return
    yield f"```python\n{text}\n```"
    for output in cell["outputs"]:
        if output["output_type"] != "stream":
            raise ValueError(f"a cell has an output of the kind {output['output_type']!r}. Expected printed text.")
        yield f"```{{code-block}} text\n:class: output\n\n{''.join(output['text']).strip()}\n```"


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the parser."""
    app.add_source_suffix(".ipynb", "notebook")
    app.add_source_parser(NotebookParser)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
