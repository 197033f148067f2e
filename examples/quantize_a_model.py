"""A model served with weights in fewer bytes: how much faster each kind is, and how far its outputs move."""

from __future__ import annotations

import time

import torch
from torch import Tensor, nn

import fastgru


class Speech(nn.Module):
    """Frames of a spectrum to a probability for each band, as in a denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = nn.GRU(64, 256, num_layers=2)
        self.mask = nn.Linear(256, 64)

    def forward(self, frames: Tensor) -> Tensor:
        """Masks (T, B, 64) for frames of the same shape."""
        return torch.sigmoid(self.mask(self.gru(frames)[0]))


def milliseconds(model: nn.Module, frames: Tensor) -> float:
    """The time of a call, the best of ten."""
    times = []
    for _ in range(10):
        start = time.perf_counter()
        model(frames)
        times.append(time.perf_counter() - start)
    return min(times) * 1000


@torch.no_grad()
def main() -> None:
    """Freezes the model with each kind of weights, and prints times and differences."""
    torch.manual_seed(0)
    model, frames = Speech().eval(), torch.randn(100, 1, 64)
    fastgru.replace_gru(model, freeze=True)
    want, plain = model(frames), milliseconds(model, frames)
    for weights in ("float16", "bfloat16", "int8"):
        report = fastgru.freeze(model, weights=weights)
        assert report.frozen == ("gru",)
        apart = (model(frames) - want).abs().max().item()
        print(f"{weights:8}: {plain / milliseconds(model, frames):.1f} times as fast, at most {apart:.1e} apart")
        assert apart < 0.05
    print(model)


if __name__ == "__main__":
    main()
