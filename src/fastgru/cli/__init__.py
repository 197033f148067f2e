"""The command `fastgru`. Importing this module needs neither typer nor rich."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable

from fastgru.cli import interruption


def main() -> None:
    """Runs the command line. If its extra is missing, prints a message and exits with status 1.

    Ctrl-C ends it at once, except for trainings, which stop after the current batch.
    """
    if not interruption.is_first_process():
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # Ctrl-C reaches all processes; the first one ends the others and prints the reason
        interruption.end_with_parent()
    with interruption.ends_at_once():
        _application()()


def _application() -> Callable[[], None]:
    try:
        import fastgru.cli.commands  # noqa: F401  (adds all commands)
        from fastgru.cli.console import run
    except ModuleNotFoundError as missing:
        if missing.name not in ("typer", "rich"):
            raise
        sys.exit(f"The command fastgru needs {missing.name}, which is not installed. Run: pip install 'fastgru[cli]'")
    return run
