"""A recurrent policy whose actor runs without torch, and whose importance ratios are exactly 1.

    python examples/policy_with_ratio_one.py

The actor steps through episodes with NumPy, the learner computes the same log-probabilities again for whole sequences
with gradients. In most programs the two differ by rounding, and some of the ratios are clipped before anything is
learned.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import fastgru
from fastgru import runtime

STEPS, EPISODES, COLOURS = 24, 64, 4


class Policy(nn.Module):
    """Observations (steps, episodes, 5) to log-probabilities of actions."""

    def __init__(self) -> None:
        super().__init__()
        self.front = nn.Sequential(nn.Linear(COLOURS + 1, 32), nn.Tanh())
        self.gru = nn.GRU(32, 48)
        self.back = nn.Sequential(nn.Linear(48, COLOURS), nn.LogSoftmax(-1))

    def forward(self, seen: Tensor) -> Tensor:
        """The log-probabilities."""
        return self.back(self.gru(self.front(seen))[0])


def play(actor: runtime.Model, random: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Episodes of a game: a colour is shown at the first step, and is to be named at the others.

    Returns:
        What was seen, the actions, the log-probabilities that the actor had, and the rewards.
    """
    colour, state, rows = random.integers(COLOURS, size=EPISODES), None, []
    for t in range(STEPS):
        seen = np.zeros((EPISODES, COLOURS + 1), np.float32)
        seen[:, COLOURS] = t / STEPS
        if t == 0:
            seen[np.arange(EPISODES), colour] = 1
        scores, state = actor.step(seen, state)
        noise = random.gumbel(size=scores.shape)
        action = (scores + noise).argmax(-1)
        rows.append((seen, action, scores, (action == colour).astype(np.float32)))
    return tuple(np.stack(column) for column in zip(*rows, strict=True))


def learn(policy: nn.Module, optimizer: torch.optim.Optimizer, played: tuple[np.ndarray, ...]) -> float:
    """One update; how far the importance ratios were from 1 before it."""
    seen, action, before, reward = (torch.from_numpy(array) for array in played)
    scores, _ = policy(seen)
    chosen = action.unsqueeze(-1)
    ratio = (scores.gather(-1, chosen) - before.gather(-1, chosen)).exp().squeeze(-1)
    advantage = reward - reward.mean()
    loss = -(ratio * advantage).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return float((ratio.detach() - 1).abs().max())


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "policy.safetensors"
        fastgru.save(Policy(), file, args=torch.zeros(2, 3, COLOURS + 1))
        policy = fastgru.load(file)
        optimizer, random = torch.optim.Adam(policy.parameters(), 0.005), np.random.default_rng(0)
        for update in range(60):
            fastgru.save(policy, file)  # the actors' copy, wherever they run
            played = play(runtime.load(file), random)
            distance = learn(policy, optimizer, played)
            if update % 20 == 0 or update == 59:
                print(f"update {update}: reward {played[3][1:].mean():.2f}, ratios differ from 1 by {distance:g}")
            assert distance == 0


if __name__ == "__main__":
    main()
