"""Error messages."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pack_sequence

from compatibility.models import layer_and_input
from compatibility.registry import Library, capability, proved_by

HEADING = "Errors"


def refuses(library: Library, words: str, **sequences: Any) -> None:
    """A call with these lengths or resets raises what torch raises for bad values, and says what was wrong."""
    layer, x = layer_and_input(library)
    is_refused(lambda: layer(x, **sequences), words)


def is_refused(call: Any, words: str) -> None:
    try:
        call()
    except (ValueError, RuntimeError) as error:
        told = str(error)
    else:
        raise AssertionError("accepted")
    assert re.search(words, told), "it is not told what was wrong"


@capability("a length above the steps, or below zero, is named with its index")
def names_the_length(library: Library) -> None:
    refuses(library, r"lengths\[1\]\D*6", lengths=[5, 6, 2])
    refuses(library, r"lengths\[2\]\D*-3", lengths=torch.tensor([1, 2, -3]))


@capability("`lengths` of another count or type than expected are refused")
def refuses_other_lengths(library: Library) -> None:
    refuses(library, r"\(2,\).*\(3,\)", lengths=[1, 2])
    refuses(library, "float.*integers", lengths=[1.0, 2.0, 3.0])
    refuses(library, "bool.*integers", lengths=torch.tensor([True, True, False]))


@capability("`reset` of another shape or type than expected is refused")
def refuses_other_resets(library: Library) -> None:
    refuses(library, r"\(3, 5\).*\(5, 3\)", reset=torch.zeros(3, 5, dtype=torch.bool))
    refuses(library, "float.*booleans", reset=torch.zeros(5, 3))


@capability("`lengths` beside a `PackedSequence` or a nested tensor are refused")
def refuses_lengths_twice(library: Library) -> None:
    layer = library.GRU(2, 4)
    rows = [torch.randn(2, 2)]
    is_refused(lambda: layer(pack_sequence(rows), lengths=[2]), "PackedSequence")
    nested = torch.nested.nested_tensor(rows, layout=torch.jagged)
    is_refused(lambda: layer(nested, lengths=[2]), "nested")


@capability("the exception types of `torch.nn.GRU` for its mistakes")
def raises_torchs_types(library: Library) -> None:
    layer, stock = library.GRU(3, 4), nn.GRU(3, 4)
    mistakes = [
        (torch.randn(5, 2, 4),),
        (torch.randn(5),),
        (torch.randn(5, 2, 3).double(),),
        (torch.randn(5, 2, 3), torch.randn(1, 3, 4)),
        (torch.randn(5, 2, 3), torch.randn(1, 4)),
    ]
    for mistake in mistakes:
        kinds = []
        for one in (stock, layer):
            try:
                one(*mistake)
            except Exception as told:
                kinds.append(type(told))
        assert len(kinds) == 2
        assert issubclass(kinds[1], kinds[0]), f"{kinds[1].__name__} for {kinds[0].__name__}"


proved_by(__name__, "torch's own samples of wrong input", "tests/test_drop_in_torchs_own.py::test_torchs_own_errors")
