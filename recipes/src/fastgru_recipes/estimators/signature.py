"""The constructors of the estimators, made from the fields of the recipes."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

from fastgru_recipes.recipe import Recipe

RANDOM_STATE = "random_state"  # scikit-learn's name of the option `seed`
# Options that take more in Python than on the command line.
IN_PYTHON = {
    "class_weight": "str | Mapping[Any, float] | None",
    RANDOM_STATE: "int | np.random.RandomState | None",
}
HELP = {RANDOM_STATE: "Seed of weights, batches and dropout, or a RandomState; None: another result each time."}


class Parameter(NamedTuple):
    """An option of a recipe as a parameter of its estimator.

    Attributes:
        name: its name.
        kind: its type, as it is written in a signature.
        default: its default.
        help: what it means.
    """

    name: str
    kind: str
    default: Any
    help: str


def parameter(option: str) -> str:
    """The name of a recipe's option among the parameters of its estimator.

    Example:
        >>> from fastgru_recipes.estimators.signature import parameter
        >>> parameter("hidden"), parameter("seed")
        ('hidden', 'random_state')
    """
    return RANDOM_STATE if option == "seed" else option


def parameters(recipe: type[Recipe[Any]]) -> list[Parameter]:
    """The parameters of the estimator of a recipe, in the order of its fields."""
    hints, found = get_type_hints(recipe), []
    for each in fields(recipe):
        name = parameter(each.name)
        kind = IN_PYTHON.get(name) or _type_name(hints[each.name])
        found.append(Parameter(name, kind, each.default, HELP.get(name) or each.metadata["help"]))
    return found


def _type_name(hint: Any) -> str:
    """The type of an option as Python takes it: a tuple may be any sequence, or a text with commas."""
    if get_origin(hint) is tuple:
        return f"str | Sequence[{get_args(hint)[0].__name__}]"
    return f"Literal[{', '.join(map(repr, get_args(hint)))}]" if get_args(hint) else str(hint.__name__)


def constructor(recipe: type[Recipe[Any]]) -> Any:
    """An `__init__` that stores the recipe's options unchecked: by scikit-learn's convention `fit` checks them."""
    known = parameters(recipe)
    defaults = {each.name: each.default for each in known}

    def __init__(self: Any, **options: Any) -> None:  # noqa: N807
        unknown = [name for name in options if name not in defaults]
        if unknown:
            renamed = f" It is called {parameter(unknown[0])} here." if parameter(unknown[0]) in defaults else ""
            told = f"has no option {unknown[0]!r}.{renamed} Options: {', '.join(defaults)}."
            raise TypeError(f"{type(self).__name__} {told}")
        self.__dict__.update({**defaults, **options})

    keyword = inspect.Parameter.KEYWORD_ONLY
    own = [inspect.Parameter(each.name, keyword, default=each.default, annotation=each.kind) for each in known]
    signature = inspect.Signature([inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD), *own])
    __init__.__signature__ = signature  # type: ignore[attr-defined]
    helps = [f"    {each.name}: {each.help} Default: {each.default!r}." for each in known]
    __init__.__doc__ = "\n".join(["All options are keyword arguments; `fit` checks them.", "", "Args:", *helps])
    return __init__
