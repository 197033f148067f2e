"""Train a tagger with torch, save it as one file, and run it with NumPy alone.

python examples/run_without_torch.py
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn

import fastgru

LETTERS = "abcdefghijklmnopqrstuvwxyz "


class VowelAfterNext(nn.Module):
    """For each letter: is the one before the one before it a vowel? A GRU has to remember it."""

    def __init__(self) -> None:
        super().__init__()
        self.letters = nn.Embedding(len(LETTERS), 8)
        self.gru = fastgru.GRU(8, 24, batch_first=True)
        self.answer = nn.Linear(24, 2)

    def forward(self, letters: Tensor) -> Tensor:
        """Scores (batch, letters, 2) for indices (batch, letters)."""
        return self.answer(self.gru(self.letters(letters))[0])


def train(model: nn.Module, steps: int) -> float:
    """The share of right answers at the end."""
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    vowels = torch.tensor([LETTERS.index(letter) for letter in "aeiou"])
    for _ in range(steps):
        letters = torch.randint(len(LETTERS), (64, 30))
        wanted = torch.isin(letters, vowels).long().roll(2, 1)
        answers = model(letters)[:, 2:]
        loss = nn.functional.cross_entropy(answers.flatten(0, 1), wanted[:, 2:].flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float((answers.argmax(-1) == wanted[:, 2:]).float().mean())


# What a service runs: it needs numpy and fastgru, and no torch.
SERVICE = """
import sys
from fastgru import runtime

model = runtime.load(sys.argv[1])
state = None
for letter in "hello":  # as they come in, one by one
    scores, state = model.step([sys.argv[2].index(letter)], state)
    print(letter, "yes" if scores[0, 1] > scores[0, 0] else "no")
print("torch was imported:", "torch" in sys.modules)
"""


def main() -> None:
    torch.manual_seed(0)
    model = VowelAfterNext()
    print(f"right answers after training: {train(model, 150):.0%}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tagger.safetensors"
        fastgru.save(model, path, args=torch.zeros(2, 3, dtype=torch.int64))
        print(f"file: {path.stat().st_size / 1024:.0f} KB")
        subprocess.run([sys.executable, "-c", SERVICE, path, LETTERS], check=True)


if __name__ == "__main__":
    main()
