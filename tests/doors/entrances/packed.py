"""Packed sequences, made by torch or by hand."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from doors import meanwhile
from doors.draw import Draw
from doors.entrances.layers import H, I, ambient, backwards, cells_of, infers, options_of, wanted
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import STOCK, Side, put_strange_weight


def _changed(index: int, value: int) -> Any:
    def maker(draw: Draw, sizes: Tensor) -> Tensor:
        made = sizes.clone()
        made[index] = value
        return made

    return maker


BATCH_SIZES = {
    "growing": lambda draw, sizes: sizes.flip(0),
    "with_zero": _changed(-1, 0),
    "with_negative": _changed(-1, -3),
    "negative_first": _changed(0, -1),
    "huge_first": _changed(0, 2**62),
    "huge_last": _changed(-1, 2**62),
    "all_negative": lambda draw, sizes: -sizes,
    "sum_wraps_around": lambda draw, sizes: torch.cat([torch.tensor([2**62] * 4), sizes]),
    "one_too_many": lambda draw, sizes: torch.cat([sizes, sizes[-1:]]),
    "one_too_few": lambda draw, sizes: sizes[:-1],
    "as_list": lambda draw, sizes: sizes.tolist(),
    "two_dimensional": lambda draw, sizes: sizes.unsqueeze(0),
}
ORDERS = {
    "beyond": lambda draw, order: order + 1,
    "below": lambda draw, order: order - 100,
    "huge": lambda draw, order: order + 2**40,
    "repeated": lambda draw, order: torch.zeros_like(order),
    "too_short": lambda draw, order: order[:-1],
    "too_long": lambda draw, order: torch.cat([order, order]),
}


@entrance(STOCK, share=5)
def packed(draw: Draw, side: Side) -> None:
    """A packed sequence whose parts may not fit each other."""
    options = options_of(draw)
    made = side.build(draw, "GRU", I, H, **options)
    put_strange_weight(draw, made)
    rows = draw.integer(1, 4)
    lengths = [draw.integer(1, 5) for _ in range(rows)]
    x = draw.normal(max(lengths), rows, I, dtype=options["dtype"])
    data, sizes, order, back = pack_padded_sequence(x, lengths, enforce_sorted=False)
    data = draw.strange("data", data.requires_grad_() if draw.chance(0.3) else data)
    sizes = draw.strange("batch_sizes", sizes, BATCH_SIZES)
    order = draw.strange("order", order, ORDERS, share=0.1)
    back = draw.strange("back", back, ORDERS, share=0.1)
    hx = None
    if draw.chance(0.6):
        hx = draw.strange("hx", draw.normal(cells_of(options), rows, H, dtype=options["dtype"]), share=0.2)
    trains = draw.chance(0.5)
    things = {"data": data, "batch_sizes": sizes, "hx": hx, "order": order}
    with ambient(draw), contextlib.nullcontext() if trains else infers(draw), meanwhile.during(draw, things):
        result, h_n = made(PackedSequence(data, sizes, order, back), hx)
        side.found |= {"output": snapshot(result.data), "h_n": snapshot(h_n)}
        if trains:
            things |= {"output": result.data, "h_n": h_n}
            backwards(draw, side, (result.data, h_n), things, wanted(made, data, hx))
