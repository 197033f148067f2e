"""An existing model before and after `replace_gru`: same results, and the time of each."""

from __future__ import annotations

import time

import torch

import fastgru


class Tagger(torch.nn.Module):
    """Labels every step of a sequence of words."""

    def __init__(self) -> None:
        super().__init__()
        self.words = torch.nn.Embedding(1000, 64)
        self.gru = torch.nn.GRU(64, 64, bidirectional=True, batch_first=True)
        self.labels = torch.nn.Linear(128, 10)

    def forward(self, words: torch.Tensor) -> torch.Tensor:
        """Scores (B, T, 10) for words (B, T)."""
        output, _ = self.gru(self.words(words))
        return self.labels(output)


def median_ms(model: torch.nn.Module, words: torch.Tensor, rounds: int = 20) -> float:
    """The median time of one forward and backward pass."""
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        model(words).square().mean().backward()
        times.append(time.perf_counter() - start)
    return 1000 * sorted(times)[rounds // 2]


def main() -> None:
    """Runs the model, replaces its layer, and runs it again."""
    torch.manual_seed(0)
    model = Tagger()
    words = torch.randint(1000, (8, 60))
    before, before_ms = model(words), median_ms(model, words)

    print(fastgru.replace_gru(model))

    after, after_ms = model(words), median_ms(model, words)
    print(f"largest difference {(after - before).abs().max():.1e}")
    print(f"forward and backward: {before_ms:.1f} ms before, {after_ms:.1f} ms after")


if __name__ == "__main__":
    main()
