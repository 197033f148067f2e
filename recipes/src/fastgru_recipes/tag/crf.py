"""A conditional random field over the tags of a sequence (Lafferty, McCallum and Pereira 2001)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

IMPOSSIBLE = -1e4  # added to a score: a finite number, so that no gradient becomes NaN


class CRF(nn.Module):
    """Scores of tags that follow each other, added to the scores of single tags.

    The score of a path of tags is the sum of `scores` along it, of `transitions` between neighbours, and of `start` and
    `end` at its ends. Its probability is the softmax over all paths.

    Args:
        tags: how many tags there are, K.

    Example:
        >>> import torch
        >>> from fastgru_recipes.tag.crf import CRF
        >>> crf = CRF(2)
        >>> scores, lengths = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]]), torch.tensor([2])
        >>> crf.decode(scores, lengths).tolist()
        [[0, 1]]
        >>> crf.loss(scores, torch.tensor([[0, 1]]), lengths).shape
        torch.Size([1])
    """

    def __init__(self, tags: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.zeros(tags, tags))  # from the row to the column
        self.start = nn.Parameter(torch.zeros(tags))
        self.end = nn.Parameter(torch.zeros(tags))

    def loss(self, scores: Tensor, tags: Tensor, lengths: Tensor) -> Tensor:
        """The negative logarithm (B,) of the probability of the tags (B, T), summed over those below 0: any tag.

        Args:
            scores: (B, T, K), of each tag at each step.
            tags: (B, T), numbers of the true tags; below 0 where the tag is unknown.
            lengths: (B,), at least 1.
        """
        others = torch.ones_like(scores, dtype=torch.bool).scatter(2, tags.clamp_min(0)[..., None], False)
        excluded = others & (tags >= 0)[..., None]
        return self.partition(scores, lengths) - self.partition(scores + IMPOSSIBLE * excluded, lengths)

    def partition(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The logarithm (B,) of the sum of exp(score) over all paths."""
        last = self._forwards(scores)[lengths - 1, torch.arange(len(lengths))]
        return torch.logsumexp(last + self.end, -1)

    def _forwards(self, scores: Tensor) -> Tensor:
        """The logarithm (T, B, K) of the sum over all paths that end in each tag at each step."""
        found = [self.start + scores[:, 0]]
        for step in scores.unbind(1)[1:]:
            found.append(torch.logsumexp(found[-1][:, :, None] + self.transitions, 1) + step)
        return torch.stack(found)

    def marginals(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The probability (B, T, K) of each tag at each step, over all paths. Of no meaning past the lengths."""
        after = [self.end.expand_as(scores[:, 0])]
        for step in range(scores.shape[1] - 2, -1, -1):
            following = (scores[:, step + 1] + after[0])[:, None] + self.transitions
            is_inside = (step + 1 < lengths)[:, None]
            after.insert(0, torch.where(is_inside, torch.logsumexp(following, 2), self.end))
        return (self._forwards(scores) + torch.stack(after)).softmax(-1).transpose(0, 1)

    def decode(self, scores: Tensor, lengths: Tensor) -> Tensor:
        """The tags (B, T) of the likeliest path (Viterbi 1967), 0 past the lengths."""
        best, came_from = [self.start + scores[:, 0]], []
        for step in scores.unbind(1)[1:]:
            highest = (best[-1][:, :, None] + self.transitions).max(1)
            best.append(highest.values + step)
            came_from.append(highest.indices)
        found = torch.zeros(scores.shape[:2], dtype=torch.int64)
        for row, length in enumerate(lengths.tolist()):
            tag = int((best[length - 1][row] + self.end).argmax())
            for place in range(length - 1, -1, -1):
                found[row, place] = tag
                tag = int(came_from[place - 1][row, tag]) if place else tag
        return found
