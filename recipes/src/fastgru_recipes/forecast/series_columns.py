"""The meaning of the columns of a table of series."""

from __future__ import annotations

from dataclasses import dataclass

from fastgru_recipes.forecast.regular_times import Fill


@dataclass(frozen=True)
class SeriesColumns:
    """Names of the columns with a meaning, and how times are read.

    Attributes:
        time: the column of times; empty if rows are numbered.
        series: the column of series names in a long table, which is optional; empty if that name means something else.
        targets: the column of values, or several columns of a wide table.
        covariates: columns known up to the present.
        known: columns known in advance.
        zone: the zone of times without one; empty if they are not local times.
        fill: what takes the place of missing rows and values.
    """

    time: str
    series: str
    targets: tuple[str, ...]
    covariates: tuple[str, ...]
    known: tuple[str, ...]
    zone: str = ""
    fill: Fill = "none"

    @property
    def values(self) -> list[str]:
        """All columns of numbers."""
        return [*self.targets, *self.covariates, *self.known]
