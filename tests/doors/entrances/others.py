"""Frozen layers, steppers, nested tensors, and functions that take layers."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import fastgru
from doors import meanwhile
from doors.draw import Draw
from doors.entrances.bounded import LENGTHS, sequences_of
from doors.entrances.layers import H, I, backwards, cells_of, infers, keep, options_of, padded, sizes_of, wanted
from doors.oracle import snapshot
from doors.registry import entrance
from doors.sides import OURS, REFERENCE, Side, put_strange_weight


@entrance(REFERENCE, share=4)
def frozen(draw: Draw, side: Side) -> None:
    """A frozen layer, called before and after somebody writes to a weight."""
    options = options_of(draw)
    with torch.inference_mode() if draw.chance(0.1) else contextlib.nullcontext():
        made = side.build(draw, "GRU", I, H, **options)
    put_strange_weight(draw, made)
    steps, rows = sizes_of(draw)
    usual = draw.normal(*padded(options, steps, rows), I, dtype=options["dtype"])
    x = draw.strange("x", usual)
    hx = (
        draw.strange("hx", draw.normal(cells_of(options), rows, H, dtype=options["dtype"]))
        if draw.chance(0.4)
        else None
    )
    given = sequences_of(draw, side, options, steps, rows) if draw.chance(0.3) else {}
    if side.name == OURS:
        made.freeze()
    with contextlib.nullcontext() if draw.chance(0.2) else infers(draw):
        with meanwhile.during(draw, {"x": x, "hx": hx, **given}):
            keep(side, ("output", "h_n"), made(x, hx, **given))
        meanwhile.between(draw, {"weight": getattr(made, draw.one_of("weight_hh_l0", "weight_ih_l0"))}, share=0.5)
        keep(side, ("output again", "h_n again"), made(usual))
    if side.name == OURS:
        made.unfreeze()
    with torch.no_grad():
        keep(side, ("output at last", "h_n at last"), made(usual))


class _Steps:
    """What a stepper does, by calls of the layer."""

    def __init__(self, layer: nn.Module, batch: int, h_0: Any) -> None:
        self.layer = layer
        self.state = torch.zeros(layer.num_layers, batch, H, dtype=layer.weight_hh_l0.dtype)
        self.output = torch.zeros(batch, H, dtype=self.state.dtype)
        self.reset(h_0)

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            output, h_n = self.layer(x.unsqueeze(0), self.state)
            self.state.copy_(h_n)
            return self.output.copy_(output[0])

    def reset(self, h_0: Any = None) -> None:
        with torch.no_grad():
            if h_0 is None:
                self.state.zero_()
            elif h_0.shape != self.state.shape:
                raise fastgru.errors.ShapeError("the state has another size")
            else:
                self.state.copy_(h_0)


def _assigned(stepper: Any, t: Tensor) -> None:
    stepper.state = torch.ones_like(t)


_STEPPER_CHANGES: dict[str, Callable[[Any, Tensor], Any]] = {
    **{
        name: lambda stepper, t, change=change: change(t)
        for name, change in (meanwhile.SEEN | meanwhile.UNSEEN).items()
    },
    "assigned": _assigned,
}


@entrance(REFERENCE, share=5)
def stepper(draw: Draw, side: Side) -> None:
    """Steps of a stream, while somebody does what he likes with state and output."""
    options = {**options_of(draw), "bidirectional": False, "batch_first": False}
    options["dtype"] = draw.one_of(torch.float32, torch.float64)
    width = draw.one_of(H, I)
    made, rows = side.build(draw, "GRU", width, H, **options), draw.one_of(1, 3)
    put_strange_weight(draw, made)
    h_0 = (
        draw.strange("h_0", draw.normal(cells_of(options), rows, H, dtype=options["dtype"]))
        if draw.chance(0.4)
        else None
    )
    steps = made.stepper(rows, h_0) if side.name == OURS else _Steps(made, rows, h_0)
    for step in range(4):
        what = draw.one_of("step", "step", "step", "reset", "feed output", "feed state", "change")
        x = draw.strange("x", draw.normal(rows, width, dtype=options["dtype"]), share=0.3)
        if what == "reset":
            steps.reset(draw.strange("h_0", draw.normal(cells_of(options), rows, H, dtype=options["dtype"])))
        if what == "feed output" and width == H:
            x = steps.output
        if what == "feed state" and width == H:
            x = steps.state[-1]
        if what == "change" and not draw.name.argument:
            _change(draw, steps)
        canary = torch.full_like(steps.state, 7.0)
        side.found[f"output {step}"] = snapshot(steps(x))
        side.found[f"state {step}"] = snapshot(steps.state)
        side.found[f"canary {step}"] = bool((canary == 7.0).all())


def _change(draw: Draw, steps: Any) -> None:
    name, change = draw.one_of("state", "state", "output"), draw.one_of(*_STEPPER_CHANGES)
    draw.note(f"{name}={change}")
    draw.is_loose |= change in ("resized", "freed", "given_smaller_data", "assigned", "set_to_other_memory")
    with contextlib.suppress(RuntimeError, TypeError, AttributeError), torch.no_grad():
        _STEPPER_CHANGES[change](steps, getattr(steps, name))


@entrance(REFERENCE, share=2)
def nested(draw: Draw, side: Side) -> None:
    """Nested tensors of jagged layout, and others."""
    options = options_of(draw)
    made = side.build(draw, "GRU", I, H, **options)
    rows = draw.integer(1, 4)
    parts = [draw.normal(draw.integer(0, 4), I, dtype=options["dtype"]) for _ in range(rows)]
    layout = draw.one_of(torch.jagged, torch.jagged, torch.jagged, torch.strided)
    usual = torch.nested.nested_tensor(parts, layout=layout)
    way = draw.one_of("as made", "as made", "by offsets", "with holes", "transposed", "narrowed")
    draw.note(f"nested {way} {layout}")
    x: Any = usual
    if way == "by offsets":
        offsets = draw.strange("offsets", torch.tensor([0, 2, 5]), LENGTHS)
        x = torch.nested.nested_tensor_from_jagged(draw.strange("values", draw.normal(5, I)), offsets)
        made = side.build(draw, "GRU", I, H)
    if way == "with holes":
        x = torch.nested.nested_tensor_from_jagged(draw.normal(6, I), torch.tensor([0, 3, 6]), torch.tensor([2, 1]))
    if way == "transposed":
        x = usual.transpose(1, 2)
    if way == "narrowed":
        x = torch.nested.narrow(
            draw.normal(2, 5, I), 1, torch.tensor([0, 1]), torch.tensor([2, 3]), layout=torch.jagged
        )
    state = draw.normal(cells_of(options), rows, H, dtype=options["dtype"])
    hx = draw.strange("hx", state) if draw.chance(0.4) else None
    trains = draw.chance(0.5)
    with contextlib.nullcontext() if trains else infers(draw):
        output, h_n = made(x, hx)
        keep(side, ("output", "h_n"), (output, h_n))
        if trains:
            backwards(draw, side, (h_n,), {"x": x, "h_n": h_n}, wanted(made, hx))


@entrance(None)
def last_output(draw: Draw, side: Side) -> None:
    """Picking the last outputs."""
    steps, rows = sizes_of(draw)
    output = draw.strange("output", draw.normal(steps, rows, H))
    lengths = draw.strange("lengths", torch.tensor([draw.integer(0, steps) for _ in range(rows)]), LENGTHS, share=0.7)
    side.found["picked"] = snapshot(fastgru.last_output(output, lengths))


MODELS: dict[str, Callable[[Draw, nn.Module], Any]] = {
    "as_it_is": lambda draw, model: model,
    "inside": lambda draw, model: nn.Sequential(model, nn.Linear(2, 2)),
    "twice": lambda draw, model: nn.ModuleList([model, model]),
    "on_meta": lambda draw, model: model.to("meta"),
    "in_half": lambda draw, model: model.half(),
    "complex": lambda draw, model: model.to(torch.complex64),
    "compiled": lambda draw, model: torch.compile(model),
    "scripted": lambda draw, model: torch.jit.script(model),
    "an_lstm": lambda draw, model: nn.LSTM(I, H),
    "a_linear": lambda draw, model: nn.Linear(I, H),
    "a_class": lambda draw, model: nn.GRU,
    "none": lambda draw, model: None,
    "text": lambda draw, model: "gru",
    "lazy": lambda draw, model: nn.LazyLinear(3),
}


@entrance(None)
def whole_layers(draw: Draw, side: Side) -> None:
    """What takes a layer, or a model, in whatever state it is."""
    stock = draw.one_of(nn.GRU, nn.GRUCell)(I, H)
    with contextlib.suppress(TypeError, RuntimeError, AttributeError, ValueError):  # torch's, of the strange weight
        put_strange_weight(draw, stock)
    name = draw.one_of(*MODELS)
    draw.note(f"model {name}")
    model = MODELS[name](draw, stock)
    what = draw.one_of("from_torch", "replace", "replace and run", "explain", "convert", "cell from_torch")
    draw.note(what)
    x = draw.strange("x", draw.normal(4, 2, I))
    if what == "from_torch":
        fastgru.GRU.from_torch(model)
    elif what == "cell from_torch":
        fastgru.GRUCell.from_torch(model)
    elif what == "explain":
        replaced = fastgru.replace_gru(stock).model
        side.found["told"] = str(fastgru.explain(replaced if name == "as_it_is" else model, x))
    elif what == "convert":
        state = {n: draw.strange("weight", t) for n, t in stock.state_dict().items()}
        fastgru.convert.read("torch", state, convention="z_takes_new")
    else:
        fastgru.replace_gru(model)
        if what == "replace and run":
            side.found["output"] = snapshot(stock(x[0] if isinstance(stock, fastgru.GRUCell) else x))
