"""The options that a search tries, and the library that suggests the next ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fastgru.errors import ArgumentError, not_installed
from fastgru_recipes.recipe import Recipe

if TYPE_CHECKING:
    from types import ModuleType

Options = dict[str, Any]
LIBRARY, EXTRA = "optuna", "fastgru-recipes[auto]"
MOST_REPEATED = 50  # suggestions in a row that were tried before: there is hardly anything else to try


@dataclass(frozen=True)
class Space:
    """Choices for each option.

    Attributes:
        defaults: the values of the recipe.
        choices: for each option its values in increasing order, the default among them.
    """

    defaults: Options
    choices: Mapping[str, Sequence[Any]]

    @classmethod
    def of(cls, recipe: Recipe[Any], data: Any, given: Iterable[str]) -> Space:
        """The choices of a recipe that is resolved, without the options that are given.

        Raises:
            ArgumentError: if nothing is left to search.
        """
        named = {name: values for name, values in recipe.choices(data).items() if name not in {*given}}
        if not named:
            raise ArgumentError(f"all of {', '.join(recipe.choices(data))} are given: there is nothing to search.")
        defaults = {name: getattr(recipe, name) for name in named}
        choices = {name: sorted({*values, defaults[name]}) for name, values in named.items()}
        return cls(defaults, {name: values for name, values in choices.items() if len(values) > 1})

    def changed(self, options: Options) -> Options:
        """Those of the options that are not the defaults."""
        return {name: value for name, value in options.items() if value != self.defaults[name]}


def suggestions(space: Space, seed: int, higher_is_better: bool) -> Iterator[tuple[Options, Callable[[float], None]]]:
    """Options to try, first the defaults, each with a function that takes their score, NaN for none.

    Options that were tried before are not suggested again; it ends where little else is left.

    Raises:
        MissingExtra: if the library is not installed.
    """
    optuna = library()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if higher_is_better else "minimize"
    study = optuna.create_study(direction=direction, sampler=optuna.samplers.TPESampler(seed=seed))
    places = {name: optuna.distributions.IntDistribution(0, len(each) - 1) for name, each in space.choices.items()}
    study.enqueue_trial({name: space.choices[name].index(value) for name, value in space.defaults.items()})
    scores: dict[tuple[int, ...], float] = {}
    repeated = 0
    while repeated < MOST_REPEATED:
        trial = study.ask(places)
        at = tuple(trial.params.values())
        repeated = repeated + 1 if at in scores else 0
        if at not in scores:
            options = {name: space.choices[name][place] for name, place in trial.params.items()}
            yield options, lambda score, at=at: scores.__setitem__(at, score)  # type: ignore[misc]
        state = optuna.trial.TrialState
        has_failed = scores[at] != scores[at]
        study.tell(trial, None if has_failed else scores[at], state.FAIL if has_failed else state.COMPLETE)


def library() -> ModuleType:
    """Optuna, which is imported only for a search.

    Raises:
        MissingExtra: if it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise not_installed(LIBRARY, EXTRA, "a search for options") from error
    return optuna
