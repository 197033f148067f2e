"""Runs of the example data: training, scores of baselines, and comparison with torch's layers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from fastgru.errors import ArgumentError
from fastgru_recipes import RECIPES, recipe_class
from fastgru_recipes.example_sets import ExampleSet, Parts, sets
from fastgru_recipes.recipe import Recipe
from fastgru_recipes.training.run_directory import Trained
from fastgru_recipes.training.train import train

ALLOWANCE = 0.02  # of the score of a baseline: another seed makes as much difference


@dataclass(frozen=True)
class Result:
    """The result of one training run.

    Attributes:
        layer: "fastgru", "torch" or "lstm".
        score: the metric on the test part.
        seconds: the training time.
        parameters: the number of parameters of the network.
        recurrent: the number of parameters of its recurrent layers.
        scores: all scores of the recipe, by name.
    """

    layer: str
    score: float
    seconds: float
    parameters: int
    recurrent: int
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The result of an example.

    Attributes:
        recipe: the recipe with its options.
        data: the name of the example set.
        metric: the score that is compared.
        baselines: the scores of each baseline, by name.
        results: the result of each layer.
    """

    recipe: Recipe[Any]
    data: str
    metric: str
    baselines: Mapping[str, Mapping[str, float]]
    results: tuple[Result, ...]

    @property
    def best_baseline(self) -> tuple[str, float]:
        """The name and the score of the best baseline."""
        choose = max if self.recipe.higher_is_better else min
        judged = {name: scores[self.metric] for name, scores in self.baselines.items()}
        return choose(judged.items(), key=lambda item: item[1])

    @property
    def keeps_up(self) -> bool:
        """Whether the first result is better than every baseline, or at most a fiftieth worse."""
        ours, (_, best) = self.results[0].score, self.best_baseline
        return self.beats_baselines or abs(ours - best) <= ALLOWANCE * abs(best)

    @property
    def beats_baselines(self) -> bool:
        """Whether the first result is better than every baseline."""
        ours, (_, best) = self.results[0].score, self.best_baseline
        return ours > best if self.recipe.higher_is_better else ours < best


def find_set(recipe: str, name: str | None) -> ExampleSet:
    """The example set of that name, or the recipe's first one."""
    recipe_class(recipe)  # raises for an unknown recipe
    known = {each.name: each for each in sets(recipe)}
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise ArgumentError(f"recipe {recipe} has no example {name!r}. Known: {', '.join(known)}.")
    return known[name]


def packaged_examples() -> Iterator[tuple[str, ExampleSet]]:
    """All examples whose data come with this package and its extra `examples`, each with its recipe's name."""
    for recipe in RECIPES:
        yield from ((recipe, each) for each in sets(recipe) if each.is_packaged)


def configured(recipe: str, example: ExampleSet, full: bool = False, **options: Any) -> Recipe[Any]:
    """The recipe with the options of an example; `options` override them."""
    settings = {**example.options, **(example.full_options if full else {}), **options}
    return recipe_class(recipe)(**settings)


def train_once(
    recipe: Recipe[Any], parts: Parts, metric: str, directory: Path | None = None, progress: bool = False
) -> tuple[Result, Trained]:
    """Trains once on the parts of an example or of a user's data."""
    trained = train(
        recipe, parts.training, validation=parts.validation, test=parts.test, directory=directory, progress=progress
    )
    metrics = trained.metrics
    sizes = metrics["parameters"], metrics["recurrent_parameters"]
    scores = metrics["scores"]
    return Result(recipe.layer, scores[metric], metrics["training_seconds"], *sizes, scores), trained


def run_example(
    recipe: Recipe[Any],
    example: ExampleSet,
    layers: tuple[str, ...],
    full: bool = False,
    directory: Path | None = None,
    progress: bool = False,
) -> Outcome:
    """Runs an example with one layer after another, all else equal.

    Args:
        recipe: the result of `configured`.
        example: the example set.
        layers: the layers. The first one is compared with the baselines and kept in `directory`.
        full: use all of the data.
        directory: the run directory to make. Default: nothing is kept.
        progress: show progress bars.
    """
    parts = example.load(recipe, full)
    recipe = recipe.resolved(parts.training)
    metric = example.metric or recipe.metric
    results = []
    for layer in layers:
        place = directory if layer == layers[0] else None
        result, _ = train_once(replace(recipe, layer=layer), parts, metric, place, progress)  # type: ignore[arg-type]
        results.append(result)
    return Outcome(recipe, example.name, metric, example.baselines(recipe, parts), tuple(results))


def facts(outcome: Outcome) -> dict[str, Any]:
    """The result of an example as JSON can hold it."""
    return {
        "recipe": outcome.recipe.name,
        "data": outcome.data,
        "metric": outcome.metric,
        "baselines": {name: dict(scores) for name, scores in outcome.baselines.items()},
        "runs": [asdict(result) for result in outcome.results],
        "beats_baselines": outcome.beats_baselines,
    }
