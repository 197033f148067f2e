"""A stream whose steps arrive one by one: a stepper, and the time of a step compared with torch's layer."""

from __future__ import annotations

import time

import torch

from fastgru import GRU


def microseconds(call, steps: list[torch.Tensor]) -> float:
    """The mean time of one call over all steps."""
    start = time.perf_counter()
    for step in steps:
        call(step)
    return (time.perf_counter() - start) / len(steps) * 1e6


@torch.no_grad()
def main() -> None:
    """Runs a signal through the layer and through a stepper, and compares bits and times."""
    torch.manual_seed(0)
    gru = GRU(16, 64, num_layers=2).eval()
    signal = torch.randn(500, 1, 16)
    whole, h_n = gru(signal)

    stepper = gru.stepper()
    outputs = torch.stack([stepper(step).clone() for step in signal])
    assert torch.equal(outputs, whole)
    assert torch.equal(stepper.state, h_n)
    print("steps and sequence: the same bits")

    steps = list(signal.split(1))
    stock, frozen = gru.to_torch(), GRU.from_torch(gru.to_torch()).freeze()
    for name, call in (("torch.nn.GRU", stock), ("plain call", gru), ("frozen layer", frozen)):
        print(f"{name:12}: {microseconds(call, steps):6.1f} us a step")
    print(f"{'stepper':12}: {microseconds(stepper, list(signal)):6.1f} us a step")


if __name__ == "__main__":
    main()
