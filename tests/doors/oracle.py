"""The outcomes of a case on two sides, and whether they are correct."""

from __future__ import annotations

import os
import re
import traceback
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

import tolerance
from doors.exemptions import exemption
from fastgru import errors

# Nobody is told anything by these, or by these words: an inner matter came to light.
INNER = (SystemError, MemoryError, AssertionError, UnboundLocalError, KeyError, IndexError, RecursionError, NameError)
INNER_WORDS = re.compile(r"incompatible function arguments|_core\.|nanobind|not supported between|'NoneType'|unpack")
PACKAGE = os.path.dirname(os.path.abspath(errors.__file__)).removesuffix("errors")


@dataclass
class Outcome:
    """What one side did: results by name as far as they came, then perhaps an error."""

    found: dict[str, Any] = field(default_factory=dict)
    error: BaseException | None = None

    def __str__(self) -> str:
        if self.error is None:
            return f"returned {', '.join(f'{name} {_told(value)}' for name, value in self.found.items())}"
        first = next(iter(str(self.error).splitlines()), "")
        return f"raised {type(self.error).__name__}: {first[:200]}"

    def story(self) -> str:
        """With the whole traceback."""
        if self.error is None:
            return str(self)
        return "".join(traceback.format_exception(self.error))


def _told(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)[:60]
    return f"{tuple(value.shape)} {str(value.dtype).removeprefix('torch.')}"


def snapshot(result: Any) -> Any:
    """A copy that nothing later changes; of what has no numbers to read, a word."""
    if not isinstance(result, Tensor):
        return result if result is None or isinstance(result, (str, int, float, bool)) else type(result).__name__
    if result.device.type == "meta":
        return f"meta {tuple(result.shape)} {result.dtype}"
    if type(result).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return f"{type(result).__name__} {result.dtype}"
    with torch.no_grad(), torch._C.DisableTorchFunctionSubclass():
        copy = result.detach()
        if copy.is_nested:
            return torch.cat([one.flatten() for one in copy.unbind()])
        if copy.layout is not torch.strided:
            copy = copy.to_dense()
        return copy.as_subclass(Tensor).resolve_neg().resolve_conj().clone()


def judge(draw: Any, ours: Outcome, theirs: Outcome | None) -> str | None:
    """What is wrong with our outcome beside that of the other side, or None."""
    if ours.error is not None:
        is_theirs = theirs is not None and type(ours.error) is type(theirs.error)
        inner = None if is_theirs else _inner(ours.error)
        if inner is not None:
            return f"an inner error: {inner}"
    if theirs is None or draw.is_loose or exemption(draw, ours, theirs) is not None:
        return None
    if ours.error is not None and theirs.error is None:
        return f"ours {ours}; theirs returned"
    if ours.error is None and theirs.error is not None:
        return f"ours returned; theirs {theirs}"
    if ours.error is not None and not _is_kind_of(draw, ours.error, theirs.error):
        return f"ours {ours}; theirs {theirs}"
    # 0 times infinity is no number, and which factors of a gradient meet first is nobody's promise.
    return _difference(ours, theirs, has_gradients=not any("=with_" in note for note in draw.notes))


def _is_kind_of(draw: Any, mine: BaseException, other: BaseException | None) -> bool:
    if isinstance(mine, type(other)):
        return True
    is_one_of_several = sum("=" in note for note in draw.notes) > 1  # which is found first is nobody's promise
    return is_one_of_several and isinstance(mine, (errors.FastGRUError, RuntimeError, TypeError, ValueError))


def _inner(error: BaseException) -> str | None:
    text = f"{type(error).__name__}: {next(iter(str(error).splitlines()), '')[:160]}"
    if isinstance(error, errors.FastGRUError):
        return None
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or not frames[-1].filename.startswith(PACKAGE):
        return None  # torch's own, or the case's
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}"
    if isinstance(error, (*INNER, AttributeError)) or INNER_WORDS.search(text):
        return text + where
    return None


def _difference(ours: Outcome, theirs: Outcome, has_gradients: bool) -> str | None:
    names = {name for name in ours.found if name in theirs.found and (has_gradients or "gradient" not in name)}
    if ours.error is None and ours.found.keys() != theirs.found.keys():
        return f"ours found {sorted(ours.found)}, theirs {sorted(theirs.found)}"
    for name in sorted(names):
        mine, other = ours.found[name], theirs.found[name]
        if not (isinstance(mine, Tensor) and isinstance(other, Tensor)):
            if type(mine) is not type(other) or mine != other:
                return f"{name}: ours {_told(mine)}, theirs {_told(other)}"
            continue
        try:
            tolerance.assert_agrees({name: mine}, {name: other})
        except AssertionError as apart:
            return str(apart)
    return None
