"""The tables that the recipes' commands print: scores, parameters and training times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isnan
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from rich.table import Column, Table

if TYPE_CHECKING:
    import pandas as pd

    from fastgru_recipes.cli.run_examples import Outcome, Result
    from fastgru_recipes.training.run_directory import Trained

UNDEFINED = (
    "MASE divides by the error of the seasonal naive forecast. It is undefined (nan) for a series that repeats "
    "exactly, and means exclude such a series."
)
LAYER_NAMES = {"fastgru": "fastgru.GRU", "torch": "torch.nn.GRU", "lstm": "torch.nn.LSTM"}


def scores_table(figures: Mapping[str, float], of: str, title: str | None = None) -> Table:
    """A table with one row for each score; `of` is the title of the column."""
    table = Table("", of, title=title, caption=_note([figures]))
    for name, value in figures.items():
        table.add_row(name, f"{value:.4g}")
    return table


def _note(scores: Sequence[Mapping[str, float]]) -> str | None:
    """The caption of a table with a score that is undefined for a series."""
    is_undefined = any("series_without_MASE" in each or isnan(each.get("MASE", 0.0)) for each in scores)
    return UNDEFINED if is_undefined else None


def run_table(trained: Trained, directory: str) -> Table:
    """The scores, epochs, parameters and seconds of a finished run."""
    metrics = trained.metrics
    table = scores_table(
        metrics["scores"], f"on the {metrics['scored_on']} part", f"{trained.recipe.name} in {directory}"
    )
    add_baselines(table, trained.recipe.metric, metrics.get("baselines", {}))
    table.add_section()
    table.add_row("epochs", str(len(trained.history)))
    table.add_row("optimizer steps", f"{metrics.get('steps', 0):,}")
    if "retrained_on" in metrics:
        table.add_row("trained again on all examples", f"{metrics['retrained_on']:,}")
    table.add_row("parameters", f"{metrics['parameters']:,}")
    table.add_row(f"seconds of training on layer {trained.recipe.layer}", f"{metrics['training_seconds']:.1f}")
    return table


def add_baselines(table: Table, metric: str, baselines: Mapping[str, Mapping[str, float]]) -> None:
    """Adds a row for the score of each baseline."""
    for name, scores in baselines.items():
        table.add_row(f"{metric} of {name}", f"{scores[metric]:.4g}")


def figures_table(found: pd.DataFrame, title: str, most: int) -> Table:
    """A table of figures whose first column names the rows; of more than `most` rows evenly spaced ones."""
    rows = sorted({round(place * (len(found) - 1) / max(1, most - 1)) for place in range(min(most, len(found)))})
    if len(found) <= most:
        rows = [*range(len(found))]
    title = title if len(rows) == len(found) else f"{title} ({len(rows)} of {len(found)}; --json has all)"
    table = Table(
        *(Column(name, justify="left" if place == 0 else "right") for place, name in enumerate(found)), title=title
    )
    for row in found.iloc[rows].itertuples(index=False):
        table.add_row(str(row[0]), *(f"{value:.3g}" for value in row[1:]))
    return table


def baselines_table(outcome: Outcome) -> Table:
    """The result of an example next to its baselines."""
    best = "higher" if outcome.recipe.higher_is_better else "lower"
    others = [name for name in outcome.results[0].scores if name != outcome.metric]
    caption = _note([*outcome.baselines.values(), *(result.scores for result in outcome.results)])
    table = Table("", f"{outcome.metric} ({best} is better)", *others, "training, seconds", caption=caption)
    for baseline, scores in outcome.baselines.items():
        shown = (f"{scores[name]:.4g}" if name in scores else "" for name in (outcome.metric, *others))
        table.add_row(baseline, *shown)
    table.add_section()
    for result in outcome.results:
        figures = [f"{result.scores[name]:.4g}" for name in others]
        table.add_row(LAYER_NAMES[result.layer], f"[bold]{result.score:.4g}[/bold]", *figures, f"{result.seconds:.1f}")
    return table


def examples_table(outcomes: Sequence[Outcome]) -> Table:
    """A table of all examples, each with the best of its baselines."""
    table = Table(
        *("recipe", "data", Column("metric", no_wrap=True), "best baseline"),
        *("fastgru.GRU", "torch.nn.GRU", "seconds", "of torch", "ratio"),
    )
    for outcome in outcomes:
        ours, *others = outcome.results
        name, score = outcome.best_baseline
        arrow = "↑" if outcome.recipe.higher_is_better else "↓"
        row = [
            outcome.recipe.name,
            outcome.data,
            f"{outcome.metric} {arrow}",
            f"{score:.4g} ({name})",
            f"{ours.score:.4g}",
        ]
        for stock in others:
            row += [
                f"{stock.score:.4g}",
                f"{ours.seconds:.1f}",
                f"{stock.seconds:.1f}",
                f"{stock.seconds / ours.seconds:.1f}",
            ]
        table.add_row(*(row if others else [*row, "", f"{ours.seconds:.1f}"]))
    return table


def comparison_table(results: Sequence[Result], metric: str) -> Table:
    """A table of alternating runs of ours and of another layer, with the means and their ratios."""
    columns = ("", "parameters of the layers", "of the network", "training, seconds", metric)
    table = Table(*columns, caption=_note([result.scores for result in results]))
    for result in results:
        table.add_row(LAYER_NAMES[result.layer], *_figures(result))
    ours, other = results[0::2], results[1::2]
    table.add_section()
    if len(ours) > 1:
        for runs in (ours, other):
            spread = f" ± {pstdev(run.score for run in runs):.2g}"
            table.add_row(f"mean of {len(runs)} {LAYER_NAMES[runs[0].layer]}", *_figures(_mean(runs), spread))
    one, two = _mean(ours), _mean(other)
    ratios = (one.recurrent / two.recurrent, one.parameters / two.parameters, one.seconds / two.seconds)
    difference = f"{one.score - two.score:+.2g}"
    table.add_row("ratio, and difference of scores", *(f"{ratio:.2f}" for ratio in ratios), difference)
    return table


def _figures(result: Result, spread: str = "") -> tuple[str, str, str, str]:
    score = f"{result.score:.4g}{spread}"
    return f"{result.recurrent:,}", f"{result.parameters:,}", f"{result.seconds:.1f}", score


def _mean(results: Sequence[Result]) -> Result:
    return replace(results[0], score=fmean(r.score for r in results), seconds=fmean(r.seconds for r in results))
