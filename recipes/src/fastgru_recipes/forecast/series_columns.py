"""The meaning of the columns of a table of series."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from fastgru_recipes.forecast.regular_times import Fill

# When the values of a column are known: up to the present, in advance, or always, because a series has only one.
Known = Literal["past", "ahead", "static"]


class Categorical(NamedTuple):
    """A column of categories, and when they are known."""

    name: str
    known: Known


@dataclass(frozen=True)
class SeriesColumns:
    """Names of the columns with a meaning, and how times are read.

    Attributes:
        time: the column of times; empty if rows are numbered.
        series: the column of series names in a long table, which is optional; empty if that name means something else.
        targets: the column of values, or several columns of a wide table.
        covariates: columns of numbers known up to the present.
        known: columns of numbers known in advance.
        zone: the zone of times without one; empty if they are not local times.
        fill: what takes the place of missing rows and values.
        categorical: columns of categories.
    """

    time: str
    series: str
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    known: tuple[str, ...]
    zone: str = ""
    fill: Fill = "none"
    categorical: tuple[Categorical, ...] = ()

    @property
    def categories(self) -> list[str]:
        """The names of the columns of categories."""
        return [each.name for each in self.categorical]

    @property
    def values(self) -> list[str]:
        """All columns of numbers and categories."""
        return [*self.targets, *self.covariates, *self.known, *self.categories]

    @property
    def reach_ahead(self) -> bool:
        """Whether some columns are known in advance: then rows without a value at the end give the future."""
        return bool(self.known) or any(each.known == "ahead" for each in self.categorical)


def categorical(names: tuple[str, ...], covariates: tuple[str, ...], known: tuple[str, ...]) -> tuple[Categorical, ...]:
    """Columns of categories, which are static unless they are among `covariates` or `known` too.

    Example:
        >>> from fastgru_recipes.forecast.series_columns import categorical
        >>> [each.known for each in categorical(("shop", "weather", "holiday"), ("weather",), ("holiday",))]
        ['static', 'past', 'ahead']
    """
    kinds: list[Known] = ["past" if name in covariates else "ahead" if name in known else "static" for name in names]
    return tuple(Categorical(*each) for each in zip(names, kinds, strict=True))
