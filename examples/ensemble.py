"""An ensemble of forecasters, trained and evaluated in one call of `vmap`. Their spread shows the uncertainty."""

from __future__ import annotations

import copy

import torch
from torch.func import functional_call, grad_and_value, stack_module_state, vmap

import fastgru


class Forecaster(torch.nn.Module):
    """Predicts the next value of a series."""

    def __init__(self) -> None:
        super().__init__()
        self.gru = fastgru.GRU(1, 16)
        self.head = torch.nn.Linear(16, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Predictions (B, 1) for series (T, B, 1)."""
        _, h_n = self.gru(x)
        return self.head(h_n[-1])


def main(models: int = 8, steps: int = 60) -> None:
    """Trains the ensemble on waves, and evaluates it on waves of the same length and on shorter ones."""
    torch.manual_seed(0)
    ensemble = [Forecaster() for _ in range(models)]
    parameters, buffers = stack_module_state(ensemble)
    base = copy.deepcopy(ensemble[0]).to("meta")

    def predict(own: dict, rest: dict, x: torch.Tensor) -> torch.Tensor:
        return functional_call(base, (own, rest), (x,))

    def loss(own: dict, rest: dict, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return (predict(own, rest, x) - y).square().mean()

    def waves(batch: int, length: float) -> torch.Tensor:
        return torch.sin(torch.arange(21.0)[:, None, None] * 6.28 / length + 6.28 * torch.rand(1, batch, 1))

    optimizer = torch.optim.Adam(parameters.values(), lr=0.02)
    step = vmap(grad_and_value(loss), in_dims=(0, 0, None, None))
    for number in range(steps):
        series = waves(32, 15.0)
        gradients, losses = step(parameters, buffers, series[:-1], series[-1])
        for name, parameter in parameters.items():
            parameter.grad = gradients[name]
        optimizer.step()
        if number % 20 == 0 or number == steps - 1:
            print(f"step {number:2d}: losses {losses.min():.3f} to {losses.max():.3f}")

    for length in (15.0, 5.0):
        with torch.no_grad():
            predictions = vmap(predict, in_dims=(0, 0, None))(parameters, buffers, waves(100, length)[:-1])
        print(f"waves of {length:.0f} steps: the models differ by {predictions.std(0).mean():.3f}")


if __name__ == "__main__":
    main()
