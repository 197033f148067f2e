"""Layers that carry their state, layers for comparison, and a model that contains one."""

from __future__ import annotations

import torch
from torch import nn

import fastgru


def pair_of(options):
    layer, plain = fastgru.StatefulGRU(3, 5, 2, **options), fastgru.GRU(3, 5, 2, **options)
    if "learn_h0" in options:
        torch.nn.init.normal_(layer.h_0)
    plain.load_state_dict(layer.state_dict())
    return layer, plain


def went_on(layer, x):
    """Whether a call with gradients goes on from the layer's state and moves it."""
    plain = fastgru.GRU(layer.input_size, layer.hidden_size, layer.num_layers, dtype=x.dtype)
    plain.load_state_dict(layer.state_dict())
    want, last = plain(x, layer.state)
    output, _ = layer(x)
    output.sum().backward()
    return torch.equal(output, want) and torch.equal(layer.state, last)


class Reader(nn.Module):
    """A model with a layer of the kind inside."""

    def __init__(self, kind=fastgru.StatefulGRU):
        super().__init__()
        self.gru = kind(3, 5)

    def forward(self, x):
        return self.gru(x)[0].sin()
