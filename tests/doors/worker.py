"""Runs cases one by one and reports before each step, so that a crash can be attributed."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import gc
import json
import os
import resource
import signal
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch._inductor.config

import fastgru
from doors.draw import Draw, Name
from doors.entrances import ENTRANCES
from doors.oracle import Outcome, judge
from doors.sides import OURS, REFERENCE, Side
from fastgru import _core

MEMORY = 4 << 30
PR_SET_PDEATHSIG = 1
M_PERTURB = -6


# Likewise what of ours is imported when it is first used.
for _name in set(fastgru.__all__) - {"onnx", "opacus"}:
    getattr(fastgru, _name)


def attempt(name: Name, side: Side, tell: Callable[[dict[str, Any]], Any] = bool) -> tuple[Draw, Outcome]:
    """What comes of a case on one side; `tell` hears of what is about to happen."""
    about: dict[str, Any] = {"case": str(name), "begins": side.name}
    tell(about)
    draw, error = Draw(name, lambda notes: tell({**about, "notes": notes})), None
    try:
        with side.running():
            ENTRANCES[name.entrance].run(draw, side)
    except Exception as raised:
        error = raised
    side.left = left_behind()
    return draw, Outcome(side.found, error)


def left_behind() -> str:
    """What a case has changed for all that follows, in words; puts it right again."""
    found = {
        "gradients are off": not torch.is_grad_enabled(),
        "autograd sees no operators": not (torch.ones(1, requires_grad=True) * 2).requires_grad,
        "inference mode": torch.is_inference_mode_enabled(),
        "autocast": torch.is_autocast_enabled("cpu"),
        "another default type": torch.get_default_dtype() is not torch.float32,
        "a transform": torch._C._are_functorch_transforms_active(),
        "a mode of dispatch": torch._C._len_torch_dispatch_stack() > 0,
        "autograd is left out": torch._C._dispatch_tls_is_dispatch_key_excluded("AutogradCPU"),
    }
    torch.set_grad_enabled(True)
    torch.set_default_dtype(torch.float32)
    return ", ".join(word for word, is_there in found.items() if is_there)


def run_case(name: Name, tell: Any, sides: str = "both") -> dict[str, Any]:
    """Runs and judges a case.

    Args:
        name: of the case.
        tell: called with what begins now.
        sides: "both", "ours", or "theirs" to see whether the other side lives.
    """
    other, began = ENTRANCES[name.entrance].other, time.monotonic()
    told: dict[str, Any] = {"case": str(name)}
    ours, theirs, left, has_left = None, None, "", ""
    if sides != "theirs":
        side = Side(OURS)
        draw, ours = attempt(name, side, tell)
        left = has_left = side.left
        told |= {"notes": draw.notes, "ours": str(ours)}
    if other is not None and sides != "ours" and not (ours is not None and _would_take_for_ever(draw, other)):
        other_side = Side(other)
        second, theirs = attempt(name, other_side, tell)
        has_left = other_side.left or left
        told |= {"theirs": str(theirs)}
        if ours is not None:
            draw.is_loose |= second.is_loose
    verdict = None if ours is None else judge(draw, ours, theirs)
    if any(result is not None and "INTERNAL ASSERT" in str(result.error) for result in (ours, theirs)):
        has_left = has_left or "whatever torch does after an assertion of its own"
    if verdict is None and left:
        verdict = f"ours leaves behind: {left}"
    tell({**told, "verdict": verdict, "seconds": time.monotonic() - began})
    return {"ours": ours, "theirs": theirs, "verdict": verdict, "left": has_left}


def _would_take_for_ever(draw: Draw, other: str) -> bool:
    """The reference goes through 2^31 steps one by one; torch's layer and ours find no memory for their results."""
    return other == REFERENCE and any("wild_size" in note for note in draw.notes)


def become_a_child(errors: int, patience: float) -> None:
    """Puts this process where it can harm nobody: a group of its own, little memory, and no life after its parent."""
    os.setsid()
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(errors, 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if "libasan" not in os.environ.get("LD_PRELOAD", ""):  # whose shadow is larger than any limit
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    faulthandler.enable()
    faulthandler.dump_traceback_later(max(1.0, patience - 1), repeat=True)
    warnings.simplefilter("ignore")
    if hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(M_PERTURB, 1)
    _core.set_poison(True)


def settle(patience: float) -> None:
    """Undoes what a case may have left behind."""
    faulthandler.cancel_dump_traceback_later()
    faulthandler.dump_traceback_later(max(1.0, patience - 1), repeat=True)
    torch.set_num_threads(2)
    gc.collect(1)


def serve(names: Iterable[Name], pipe: int, errors: int, sides: str, patience: float) -> None:
    """The life of a child: all the cases, told into the pipe; never returns."""
    code = 1
    with contextlib.suppress(BaseException), os.fdopen(pipe, "w") as out:
        become_a_child(errors, patience)

        def tell(what: dict[str, Any]) -> None:
            out.write(json.dumps(what) + "\n")
            out.flush()

        for name in names:
            settle(patience)
            if run_case(name, tell, sides)["left"]:
                break  # the cases to come deserve a process that is as it was
        code = 0
    sys.stderr.flush()
    os._exit(code)


def arguments_of(entrance: str, seeds: Iterable[int]) -> dict[str, dict[str, list[int]]]:
    """For each argument and kind, the seeds whose case would have it."""
    found: dict[str, dict[str, list[int]]] = {}
    for seed in seeds:
        draw, _ = attempt(Name(entrance, seed, "-", "-"), Side(OURS))
        for argument, kinds in draw.arguments.items():
            for kind in kinds:
                found.setdefault(argument, {}).setdefault(kind, []).append(seed)
    return found
