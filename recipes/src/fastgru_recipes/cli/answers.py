"""Tables of predictions and forecasts as CSV or JSON lines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from fastgru.atomic_files import atomic_write
from fastgru_recipes.cli.console import write


def check_output(out: Path | None) -> None:
    """Raises if the directory of a file to write is not there. Called before any work is done."""
    if out is not None and out.absolute().parent.is_file():
        raise NotADirectoryError(f"{out}: {out.parent} is a file. Choose a place in a directory.")
    if out is not None and not out.absolute().parent.is_dir():
        raise FileNotFoundError(f"{out}: there is no directory {out.parent}. Create it first.")


def write_table(table: pd.DataFrame, out: Path | None, as_json: bool) -> None:
    """Writes a table to a file, atomically, or to the standard output."""
    options: dict[str, Any] = {"orient": "records", "lines": True, "force_ascii": False, "date_format": "iso"}
    content = table.to_json(**options) if as_json else table.to_csv(index=False)
    if out is None:
        write(content)
        return
    with atomic_write(out) as partial:
        partial.write_text(content, encoding="utf-8", newline="")
