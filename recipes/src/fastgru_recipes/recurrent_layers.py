"""The recurrent layers that recipes can be run on, all called in one way: `layer(input, state, lengths=lengths)`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.rnn import GRU as STOCK_GRU
from torch.nn.modules.rnn import LSTM as STOCK_LSTM
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import fastgru

# A GRU's state is one tensor (layers * directions, B, H), an LSTM's a pair of them.
HiddenState = Any


def _packing(call: Any, input: Tensor, hx: HiddenState, lengths: Tensor | None) -> tuple[Tensor, HiddenState]:
    """Gives torch's layers the `lengths` of ours, by the packing that they ask for."""
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


def recurrent(name: str, input_size: int, hidden_size: int, **options: Any) -> nn.Module:
    """A layer with the batch first.

    Args:
        name: "fastgru", "torch" or "lstm". The first two have the same parameters under the same names, so that weights
            of the one load into the other.
        input_size: features per step.
        hidden_size: size of the state.
        **options: num_layers, dropout, bidirectional.

    Returns:
        A module whose call takes input (B, T, I), a state or None, and lengths (B,), at least 1 each, or None; and
        returns the output (B, T, D*H), zeros past the lengths, and the state.

    Example:
        >>> import torch
        >>> from fastgru_recipes.recurrent_layers import recurrent
        >>> layer = recurrent("fastgru", 3, 8)
        >>> output, state = layer(torch.zeros(2, 5, 3), lengths=torch.tensor([5, 2]))
        >>> output.shape, state.shape
        (torch.Size([2, 5, 8]), torch.Size([1, 2, 8]))
    """
    if options.get("num_layers", 1) == 1:
        options["dropout"] = 0.0  # there is nothing between layers; torch would warn
    return LAYERS[name](input_size, hidden_size, batch_first=True, **options)


def count(model: nn.Module) -> int:
    """Parameters of the recurrent layers of a network, without all else."""
    recurrent = [module for module in model.modules() if isinstance(module, tuple(LAYERS.values()))]
    return sum(parameter.numel() for module in recurrent for parameter in module.parameters())


def hidden(state: HiddenState) -> Tensor:
    """h_n (layers * directions, B, H) of a state: what an LSTM calls so too, without its cells."""
    h_n: Tensor = state[0] if isinstance(state, tuple) else state
    return h_n


def summary(state: HiddenState, directions: int = 1) -> Tensor:
    """The last layer's h_n, both directions side by side: (B, D*H), a whole sequence as one vector."""
    return torch.cat(tuple(hidden(state)[-directions:]), dim=-1)


def starting(name: str, h_0: Tensor) -> HiddenState:
    """A state to start from, of the layer of that name: h_0 (layers, B, H), with empty cells for an LSTM."""
    return (h_0, torch.zeros_like(h_0)) if name == "lstm" else h_0


def selected(state: HiddenState, rows: Tensor) -> HiddenState:
    """The states of some rows of a batch, in the order of `rows`."""
    return tuple(part[:, rows] for part in state) if isinstance(state, tuple) else state[:, rows]
