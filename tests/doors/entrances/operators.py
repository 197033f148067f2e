"""Functions and operators, which get every tensor as a separate argument."""

from __future__ import annotations

import contextlib
from typing import Any

import torch
from torch import Tensor

import fastgru
from doors.draw import Draw
from doors.entrances.bounded import LENGTHS, MASKS
from doors.entrances.layers import H, I, backwards, infers, keep, sizes_of
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import OURS, REFERENCE, Side

OTHER_SIZES = {
    "too_narrow": lambda draw, t: t[..., :1].clone(),
    "too_short": lambda draw, t: t[:1].clone(),
    "far_too_wide": lambda draw, t: t.repeat(*(1,) * (t.dim() - 1), 1000),
}


def stack_of_weights(draw: Draw, layers: int, directions: int, dtype: torch.dtype) -> list[Any]:
    """Weights in torch's order, one of them perhaps strange."""
    weights: list[Any] = []
    for layer in range(layers):
        for _ in range(directions):
            width = I if layer == 0 else directions * H
            shapes = ((3 * H, width), (3 * H, H), (3 * H,), (3 * H,))
            weights += [(0.4 * draw.normal(*shape, dtype=dtype)).requires_grad_() for shape in shapes]
    at = draw.integer(0, len(weights) - 1)
    weights[at] = draw.strange("weight", weights[at].detach(), OTHER_SIZES, share=0.3)
    return weights


def grads_of(tensors: list[Any]) -> dict[str, Tensor]:
    named = {f"tensor {i}": t for i, t in enumerate(tensors) if isinstance(t, Tensor)}
    return {name: t for name, t in named.items() if t.requires_grad and t.is_leaf}


@entrance(REFERENCE, share=3)
def functional(draw: Draw, side: Side) -> None:
    """`fastgru.functional.gru`, with wrong options too."""
    dtype, layers, both, first = draw.one_of(torch.float32, torch.float64), draw.one_of(1, 2), draw.chance(0.3), False
    steps, rows = sizes_of(draw)
    first = draw.chance(0.3)
    x = draw.strange("x", draw.normal(*((rows, steps) if first else (steps, rows)), I, dtype=dtype))
    weights = stack_of_weights(draw, layers, 2 if both else 1, dtype)
    h_0 = None
    if draw.chance(0.5):
        h_0 = draw.strange("h_0", draw.normal(layers * (2 if both else 1), rows, H, dtype=dtype))
    given: dict[str, Any] = {}
    if draw.chance(0.3):
        lengths = torch.tensor([draw.integer(0, steps) for _ in range(rows)])
        given["lengths"] = draw.strange("lengths", lengths, LENGTHS)
    if draw.chance(0.15):
        given |= {draw.one_of("num_layers", "dropout"): draw.one_of(-1, 0, 1, 2, 0.5, True, None, "1", 2**70)}
    given = {"num_layers": layers, **given}
    with contextlib.nullcontext() if draw.chance(0.6) else infers(draw):
        output, h_n = fastgru.functional.gru(x, h_0, weights, bidirectional=both, batch_first=first, **given)
        keep(side, ("output", "h_n"), (output, h_n))
        if output.requires_grad and output.numel():
            backwards(draw, side, (output, h_n), {"x": x, "output": output}, grads_of(weights))


@entrance(REFERENCE)
def functional_cell(draw: Draw, side: Side) -> None:
    """`fastgru.functional.gru_cell`, one bias perhaps missing."""
    dtype = draw.one_of(torch.float32, torch.float64)
    x = draw.strange("x", draw.normal(2, I, dtype=dtype))
    hx = draw.strange("hx", draw.normal(2, H, dtype=dtype)) if draw.chance(0.6) else None
    weights = stack_of_weights(draw, 1, 1, dtype)
    if draw.chance(0.2):
        weights[draw.one_of(2, 3)] = None
    result = fastgru.functional.gru_cell(x, hx, *weights)
    side.found["h"] = snapshot(result)
    if result.requires_grad:
        backwards(draw, side, (result,), {"x": x, "output": result}, grads_of(weights))


def _operands(draw: Draw) -> tuple[list[Any], list[Any]]:
    """All tensors of an operator in its order, and its options."""
    dtype, layers, both, first = draw.one_of(torch.float32, torch.float64), draw.one_of(1, 2), draw.chance(0.3), False
    steps, rows = sizes_of(draw)
    cells = layers * (2 if both else 1)
    x = draw.strange("x", draw.normal(steps, rows, I, dtype=dtype), OTHER_SIZES, share=0.15)
    h_0, anew, lengths, reset = None, None, None, None
    if draw.chance(0.5):
        h_0 = draw.strange("h_0", draw.normal(cells, rows, H, dtype=dtype), OTHER_SIZES)
    weights = stack_of_weights(draw, layers, 2 if both else 1, dtype)
    if draw.chance(0.15) and not draw.name.argument:
        draw.note("weights=one too few")
        weights = weights[:-1]
    if draw.chance(0.4):
        usual = torch.tensor([draw.integer(0, steps) for _ in range(rows)])
        lengths = draw.strange("lengths", usual, LENGTHS)
    if draw.chance(0.4):
        reset = draw.strange("reset", torch.rand(steps, rows, generator=draw.generator) < 0.3, MASKS)
        anew = draw.strange("reset_state", draw.normal(cells, rows, H, dtype=dtype), OTHER_SIZES)
    if draw.chance(0.1) and not draw.name.argument:
        layers = draw.one_of(0, -1, 3, 2**40)
        draw.note(f"num_layers={layers}")
    return [x, h_0, anew, weights, lengths, reset], [layers, both, first, draw.chance(0.3)]


def _expected(tensors: list[Any], options: list[Any]) -> tuple[Tensor, Tensor]:
    """What the layer's own door, by our reference, makes of the operands."""
    x, h_0, anew, weights, lengths, reset = tensors
    layers, both, first, recompute = options
    sequences = {"lengths": lengths, "reset": reset, "reset_state": anew}
    return fastgru.functional.gru(
        x, h_0, weights, num_layers=layers, bidirectional=both, batch_first=first, recompute=recompute, **sequences
    )


@entrance(REFERENCE, share=4)
def forward_operator(draw: Draw, side: Side) -> None:
    """`torch.ops.fastgru.forward`, as exported programs call it."""
    tensors, options = _operands(draw)
    saves, trains = draw.chance(0.5), draw.chance(0.5)
    with contextlib.nullcontext() if trains else infers(draw):
        if side.name == OURS:
            output, h_n, _ = torch.ops.fastgru.forward(*tensors, *options, saves)
        else:
            output, h_n = _expected(tensors, options)
        keep(side, ("output", "h_n"), (output, h_n))
        if output.requires_grad and output.numel():
            backwards(draw, side, (output, h_n), {"x": tensors[0], "output": output}, grads_of(tensors[3]))


@entrance(REFERENCE, share=4)
def backward_operator(draw: Draw, side: Side) -> None:
    """`torch.ops.fastgru.backward`, its saved tensors made by hand."""
    tensors, options = _operands(draw)
    wanted = [draw.chance(0.7) and t is not None for t in (*tensors[:3], *tensors[3])]
    outers = draw.one_of((True, False), (True, True), (False, True))
    if draw.chance(0.1) and not draw.name.argument:
        draw.note("wanted=of another length")
        wanted = wanted[:-1]
    with torch.no_grad():
        output, h_n = _expected(tensors, options)
    outer = [
        draw.normal(*t.shape, dtype=t.dtype) if has else None for t, has in zip((output, h_n), outers, strict=True)
    ]
    outer[0] = outer[0] if outer[0] is None else draw.strange("d_output", outer[0], OTHER_SIZES)
    outer[1] = outer[1] if outer[1] is None else draw.strange("d_h_n", outer[1], OTHER_SIZES)
    kept: list[Any] = [None, None]
    if side.name == OURS and draw.chance(0.5):
        with torch.no_grad():
            kept = list(torch.ops.fastgru.forward(*tensors, *options, True)[::2])
        kept[0] = draw.strange("output", kept[0], OTHER_SIZES)
        kept[1] = draw.strange("saved", kept[1], OTHER_SIZES, share=0.6)
        draw.is_loose |= bool(draw.notes) and draw.notes[-1].startswith(("output=", "saved="))  # nobody's gradients
    if side.name == OURS:
        found = torch.ops.fastgru.backward(*outer, *kept, *tensors, *options, wanted)
    else:
        found = _expected_gradients(tensors, options, outer, wanted)
    for i, is_wanted in enumerate(wanted):
        if is_wanted:
            side.found[f"gradient {i}"] = snapshot(found[i])


def _expected_gradients(tensors: list[Any], options: list[Any], outer: list[Any], wanted: list[bool]) -> list[Any]:
    """Of all tensors in order; zeros where torch has none."""
    x, h_0, anew, weights, lengths, reset = tensors
    leaves = [None if t is None else t.detach().requires_grad_() for t in (x, h_0, anew, *weights)]
    results = _expected([*leaves[:3], leaves[3:], lengths, reset], options)
    pairs = [(result, d) for result, d in zip(results, outer, strict=True) if d is not None]
    asked = [t for t, _ in zip(leaves, wanted, strict=True) if t is not None]
    outputs, outers = zip(*pairs, strict=True)
    found = iter(torch.autograd.grad(outputs, asked, outers, allow_unused=True, materialize_grads=True))
    return [None if t is None else next(found) for t in leaves]


@entrance(REFERENCE, share=3)
def transforms(draw: Draw, side: Side) -> None:
    """Transforms of a functional call of a layer."""
    made = side.build(draw, "GRU", I, H, batch_first=draw.chance(0.5), dtype=torch.float64)
    x = draw.strange("x", draw.normal(3, 4, I, dtype=torch.float64))
    state = {name: t.detach() for name, t in made.named_parameters()}
    name = draw.one_of(*state)
    state[name] = draw.strange("weight", state[name], share=0.3)
    tangent = draw.strange("tangent", draw.normal(3, 4, I, dtype=torch.float64), share=0.3)
    way = draw.one_of("call", "grad", "vmap", "vmap of grad", "jvp", "models", "vmap outside")
    draw.note(way)

    def loss(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(made, weights, (one,))[0].square().sum()

    ways = {
        "call": lambda: loss(state, x),
        "grad": lambda: torch.func.grad(loss)(state, x)[name],
        "vmap": lambda: torch.vmap(lambda one: made(one)[0])(x),
        "vmap of grad": lambda: torch.vmap(torch.func.grad(loss), (None, 0))(state, x)[name],
        "jvp": lambda: torch.func.jvp(lambda one: loss(state, one), (x,), (tangent,))[1],
        "models": lambda: torch.vmap(loss, (0, None))({n: torch.stack([w, w]) for n, w in state.items()}, x),
        "vmap outside": lambda: torch.vmap(lambda one: loss(state, one), in_dims=1)(x),
    }
    side.found[way] = snapshot(ways[way]())


@entrance(REFERENCE)
def side_by_side(draw: Draw, side: Side) -> None:
    """Many models in one call, by the operator or by vmap, and strange states."""
    models, steps, rows = 2, 3, 2
    x = draw.strange("x", draw.normal(models, steps, rows, I))
    h_0 = draw.strange("h_0", draw.normal(models, 1, rows, H), OTHER_SIZES)
    shapes = ((3 * H, I), (3 * H, H), (3 * H,), (3 * H,))
    weights: list[Any] = [draw.normal(models, *shape) for shape in shapes]
    at = draw.integer(0, 3)
    weights[at] = draw.strange("weight", weights[at], OTHER_SIZES)
    if side.name == OURS and draw.chance(0.5):
        output, h_n, _ = torch.ops.fastgru.forward(x, h_0, None, weights, None, None, 1, False, False, False, False)
    else:
        calls = [fastgru.functional.gru(x[i], h_0[i], [w[i] for w in weights]) for i in range(models)]
        output, h_n = (torch.stack(list(parts)) for parts in zip(*calls, strict=True))
    keep(side, ("output", "h_n"), (output, h_n))
