"""Sequences of different lengths: a classifier trained on packed sequences.

The task: does a random walk end above its start? The answer needs all of the sequence, and the state at its end,
which is `h_n` of a packed batch.
"""

from __future__ import annotations

import torch
from torch.nn.utils.rnn import PackedSequence, pack_sequence

from fastgru import GRU


def walks(count: int) -> tuple[PackedSequence, torch.Tensor]:
    """Random walks of 5 to 40 steps, and whether each ends above its start."""
    lengths = torch.randint(5, 41, (count,)).tolist()
    steps = [torch.randn(length, 1) for length in lengths]
    labels = torch.stack([walk.sum() > 0 for walk in steps]).float()
    return pack_sequence(steps, enforce_sorted=False), labels


def main() -> None:
    """Trains for a few seconds, then prints the accuracy."""
    torch.manual_seed(0)
    gru, head = GRU(1, 32), torch.nn.Linear(32, 1)
    parameters = [*gru.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.01)

    for step in range(1, 151):
        sequences, labels = walks(32)
        _, h_n = gru(sequences)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(head(h_n[-1])[:, 0], labels)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        if step % 50 == 0:
            print(f"step {step}: loss {loss:.3f}")

    with torch.no_grad():
        sequences, labels = walks(1000)
        right = (head(gru(sequences)[1][-1])[:, 0] > 0) == labels.bool()
    print(f"right: {right.float().mean():.1%} of 1000 new walks")
    assert right.float().mean() > 0.9, "the classifier should have learnt this"


if __name__ == "__main__":
    main()
