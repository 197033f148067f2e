"""The directive `command-tree`: every command of `fastgru` with its arguments and options, read from the program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command


class CommandTree(SphinxDirective):
    """Sections of all commands, in the order of the help."""

    def run(self) -> list[nodes.Node]:
        """The sections as nodes."""
        from fastgru.cli.commands import app

        text = "\n\n".join(described(get_command(app), "fastgru"))
        return self.parse_text_to_nodes(text, allow_section_headings=True)


def described(command: Any, name: str) -> Iterator[str]:
    """The Markdown of a command, then of those below it.

    Args:
        command: a command or group of click.
        name: how it is called, such as `fastgru train`.
    """
    context = command.make_context(name, [], resilient_parsing=True)
    yield f"## {name}\n\n{command.help or ''}"
    below = command.list_commands(context) if hasattr(command, "list_commands") else []
    usage = " ".join([name, *command.collect_usage_pieces(context)])
    yield f"```text\n{usage}\n```"
    yield from _tables(command, context)
    for each in below:
        if not getattr(inner := command.get_command(context, each), "hidden", False):
            yield from described(inner, f"{name} {each}")


def _tables(command: Any, context: Any) -> Iterator[str]:
    """A table of arguments, and one of options for each panel of the help."""
    panels: dict[str, list[str]] = {}
    for each in command.params:
        if getattr(each, "hidden", False) or (record := each.get_help_record(context)) is None:
            continue
        name, text = record
        panel = getattr(each, "rich_help_panel", None) or f"{each.param_type_name.capitalize()}s"
        panels.setdefault(panel, []).append(f"| `{_cell(name)}` | {_cell(text)} |")
    for panel, rows in panels.items():
        yield f"| {panel} | |\n|---|---|\n" + "\n".join(rows)


def _cell(text: str) -> str:
    r"""A text without what would end the cell of a table.

    Example:
        >>> print(_cell("none|mean"))
        none\|mean
    """
    return " ".join(text.split()).replace("|", "\\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Adds the directive."""
    app.add_directive("command-tree", CommandTree)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
