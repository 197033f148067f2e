"""Small models that are trained in seconds, and what they lose with weights in fewer bytes.

`python tests/trained_models.py STEPS HIDDEN` trains them for longer and prints the figures of docs/quantization.md.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

import fastgru
from fastgru.data import temperature

STORED = ("float16", "bfloat16", "int8")
DOCS = Path(__file__).parent.parent / "docs"


@dataclass
class Trained:
    """A model after training.

    Attributes:
        layer: its recurrent layer.
        measure: what the model is judged by, on data that it has not seen.
    """

    layer: fastgru.GRU
    measure: Callable[[], float]


def trained(parameters: list[Tensor], loss: Callable[[], Tensor], steps: int, rate: float) -> None:
    """Minimizes a loss by Adam."""
    optimizer = torch.optim.Adam(parameters, rate)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = rate * (1 - step / steps)
        optimizer.zero_grad()
        loss().backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()


def forecaster(steps: int, hidden: int = 64) -> Trained:
    """The temperature of the next hour; measured by the mean absolute error in degrees."""
    celsius = torch.tensor(temperature()[1], dtype=torch.float32)
    mean, deviation = celsius.mean(), celsius.std()
    series = ((celsius - mean) / deviation)[:, None]
    known, later = series[:7000], series[7000:]
    layer, head = fastgru.GRU(1, hidden), nn.Linear(hidden, 1)

    def loss() -> Tensor:
        starts = torch.randint(len(known) - 97, (32,))
        window = torch.stack([known[start : start + 97] for start in starts.tolist()], 1)
        return (head(layer(window[:-1])[0]) - window[1:]).abs()[24:].mean()

    def measure() -> float:
        with torch.no_grad():
            errors = (head(layer(later[:-1, None])[0]) - later[1:, None]).abs()[24:]
        return float(errors.mean() * deviation)

    trained([*layer.parameters(), *head.parameters()], loss, steps, 0.01)
    return Trained(layer, measure)


def character_model(steps: int, hidden: int = 128) -> Trained:
    """The next character of this documentation; measured by the bits that a character costs."""
    text = "".join(path.read_text() for path in sorted(DOCS.glob("*.md")))
    known = sorted(set(text))
    codes = torch.tensor([known.index(character) for character in text])
    end = len(codes) * 9 // 10
    embedding, layer, head = nn.Embedding(len(known), 64), fastgru.GRU(64, hidden, 2), nn.Linear(hidden, len(known))

    def cost(window: Tensor) -> Tensor:
        logits = head(layer(embedding(window[:-1]))[0])
        return nn.functional.cross_entropy(logits.flatten(0, 1), window[1:].flatten())

    def loss() -> Tensor:
        starts = torch.randint(end - 65, (32,))
        return cost(torch.stack([codes[start : start + 65] for start in starts.tolist()], 1))

    def measure() -> float:
        with torch.no_grad():
            return float(cost(codes[end:, None]) / torch.log(torch.tensor(2.0)))

    trained([p for part in (embedding, layer, head) for p in part.parameters()], loss, steps, 0.004)
    return Trained(layer, measure)


def classifier(steps: int, hidden: int = 64) -> Trained:
    """Whether a random walk ends above its start; measured by the part that is right, of 4000."""
    layer, head = fastgru.GRU(1, hidden, bidirectional=True), nn.Linear(2 * hidden, 1)

    def walks(count: int) -> tuple[Tensor, Tensor, Tensor]:
        lengths = torch.randint(5, 41, (count,))
        moves = torch.randn(40, count, 1)
        inside = torch.arange(40)[:, None] < lengths
        return moves, lengths, ((moves[..., 0] * inside).sum(0) > 0).float()

    def logits(moves: Tensor, lengths: Tensor) -> Tensor:
        return head(torch.cat(list(layer(moves, lengths=lengths)[1]), -1))[:, 0]

    def loss() -> Tensor:
        moves, lengths, labels = walks(64)
        return nn.functional.binary_cross_entropy_with_logits(logits(moves, lengths), labels)

    held_out = walks(4000)

    def measure() -> float:
        moves, lengths, labels = held_out
        with torch.no_grad():
            return float(((logits(moves, lengths) > 0) == labels.bool()).float().mean())

    trained([*layer.parameters(), *head.parameters()], loss, steps, 0.01)
    return Trained(layer, measure)


MODELS = {"forecaster": forecaster, "character model": character_model, "classifier": classifier}


def measures(model: Trained) -> dict[str, float]:
    """What the model is judged by, with weights of each kind."""
    found = {"float32": model.measure()}
    for weights in STORED:
        model.layer.freeze(weights)
        found[weights] = model.measure()
    model.layer.unfreeze()
    return found


if __name__ == "__main__":
    for name, train in MODELS.items():
        torch.manual_seed(0)
        steps, hidden = int(sys.argv[1]), int(sys.argv[2])
        found = measures(train(steps, hidden))
        print(name, *(f"{kind} {value:.5f} ({value / found['float32'] - 1:+.2%})" for kind, value in found.items()))
