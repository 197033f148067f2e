"""Comparison of an earlier and a later run of the benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastgru.bench.cases import Case
from fastgru.bench.records import Record
from fastgru.bench.summaries import geometric_mean

# Facts that must be the same, so that a change of times is due to our code.
_SAME = ("processor", "cores", "level", "torch")


@dataclass(frozen=True)
class CellChange:
    """The change of one cell; a factor of 1 means no change.

    Attributes:
        case: the cell.
        ratio: the later ratio to torch divided by the earlier one; higher is better.
        time: our later time divided by the earlier one; lower is better.
    """

    case: Case
    ratio: float
    time: float


@dataclass(frozen=True)
class RecordComparison:
    """The changes from an earlier run to a later one.

    Attributes:
        changes: the changes of the cells of both runs, in the order of the later one.
        only_earlier: cells that only the earlier run has.
        only_later: cells that only the later run has.
        differences: facts that differ between the runs, each with its earlier and later value.
    """

    changes: Sequence[CellChange]
    only_earlier: Sequence[Case]
    only_later: Sequence[Case]
    differences: Sequence[tuple[str, object, object]]

    @property
    def ratio(self) -> float:
        """Geometric mean of the changes of ratios; 1 if there are none."""
        return geometric_mean(change.ratio for change in self.changes) if self.changes else 1.0

    @property
    def time(self) -> float:
        """Geometric mean of the changes of our times; 1 if there are none."""
        return geometric_mean(change.time for change in self.changes) if self.changes else 1.0


def compare(earlier: Record, later: Record) -> RecordComparison:
    """Compares two runs cell by cell.

    Example:
        >>> from fastgru.bench import Case, Figure, Record, compare
        >>> before = Record({}, None, [Figure(Case(1, 100, 8), 6.0, 3.0, 2.0, 0.0, 5)])
        >>> after = Record({}, None, [Figure(Case(1, 100, 8), 6.0, 1.5, 4.0, 0.0, 5)])
        >>> compare(before, after).changes[0].ratio
        2.0
    """
    old = {figure.case: figure for figure in earlier.figures}
    new = {figure.case: figure for figure in later.figures}
    return RecordComparison(
        [
            CellChange(case, new[case].ratio / old[case].ratio, new[case].fastgru_ms / old[case].fastgru_ms)
            for case in new
            if case in old
        ],
        [case for case in old if case not in new],
        [case for case in new if case not in old],
        [
            (key, earlier.machine.get(key), later.machine.get(key))
            for key in _SAME
            if earlier.machine.get(key) != later.machine.get(key)
        ],
    )
