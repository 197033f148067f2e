"""Two runs of the benchmark, an earlier and a later one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fastgru.bench.cases import Case
from fastgru.bench.records import Record
from fastgru.bench.summaries import geometric_mean

# What must be the same for a comparison of times to be about our code.
_SAME = ("processor", "cores", "level", "torch")


@dataclass(frozen=True)
class CellChange:
    """What became of one cell; 1 is no change.

    Attributes:
        case: the cell.
        ratio: later ratio to torch over the earlier one; more is better.
        time: our later time over the earlier one; less is better.
    """

    case: Case
    ratio: float
    time: float


@dataclass(frozen=True)
class RecordComparison:
    """What changed from an earlier run to a later one.

    Attributes:
        changes: of the cells that both have, in the order of the later run.
        only_earlier: cells that only the earlier run has.
        only_later: cells that only the later run has.
        differences: what the runs did not have in common, each with its earlier and later value.
    """

    changes: Sequence[CellChange]
    only_earlier: Sequence[Case]
    only_later: Sequence[Case]
    differences: Sequence[tuple[str, object, object]]

    @property
    def ratio(self) -> float:
        """Geometric mean of the changes of ratios; 1 where there are none."""
        return geometric_mean(change.ratio for change in self.changes) if self.changes else 1.0

    @property
    def time(self) -> float:
        """Geometric mean of the changes of our times; 1 where there are none."""
        return geometric_mean(change.time for change in self.changes) if self.changes else 1.0


def compare(earlier: Record, later: Record) -> RecordComparison:
    """Cell by cell.

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
