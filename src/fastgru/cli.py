"""The entry point of the command `fastgru`; the commands are in `fastgru.commands` and `fastgru.tasks.commands`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; one sentence and exit status 1 when its extra is missing."""
    try:
        import fastgru.commands
        import fastgru.tasks.commands  # noqa: F401  (both add their commands)
        from fastgru.console import app
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich"):
            raise
        sys.exit(f"The command fastgru needs {missing.name}, which is not installed. Run: pip install 'fastgru[cli]'")
    app()
