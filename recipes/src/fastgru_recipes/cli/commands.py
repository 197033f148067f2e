"""The commands of `fastgru` that train and use recipes.

Recipes import torch and Lightning, which takes seconds, so they are imported only when a command works. Help and shell
completion read the options of recipes from their source (`declared_options.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import typer

from fastgru.cli.console import EXTRAS as KNOWN_EXTRAS
from fastgru_recipes.cli import (
    backtest_command,
    evaluate_command,
    example_commands,
    export_command,
    runs_command,
    train_command,
    use_commands,
)
from fastgru_recipes.cli.console import EXTRAS, examples_text

PANEL = "Recipes"
EXAMPLES: dict[Callable[..., None], tuple[str, ...]] = {
    use_commands.predict: (
        "fastgru predict run --data unlabelled.csv --out answers.csv",
        "fastgru predict run 'so good'",
        "cut -f 2 rows.tsv | fastgru predict run --data - --json",
    ),
    use_commands.generate: ("fastgru generate run --prompt 'In the beginning' --length 200",),
    evaluate_command.evaluate: ("fastgru evaluate run --data others.csv --json",),
    export_command.export: ("fastgru export run --to model.safetensors", "fastgru export run --format onnx"),
    example_commands.example: ("fastgru example forecast", "fastgru example classify languages --full"),
    example_commands.examples: ("fastgru examples --no-stock",),
    example_commands.compare: ("fastgru compare lstm --recipe tag --data mine.conll --seeds 3",),
    runs_command.runs: ("fastgru runs experiments",),
}

app = typer.Typer()
app.add_typer(train_command.app, name="train", rich_help_panel=PANEL)
app.add_typer(backtest_command.app, name="backtest", rich_help_panel=PANEL)
for _function, _lines in EXAMPLES.items():
    app.command(epilog=examples_text(_lines), rich_help_panel=PANEL)(_function)


def add_commands(to: typer.Typer) -> None:
    """Adds the commands to those of `fastgru`, and their requirements to `fastgru info`."""
    KNOWN_EXTRAS.update(EXTRAS)
    to.add_typer(app)
