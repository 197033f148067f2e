"""Broken entry points, which show that the fuzzer detects errors. They are used only if named."""

from __future__ import annotations

import ctypes
import os
import time

import torch

from doors.draw import Draw
from doors.entrances.layers import H, I
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import OURS, STOCK, Side


@entrance(STOCK, share=0)
def crashing(draw: Draw, side: Side) -> None:
    if side.name == OURS:
        ctypes.string_at(0)


@entrance(STOCK, share=0)
def hanging(draw: Draw, side: Side) -> None:
    if side.name == OURS:
        time.sleep(3600)


@entrance(STOCK, share=0)
def leaving(draw: Draw, side: Side) -> None:
    if side.name == OURS:
        os._exit(3)


@entrance(STOCK, share=0)
def lying(draw: Draw, side: Side) -> None:
    result, _ = side.build(draw, "GRU", I, H)(draw.normal(2, 2, I))
    side.found["output"] = snapshot(result * (2 if side.name == OURS else 1))


@entrance(STOCK, share=0)
def refusing(draw: Draw, side: Side) -> None:
    if side.name == OURS:
        raise RuntimeError("no")


@entrance(STOCK, share=0)
def accepting(draw: Draw, side: Side) -> None:
    side.build(draw, "GRU", I, H)(torch.ones(2, 2, I) if side.name == OURS else torch.ones(2, 2, I + 1))


@entrance(STOCK, share=0)
def of_another_type(draw: Draw, side: Side) -> None:
    raise ValueError("of ours") if side.name == OURS else RuntimeError("of theirs")


@entrance(STOCK, share=0)
def dying_with_torch(draw: Draw, side: Side) -> None:
    """Nothing is wrong here: torch's own layer is what dies."""
    if side.is_stock:
        ctypes.string_at(0)
