"""Beam search for a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from fastgru_recipes import interruption
from fastgru_recipes.recurrent_layers import HiddenState, selected
from fastgru_recipes.text.vocabulary import END_ID, PAD_ID, START_ID, UNKNOWN_ID

Step = Callable[[Tensor, HiddenState], tuple[Tensor, HiddenState]]


class Candidate(NamedTuple):
    """A sequence of tokens, without start, end and padding, and the mean of the logarithms of their probabilities."""

    tokens: list[int]
    score: float


def search(step: Step, state: HiddenState, batch: int, beam: int, longest: int) -> list[list[Candidate]]:
    """The best sequences of tokens for each sentence of a batch, by mean log probability.

    Args:
        step: maps the last tokens (B * beam,) and a state to scores (B * beam, V) and the next state.
        state: the initial state of B * beam rows; the rows of one sentence are adjacent.
        batch: the number of sentences, B.
        beam: the number of candidates for each sentence.
        longest: the largest number of steps.

    Returns:
        For each sentence its candidates, the best one first.
    """
    tokens = torch.full((batch * beam, 1), START_ID)
    total = torch.full((batch, beam), float("-inf"))
    total[:, 0] = 0.0  # the candidates are equal at first, so only one may continue
    ended = torch.zeros(batch * beam, dtype=torch.bool)
    first = torch.arange(batch)[:, None] * beam
    for _ in range(longest):
        interruption.check()
        scores, state = step(tokens[:, -1], state)
        steps = scores.float().log_softmax(-1)
        steps[:, [START_ID, UNKNOWN_ID, PAD_ID]] = float("-inf")
        steps[ended] = float("-inf")
        steps[ended, PAD_ID] = 0.0  # finished candidates stay unchanged
        sums = (total[..., None] + steps.view(batch, beam, -1)).flatten(1)
        total, best = sums.topk(beam, dim=1)
        rows, chosen = (first + best // scores.shape[1]).flatten(), (best % scores.shape[1]).flatten()
        tokens = torch.cat([tokens[rows], chosen[:, None]], 1)
        state, ended = selected(state, rows), ended[rows] | (chosen == END_ID)
        if ended.all():
            break
    written = ((tokens != PAD_ID).sum(1) - 1).view(batch, beam)
    ranked, order = (total / written).sort(dim=1, descending=True, stable=True)
    return [
        [
            Candidate([token for token in tokens[row, 1:].tolist() if token not in (PAD_ID, END_ID)], score)
            for row, score in zip(rows, scores, strict=True)
        ]
        for rows, scores in zip((first + order).tolist(), ranked.tolist(), strict=True)
    ]
