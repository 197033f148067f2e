"""Models that are saved: usual ones, and small ones made of a function."""

from __future__ import annotations

import torch
from torch import nn

import fastgru


class Tagger(nn.Module):
    def __init__(self, layer=nn.GRU):
        super().__init__()
        self.words = nn.Embedding(10, 4)
        self.gru = layer(4, 6, 2, bidirectional=True, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.LayerNorm(12)
        self.tags = nn.Linear(12, 3)

    def forward(self, words):
        output, _ = self.gru(self.words(words))
        return self.tags(torch.relu(self.norm(self.drop(output)))).softmax(-1)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, 2, bidirectional=True)
        self.label = nn.Linear(12, 3)

    def forward(self, x):
        output, h_n = self.gru(x)
        return self.label(torch.cat([h_n[-2], h_n[-1]], -1)), self.label(output[-1])


class TwoStates(nn.Module):
    def __init__(self):
        super().__init__()
        self.front = nn.Linear(4, 6)
        self.lower = nn.GRU(6, 6, batch_first=True)
        self.upper = nn.GRU(6, 6, batch_first=True)
        self.back = nn.Linear(6, 2)

    def forward(self, x, h):
        y, first = self.lower(torch.tanh(self.front(x)), h[0:1])
        z, second = self.upper(y, h[1:2])
        return torch.sigmoid(self.back(y + z)), torch.cat([first, second])


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(4, 8), nn.SiLU())
        self.cell = nn.GRUCell(8, 6)
        self.action = nn.Linear(6, 2)
        self.value = nn.Linear(6, 1)

    def forward(self, x, h):
        h = self.cell(self.encoder(x), h)
        return self.action(h).log_softmax(-1), self.value(h).squeeze(-1), h


class OneStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, 2)
        self.out = nn.Linear(6, 2)

    def forward(self, x, h):
        y, h = self.gru(x.unsqueeze(0), h)
        return self.out(y.squeeze(0)), h


class Flattened(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(4, 6, batch_first=True)
        self.out = nn.Linear(6, 2)

    def forward(self, x):
        y, _ = self.gru(x)
        batch, steps, width = y.shape
        return self.out(y.reshape(batch * steps, width)).view(batch, steps, 2)


class Mask(nn.Module):
    """Features in the middle, statistics as buffers, a gate from a part of the features."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.randn(4))
        self.gru = nn.GRU(8, 6, batch_first=True)
        self.out = nn.Linear(6, 8)

    def forward(self, x, row):
        y = (x.transpose(1, 2) - self.mean) / 2.5
        row = row.unsqueeze(1)
        y, _ = self.gru(torch.cat([y * row, 1 - y], -1))
        first, second = self.out(y).chunk(2, -1)
        return x * (first * torch.sigmoid(second)).transpose(1, 2)


def words(*shape):
    return torch.randint(10, shape)


def learned(layer):
    with torch.no_grad():
        layer.h_0.uniform_(-1, 1)
    return layer


def model_of(function, *modules):
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            for name, module in modules:
                self.add_module(name, module)

        def forward(self, *args):
            return function(self, *args)

    return Wrapped()


GRU = ("gru", nn.GRU(4, 6, batch_first=True))
OURS = ("gru", fastgru.GRU(4, 6, batch_first=True))
STACK = ("gru", nn.GRU(4, 6, 2, bidirectional=True, batch_first=True))
X = torch.randn(3, 5, 4)
