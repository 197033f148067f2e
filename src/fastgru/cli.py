"""The entry point of the command `fastgru`; the commands themselves are in `fastgru.commands`."""

from __future__ import annotations

import sys


def main() -> None:
    """Runs the command line; one sentence and exit status 1 when its extra is missing."""
    try:
        from fastgru.commands import app
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich"):
            raise
        sys.exit(f"The command fastgru needs {missing.name}, which is not installed. Run: pip install 'fastgru[cli]'")
    app()
