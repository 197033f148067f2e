"""The recurrent layers of the recipes, all with the same call: `layer(input, state, lengths=lengths)`."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU as STOCK_GRU
from torch.nn.modules.rnn import LSTM as STOCK_LSTM
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru

# A GRU's state is one tensor (layers * directions, B, H), an LSTM's a pair of them.
HiddenState = Any
LayerName = Literal["fastgru", "torch", "lstm"]


class RecurrentOptions(NamedTuple):
    """Options of a recurrent layer.

    Attributes:
        name: "fastgru", "torch" (`torch.nn.GRU`) or "lstm" (`torch.nn.LSTM`). The first two have the same parameters
            under the same names, so each loads the other's weights.
        hidden: size of the state, H.
        layers: how many are stacked.
        dropout: probability of zeroing an element between layers.
    """

    name: LayerName
    hidden: int
    layers: int = 1
    dropout: float = 0.0


def _packing(call: Any, input: Tensor, hx: HiddenState, lengths: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Calls a layer of torch's with `lengths`, by way of packed sequences."""
    if lengths is None:
        output, state = call(input, hx)
        return output, state
    packed = pack_padded_sequence(input, lengths.cpu(), batch_first=True, enforce_sorted=False)
    output, state = call(packed, hx)
    return pad_packed_sequence(output, batch_first=True, total_length=input.shape[1])[0], state


class _TorchGRU(STOCK_GRU):
    def forward(self, input: Tensor, hx: HiddenState = None, lengths: Tensor | None = None) -> Any:  # type: ignore[override]
        return _packing(super().forward, input, hx, lengths)


class _TorchLSTM(STOCK_LSTM):
    def forward(self, input: Tensor, hx: HiddenState = None, lengths: Tensor | None = None) -> Any:  # type: ignore[override]
        return _packing(super().forward, input, hx, lengths)


LAYERS: dict[str, type[nn.Module]] = {"fastgru": fastgru.GRU, "torch": _TorchGRU, "lstm": _TorchLSTM}


def recurrent(options: RecurrentOptions, input_size: int, bidirectional: bool = False) -> nn.Module:
    """A recurrent layer with `batch_first=True`.

    Args:
        options: which layer, and its sizes.
        input_size: features of each step, I.
        bidirectional: adds a second direction: D = 2.

    Returns:
        A module. Its call takes the input (B, T, I), a state or None, and lengths (B,) of at least 1, or None. It
        returns the output (B, T, D*H), which is zero past the lengths, and the state.

    Example:
        >>> import torch
        >>> from fastgru_recipes.recurrent_layers import RecurrentOptions, recurrent
        >>> layer = recurrent(RecurrentOptions("fastgru", hidden=8), input_size=3)
        >>> output, state = layer(torch.zeros(2, 5, 3), lengths=torch.tensor([5, 2]))
        >>> output.shape, state.shape
        (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """
    dropout = options.dropout if options.layers > 1 else 0.0  # torch warns of dropout in a single layer
    stacked: dict[str, Any] = {"num_layers": options.layers, "dropout": dropout, "bidirectional": bidirectional}
    return LAYERS[options.name](input_size, options.hidden, batch_first=True, **stacked)


def count(model: nn.Module) -> int:
    """The number of parameters in the recurrent layers of a network."""
    recurrent = [module for module in model.modules() if isinstance(module, tuple(LAYERS.values()))]
    return sum(parameter.numel() for module in recurrent for parameter in module.parameters())


def hidden(state: HiddenState) -> Tensor:
    """h_n (layers * directions, B, H) of a state; the cells of an LSTM are left out."""
    h_n: Tensor = state[0] if isinstance(state, tuple) else state
    return h_n


def summary(state: HiddenState, directions: int = 1) -> Tensor:
    """The last layer's h_n with the directions concatenated, (B, D*H): one vector for each sequence."""
    return torch.cat(tuple(hidden(state)[-directions:]), dim=-1)


def valid_steps(steps: int, lengths: Tensor) -> Tensor:
    """Whether each of `steps` steps is one of a sequence and not padding: (B, T) of lengths (B,)."""
    return torch.arange(steps, device=lengths.device) < lengths[:, None]


def starting(name: str, h_0: Tensor) -> HiddenState:
    """The initial state from h_0 (layers, B, H), for the layer of that name: with zero cells for an LSTM."""
    return (h_0, torch.zeros_like(h_0)) if name == "lstm" else h_0


def selected(state: HiddenState, rows: Tensor) -> HiddenState:
    """The states of some rows of a batch, in the order of `rows`."""
    return tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]
