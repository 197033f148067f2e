"""Lengths, resets and options that torch's layer does not have: compared with our reference."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import torch
from torch import Tensor

from doors import meanwhile
from doors.draw import Draw
from doors.entrances.layers import (
    H,
    I,
    ambient,
    backwards,
    cells_of,
    infers,
    keep,
    options_of,
    padded,
    sizes_of,
    wanted,
)
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import REFERENCE, Side, put_strange_weight


def _at_a_row(value: int) -> Any:
    def maker(draw: Draw, lengths: Tensor) -> Tensor:
        made = lengths.clone()
        made[draw.integer(0, len(made) - 1)] = value
        return made

    return maker


LENGTHS: dict[str, Any] = {
    "as_list": lambda draw, lengths: lengths.tolist(),
    "as_tuple": lambda draw, lengths: tuple(lengths.tolist()),
    "as_list_of_tensors": lambda draw, lengths: list(lengths.unbind()),
    "as_generator": lambda draw, lengths: (one for one in lengths.tolist()),
    "as_range": lambda draw, lengths: range(len(lengths)),
    "as_int32_array": lambda draw, lengths: lengths.numpy().astype(np.int32),
    "as_uint64_array": lambda draw, lengths: lengths.numpy().astype(np.uint64),
    "as_big_endian_array": lambda draw, lengths: lengths.numpy().astype(">i8"),
    "as_reversed_array": lambda draw, lengths: lengths.numpy()[::-1],
    "as_object_array": lambda draw, lengths: lengths.numpy().astype(object),
    "as_list_of_fractions": lambda draw, lengths: [one + 0.5 for one in lengths.tolist()],
    "with_a_text": lambda draw, lengths: [*lengths.tolist()[:-1], "1"],
    "with_a_none": lambda draw, lengths: [*lengths.tolist()[:-1], None],
    "with_a_boolean": lambda draw, lengths: [*lengths.tolist()[:-1], True],
    "with_two_lists": lambda draw, lengths: [lengths.tolist(), lengths.tolist()],
    "ragged_lists": lambda draw, lengths: [[1, 2], [3]],
    "beyond_int64": lambda draw, lengths: [2**64] * len(lengths),
    "negative": _at_a_row(-1),
    "most_negative": _at_a_row(-(2**63)),
    "beyond_steps": _at_a_row(1000),
    "huge": _at_a_row(2**63 - 1),
    "wraps_in_int32": _at_a_row(2**32),
}
MASKS: dict[str, Any] = {
    "as_lists": lambda draw, mask: mask.tolist(),
    "as_array": lambda draw, mask: mask.numpy(),
    "as_numbers": lambda draw, mask: mask.long(),
    "transposed_shape": lambda draw, mask: mask.transpose(0, -1),
    "ragged_lists": lambda draw, mask: [[True], [True, False]],
    "bytes_other_than_0_and_1": lambda draw, mask: torch.full(mask.shape, 7, dtype=torch.uint8).view(torch.bool),
}


def sequences_of(draw: Draw, side: Side, options: dict[str, Any], steps: int, rows: int) -> dict[str, Any]:
    """Lengths and resets as a call takes them."""
    given: dict[str, Any] = {}
    if draw.chance(0.7):
        lengths = torch.tensor([draw.integer(0, steps) for _ in range(rows)])
        given["lengths"] = draw.strange("lengths", lengths, LENGTHS, share=0.7)
    if draw.chance(0.5):
        mask = torch.rand(padded(options, steps, rows), generator=draw.generator) < 0.3
        given["reset"] = draw.strange("reset", mask, MASKS, share=0.5)
    if ("reset" in given and draw.chance(0.6)) or draw.chance(0.05):
        shape = (cells_of(options), *((rows,) if draw.chance(0.5) else ()), H)
        given["reset_state"] = draw.strange("reset_state", draw.normal(*shape, dtype=options["dtype"]), share=0.4)
    return given


@entrance(REFERENCE, share=6)
def bounded(draw: Draw, side: Side) -> None:
    """A layer with any option, and lengths and resets beside its input."""
    options = options_of(draw)
    more = {
        "recompute": draw.chance(0.3),
        "state_batch_first": draw.chance(0.2),
        "return_all_layers": draw.chance(0.2),
        "learn_h0": draw.chance(0.3),
        "proj_size": draw.one_of(0, 0, 0, 2),
    }
    made = side.build(draw, "GRU", I, H, **options, **more)
    put_strange_weight(draw, made)
    steps, rows = sizes_of(draw)
    x = draw.strange("x", draw.normal(*padded(options, steps, rows), I, dtype=options["dtype"]), share=0.2)
    hx = None
    if draw.chance(0.4):
        shape = (rows, cells_of(options), H) if more["state_batch_first"] else (cells_of(options), rows, H)
        hx = draw.strange("hx", draw.normal(*shape, dtype=options["dtype"]), share=0.3)
    given = sequences_of(draw, side, options, steps, rows)
    trains = draw.chance(0.6)
    things = {"x": x, "hx": hx, **given}
    with ambient(draw), contextlib.nullcontext() if trains else infers(draw):
        with meanwhile.during(draw, things, share=0.1):
            output, h_n = made(x, hx, **given)
        outputs = output if isinstance(output, tuple) else (output,)
        keep(side, (*[f"output {i}" for i in range(len(outputs))], "h_n"), (*outputs, h_n))
        if trains:
            things = {**things, "output": outputs[-1], "h_n": h_n}
            backwards(draw, side, (outputs[-1], h_n), things, wanted(made, x, hx))


@entrance(REFERENCE)
def unbatched_bounds(draw: Draw, side: Side) -> None:
    """One sequence, with a length and a mask of its own."""
    options = options_of(draw)
    made, steps = side.build(draw, "GRU", I, H, **options), 4
    x = draw.strange("x", draw.normal(steps, I, dtype=options["dtype"]))
    given = {
        "lengths": draw.strange("lengths", torch.tensor(draw.integer(0, steps))),
        "reset": draw.strange("reset", torch.rand(steps, generator=draw.generator) < 0.3, MASKS),
        "reset_state": draw.strange("reset_state", draw.normal(cells_of(options), H, dtype=options["dtype"])),
    }
    with infers(draw):
        keep(side, ("output", "h_n"), made(x, **given))


@entrance(REFERENCE, share=3)
def stateful(draw: Draw, side: Side) -> None:
    """Several calls of a layer that carries its state."""
    options = {**options_of(draw), "bidirectional": False}
    made = side.build(draw, "StatefulGRU", I, H, learn_h0=draw.chance(0.3), **options)
    steps, rows = sizes_of(draw)
    for call in range(3):
        what = draw.one_of("train", "infer", "reset rows", "set state", "train")
        x = draw.strange(f"x{call}", draw.normal(*padded(options, steps, rows), I, dtype=options["dtype"]), share=0.2)
        if what == "reset rows":
            made.reset_state(draw.strange("rows", torch.rand(rows, generator=draw.generator) < 0.5, MASKS))
        if what == "set state":
            state = draw.normal(cells_of(options), rows, H, dtype=options["dtype"])
            made.state = draw.strange("state", state, share=0.6)
        with infers(draw) if what == "infer" else contextlib.nullcontext():
            output, h_n = made(x)
        keep(side, (f"output {call}", f"h_n {call}"), (output, h_n))
        if what == "train" and output.requires_grad:
            gradient = torch.ones_like(output)
            meanwhile.between(draw, {"state": made.state, "h_n": h_n, "output": output, "x": x})
            output.backward(gradient)
    side.found["gradient"] = snapshot(made.weight_hh_l0.grad)
