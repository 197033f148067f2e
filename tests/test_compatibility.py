"""The table of docs/compatibility.md: each cell is the current result."""

from __future__ import annotations

import pytest

from compatibility import CAPABILITIES, OURS, STOCK, measure
from compatibility.registry import NO, NOT_RUN, ROOT
from compatibility.table import cells, committed, defines, link, same, word_of

AGAIN = "scripts/compatibility writes the table anew"
CHECKED = [
    pytest.param(one, id=one.name, marks=[pytest.mark.slow] if one.is_slow else [])
    for one in CAPABILITIES
    if one.check is not None
]


@pytest.mark.parametrize("one", CHECKED)
@pytest.mark.parametrize(
    "library",
    [pytest.param(STOCK, marks=pytest.mark.slow, id=STOCK.name), pytest.param(OURS, id=OURS.name)],  # torch is pinned
)
def test_a_row_is_what_happens(one, library):
    entry = measure(one, library)
    told = committed()[one.title][0 if library is STOCK else 1]
    assert same(word_of(entry), told), f"the table says {told}; measured: {entry}; {AGAIN}"


def test_the_table_has_every_row_and_no_other():
    titles = [one.title for one in CAPABILITIES]
    assert list(committed()) == titles, AGAIN
    assert len(set(titles)) == len(titles)
    assert len({one.name for one in CAPABILITIES}) == len(titles)


@pytest.mark.parametrize("one", CAPABILITIES, ids=lambda one: one.name)
def test_a_yes_points_to_a_test_that_exists(one):
    assert defines(ROOT / one.path, one.name)
    for text in cells()[one.title]:
        assert link(text) == (one.node if "yes" in text else None), AGAIN


def test_what_ours_cannot_is_known():
    """Who adds to these lines has found no way; who takes one away has."""
    assert {one.name for one in CAPABILITIES if committed()[one.title][1] == NO} == {
        "compiles_packing",
        "onnx_takes_resets",
        "is_quantized_by_itself",
        "packed_with_an_empty_sequence",
    }


def test_only_what_needs_a_gpu_was_not_run():
    left_out = [one for one in CAPABILITIES if NOT_RUN in committed()[one.title]]
    assert {one.path for one in left_out} <= {"tests/compatibility/gpu.py"}
