"""Strategies for hypothesis: layers, sizes around all edges of the kernels, inputs of every layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

# Around the widths of vectors (2 to 16 lanes), of register tiles (4 and 8 rows, 1 to 3 vectors) and of panels.
EDGES = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 47, 48, 49)

sizes = st.sampled_from(EDGES)
batches = st.one_of(st.integers(1, 10), st.sampled_from((15, 16, 17, 33)))
steps = st.integers(1, 12)
dtypes = st.sampled_from((torch.float32, torch.float64))
seeds = st.integers(0, 2**16)
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=12)
# Few that are long enough for threads to project ahead of the steps. For tests of equal bits alone: with weights drawn
# at will, rounding differences grow from step to step.
long_lengths = st.lists(st.integers(30, 70), min_size=1, max_size=5)


@dataclass
class LayerCall:
    """A layer to build and what to call it with."""

    kind: str
    args: tuple[int, ...]
    kwargs: dict[str, Any]
    inputs: tuple[Any, ...]


def laid_out(tensor: Tensor, layout: str) -> Tensor:
    """The same numbers in another arrangement of memory."""
    if layout == "transposed":
        return tensor.transpose(0, -1).contiguous().transpose(0, -1)
    if layout == "gaps":
        return torch.stack([tensor, tensor + 1], dim=-1)[..., 0]
    if layout == "offset":
        flat = torch.empty(tensor.numel() + 3, dtype=tensor.dtype)
        view = flat[3:].view(tensor.shape)
        return view.copy_(tensor)
    if layout == "expanded":
        return tensor[..., :1].expand(tensor.shape)
    return tensor


layouts = st.sampled_from(("dense", "transposed", "gaps", "offset", "expanded"))


@st.composite
def layer_calls(draw: st.DrawFn) -> LayerCall:
    """Any layer or cell that torch builds for the CPU, and any input that fits it."""
    kind = draw(st.sampled_from(("GRU", "GRU", "GRU", "GRUCell")))
    input_size, hidden_size, dtype = draw(sizes), draw(sizes), draw(dtypes)
    random = torch.Generator().manual_seed(draw(seeds))
    kwargs: dict[str, Any] = {"bias": draw(st.booleans()), "dtype": dtype}

    def tensor(*shape: int) -> Tensor:
        made = laid_out(torch.randn(shape, generator=random, dtype=dtype), draw(layouts))
        return made.requires_grad_(draw(st.booleans()))

    with_state = draw(st.booleans())
    if kind == "GRUCell":
        batch = draw(st.sampled_from(((), (1,), (3,), (9,))))
        inputs = (tensor(*batch, input_size), *((tensor(*batch, hidden_size),) if with_state else ()))
        return LayerCall(kind, (input_size, hidden_size), kwargs, inputs)

    layers = draw(st.integers(1, 3))
    kwargs |= {"num_layers": layers, "bidirectional": draw(st.booleans()), "batch_first": draw(st.booleans())}
    kwargs["dropout"] = draw(st.sampled_from((0.0, 0.0, 0.3))) if layers > 1 else 0.0
    cells = layers * (2 if kwargs["bidirectional"] else 1)
    form = draw(st.sampled_from(("batched", "unbatched", "packed")))
    if form == "packed":
        own = draw(lengths)
        rows = [torch.randn(n, input_size, generator=random, dtype=dtype) for n in own]
        packed = pack_sequence(rows, enforce_sorted=False)
        x: Any = packed._replace(data=packed.data.requires_grad_(draw(st.booleans())))
        state = (cells, len(own), hidden_size)
    elif form == "unbatched":
        x, state = tensor(draw(steps), input_size), (cells, hidden_size)
    else:
        batch, count = draw(batches), draw(steps)
        shape = (batch, count) if kwargs["batch_first"] else (count, batch)
        x, state = tensor(*shape, input_size), (cells, batch, hidden_size)
    return LayerCall(kind, (input_size, hidden_size), kwargs, (x, tensor(*state)) if with_state else (x,))
