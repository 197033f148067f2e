"""Commands with an option for each field of a recipe's dataclass."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, get_type_hints

import typer

from fastgru_recipes.cli.declared_options import DeclaredOption, declared

FILES, TRAINING = "Format of the files", "Network and training"
PANELS = {"TextOptions": FILES, "TableOptions": FILES, "Recipe": TRAINING}  # of the classes that declare options


def add_options(command: Callable[..., None], recipe: str) -> Callable[..., None]:
    """Gives a command, in the place of its `**options`, an option for each field of a recipe."""
    own = [each for each in inspect.signature(command).parameters.values() if each.kind is not each.VAR_KEYWORD]
    hints = get_type_hints(command, include_extras=True)
    flags = sorted((_flag(each, recipe) for each in declared(recipe)), key=lambda pair: pair[0])
    parameters = [each.replace(annotation=hints[each.name], kind=each.KEYWORD_ONLY) for each in own]
    parameters += [flag for _, flag in flags]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _flag(each: DeclaredOption, recipe: str) -> tuple[int, inspect.Parameter]:
    """The place of an option's panel, and the option."""
    panel = PANELS.get(each.owner, recipe.capitalize())
    default = each.default
    kind: Any = each.kind
    if kind is tuple:  # as one comma-separated string
        kind, default = str, ",".join(map(str, default))
    bounds: dict[str, Any] = (
        {"min": each.least, "max": each.most} if kind in (int, float, int | None, float | None) else {}
    )
    described: Any = Annotated[kind, typer.Option(help=each.help, rich_help_panel=panel, **bounds)]
    place = [recipe.capitalize(), FILES, TRAINING].index(panel)
    return place, inspect.Parameter(each.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=described)
