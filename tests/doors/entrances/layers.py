"""Layers and cells with torch's interface, in inference and training."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor, nn

from doors import meanwhile
from doors.draw import Draw
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import STOCK, Side, put_strange_weight

I, H = 3, 5  # noqa: E741  (torch's letters)


def options_of(draw: Draw) -> dict[str, Any]:
    """Options that torch's layer has too."""
    return {
        "num_layers": draw.one_of(1, 1, 2),
        "bias": draw.chance(0.8),
        "batch_first": draw.chance(0.4),
        "bidirectional": draw.chance(0.3),
        "dtype": draw.one_of(torch.float32, torch.float32, torch.float32, torch.float64, torch.bfloat16),
    }


def cells_of(options: dict[str, Any]) -> int:
    return int(options["num_layers"]) * (2 if options["bidirectional"] else 1)


def sizes_of(draw: Draw) -> tuple[int, int]:
    """Steps and rows."""
    return draw.one_of(1, 2, 3, 7), draw.one_of(1, 1, 2, 3, 17)


def padded(options: dict[str, Any], steps: int, rows: int) -> tuple[int, int]:
    return (rows, steps) if options["batch_first"] else (steps, rows)


def ambient(draw: Draw) -> contextlib.AbstractContextManager[Any]:
    """Perhaps something that holds for the whole call."""
    if draw.name.argument or not draw.chance(0.25):
        return contextlib.nullcontext()
    name = draw.one_of(*_AMBIENT)
    draw.note(f"ambient {name}")
    return _AMBIENT[name]()


@contextlib.contextmanager
def _deterministic() -> Any:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextlib.contextmanager
def _double_by_default() -> Any:
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


@contextlib.contextmanager
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


_AMBIENT = {
    "deterministic": _deterministic,
    "float64 by default": _double_by_default,
    "one thread": _one_thread,
    "anomaly mode": torch.autograd.detect_anomaly,
    "device meta": lambda: torch.device("meta"),
    "saved on the CPU": torch.autograd.graph.save_on_cpu,
    "saved may change": torch.autograd.graph.allow_mutation_on_saved_tensors,
    "saved as NumPy": lambda: torch.autograd.graph.saved_tensors_hooks(lambda t: t.numpy(), torch.from_numpy),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "functorch level": torch.autograd.forward_ad.dual_level,
}


def infers(draw: Draw) -> contextlib.AbstractContextManager[Any]:
    return torch.inference_mode() if draw.chance(0.4) else torch.no_grad()


def keep(side: Side, names: tuple[str, ...], results: Any) -> None:
    for name, result in zip(names, results, strict=True):
        side.found[name] = snapshot(result)


@entrance(STOCK, share=4)
def layer(draw: Draw, side: Side) -> None:
    """A call without gradients."""
    options = options_of(draw)
    made = side.build(draw, "GRU", I, H, **options)
    put_strange_weight(draw, made)
    steps, rows = sizes_of(draw)
    unbatched = draw.chance(0.2)
    shape = (steps,) if unbatched else padded(options, steps, rows)
    x = draw.strange("x", draw.normal(*shape, I, dtype=options["dtype"]))
    state = (cells_of(options), H) if unbatched else (cells_of(options), rows, H)
    hx = draw.strange("hx", draw.normal(*state, dtype=options["dtype"])) if draw.chance(0.6) else None
    things = {"x": x, "hx": hx, "weight": getattr(made, "weight_hh_l0", None)}
    with ambient(draw), infers(draw), meanwhile.during(draw, things):
        keep(side, ("output", "h_n"), made(x, hx))


@entrance(STOCK, share=6)
def training(draw: Draw, side: Side) -> None:
    """A call with gradients, and what users do with them."""
    options = options_of(draw)
    made = side.build(draw, "GRU", I, H, dropout=draw.one_of(0.0, 0.0, 0.3), **options)
    put_strange_weight(draw, made)
    steps, rows = sizes_of(draw)
    usual = draw.normal(*padded(options, steps, rows), I, dtype=options["dtype"])
    x = draw.strange("x", usual.requires_grad_() if draw.chance(0.5) else usual)
    state = draw.normal(cells_of(options), rows, H, dtype=options["dtype"])
    hx = draw.strange("hx", state.requires_grad_() if draw.chance(0.5) else state) if draw.chance(0.6) else None
    with ambient(draw):
        torch.manual_seed(draw.name.seed)
        things = {"x": x, "hx": hx, "weight": getattr(made, "weight_hh_l0", None)}
        with meanwhile.during(draw, things):
            output, h_n = made(x, hx)
        keep(side, ("output", "h_n"), (output, h_n))
        side.found["requires_grad"] = output.requires_grad
        backwards(draw, side, (output, h_n), {**things, "output": output, "h_n": h_n}, wanted(made, x, hx))


def wanted(layer: nn.Module, *inputs: Any) -> dict[str, Tensor]:
    """Leaves whose gradients are looked at."""
    leaves = dict(layer.named_parameters())
    leaves |= {f"input {i}": t for i, t in enumerate(inputs) if isinstance(t, Tensor)}
    return {name: t for name, t in leaves.items() if t.requires_grad and t.is_leaf}


def backwards(
    draw: Draw, side: Side, results: tuple[Tensor, ...], things: dict[str, Any], leaves: dict[str, Tensor]
) -> None:
    """A backward pass by one of several ways, after something may have happened to what it needs."""
    can_be_read = meanwhile.between(draw, things)
    can_be_read &= meanwhile.free_saved(draw, results[0])
    way = draw.one_of("gradient", "gradient", "twice", "last state", *(("sum", "second") if can_be_read else ()))
    draw.note(f"backward by {way}")
    result = results[-1] if way == "last state" else results[0]
    gradient = draw.normal(*result.shape, dtype=result.dtype)
    if way == "gradient":
        gradient = draw.strange("gradient", gradient)
    if way == "second":
        found = torch.autograd.grad(result, list(leaves.values()), gradient, create_graph=True, allow_unused=True)
        sum(one.square().sum() for one in found if one is not None).backward()
    elif way == "sum":
        result.sum().backward()
    else:
        result.backward(gradient, retain_graph=way == "twice")
    if way == "twice":
        result.backward(gradient)
    for name, leaf in leaves.items():
        side.found[f"gradient of {name}"] = snapshot(leaf.grad)


@entrance(STOCK, share=3)
def cell(draw: Draw, side: Side) -> None:
    """The cell, with and without gradients."""
    dtype, rows = draw.one_of(torch.float32, torch.float32, torch.float64), draw.one_of((), (1,), (4,))
    made = side.build(draw, "GRUCell", I, H, bias=draw.chance(0.8), dtype=dtype)
    put_strange_weight(draw, made)
    x = draw.strange("x", draw.normal(*rows, I, dtype=dtype))
    hx = draw.strange("hx", draw.normal(*rows, H, dtype=dtype)) if draw.chance(0.6) else None
    things = {"x": x, "hx": hx, "weight": getattr(made, "weight_hh", None)}
    trains = draw.chance(0.6)
    with ambient(draw), contextlib.nullcontext() if trains else infers(draw), meanwhile.during(draw, things):
        result = made(x, hx)
        side.found["h"] = snapshot(result)
        if trains:
            backwards(draw, side, (result,), {**things, "output": result}, wanted(made, x, hx))
