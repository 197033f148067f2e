"""Changes of arguments during a call, or between the forward and the backward pass."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from doors.draw import Draw
from fastgru import errors
from fastgru.call.memory import check_memory

Change = Callable[[Tensor], None]


def _is_whole(t: Tensor) -> bool:
    """Whether there is memory for all values: else torch itself would write past its end."""
    try:
        check_memory("", t)
    except errors.OperandError:
        return False
    return True


def _written(t: Tensor) -> None:
    if _is_whole(t):
        t.add_(1)


def _written_behind(t: Tensor) -> None:
    if _is_whole(t):
        t.data.add_(1)


def _written_by_numpy(t: Tensor) -> None:
    if _is_whole(t):
        t.detach().numpy()[...] = 3


def _given_other_data(t: Tensor) -> None:
    t.data = torch.ones_like(t)


def _given_smaller_data(t: Tensor) -> None:
    t.data = torch.ones(1, dtype=t.dtype)


def _set_to_other_memory(t: Tensor) -> None:
    t.set_(torch.ones_like(t))


def _freed(t: Tensor) -> None:
    t.untyped_storage().resize_(0)


def _resized(t: Tensor) -> None:
    t.resize_(1)


def _moved_to_shared_memory(t: Tensor) -> None:
    t.share_memory_()


# Of a write that torch counts, stock's outcome is asked; of one that nobody can see, only that nothing crashes.
SEEN: dict[str, Change] = {"written": _written}
UNSEEN: dict[str, Change] = {
    "written_behind": _written_behind,
    "written_by_numpy": _written_by_numpy,
    "given_other_data": _given_other_data,
    "given_smaller_data": _given_smaller_data,
    "set_to_other_memory": _set_to_other_memory,
    "freed": _freed,
    "resized": _resized,
    "moved_to_shared_memory": _moved_to_shared_memory,
}


def between(draw: Draw, things: dict[str, Any], share: float = 0.2) -> bool:
    """Perhaps changes one of the things that a call was given, or returned, before its backward pass.

    Returns:
        Whether torch's own operators may still read them all.
    """
    if not draw.chance(share) or draw.name.argument or _has_unrest(draw):
        return True
    name, change = draw.one_of(*sorted(things)), draw.one_of(*SEEN, *UNSEEN, "written", "written")
    thing = things[name]
    if not isinstance(thing, Tensor):
        return True
    draw.is_loose |= change in UNSEEN
    draw.note(f"between={name} {change}")
    with contextlib.suppress(RuntimeError, TypeError, NotImplementedError), torch.no_grad():
        {**SEEN, **UNSEEN}[change](thing)
    return change in SEEN


def free_saved(draw: Draw, output: Tensor) -> bool:
    """Perhaps frees the memory of a tensor that the node of `output` has saved.

    Returns:
        Whether torch's own operators may still read them all.
    """
    if not draw.chance(0.1) or output.grad_fn is None or draw.name.argument or _has_unrest(draw):
        return True
    node: Any = output.grad_fn
    while node is not None and not getattr(node, "saved_tensors", ()) and node.next_functions:
        node = node.next_functions[0][0]  # past views
    saved = [one for one in getattr(node, "saved_tensors", ()) if one is not None]
    draw.is_loose = True
    draw.note("between=saved freed")
    if saved:
        with contextlib.suppress(RuntimeError):
            draw.one_of(*saved).untyped_storage().resize_(0)
    return False


def _has_unrest(draw: Draw) -> bool:
    """Whether a thread may still write to one of the things, and would die where its memory is taken away."""
    return any(note.startswith("during=") for note in draw.notes)


@contextlib.contextmanager
def during(draw: Draw, things: dict[str, Any], share: float = 0.05) -> Iterator[None]:
    """Perhaps changes one of the things again and again, from another thread, while the block runs."""
    usable = {name: thing for name, thing in things.items() if isinstance(thing, Tensor) and thing.numel()}
    is_watched = any("anomaly" in note for note in draw.notes)  # where torch waits for itself, for ever
    if not draw.chance(share) or not usable or draw.name.argument or is_watched:
        yield
        return
    name, change = draw.one_of(*sorted(usable)), draw.one_of("values", "data")
    if usable[name].is_leaf and usable[name].requires_grad and torch.is_grad_enabled():
        change = "values"  # torch waits for itself where any operator records a leaf that is given other data
    draw.is_loose = True
    draw.note(f"during={name} {change}")
    ends = threading.Event()
    thread = threading.Thread(target=_unrest, args=(usable[name], change, ends), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


def _unrest(thing: Tensor, change: str, ends: threading.Event) -> None:
    with contextlib.suppress(RuntimeError, TypeError), torch.no_grad():
        one, other = thing.detach().clone(), torch.full_like(thing, 1_000_000)
        while not ends.is_set():
            for values in (other, one):
                if change == "data":
                    thing.data = values.clone()
                elif _is_whole(thing):
                    thing.detach().copy_(values)
