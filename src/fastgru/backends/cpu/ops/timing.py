"""The order of time in which each direction of a layer goes, where sequences end and where they start again.

Inside a layer, tensors are (D, T, 1, B, ...), each direction in its own order; callers have (T, B, ...) or (B, T, ...).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from fastgru.backends.cpu.ops import calls
from fastgru.call.request import Call


class Timing:
    """Of one call of one model.

    Attributes:
        alive: booleans (D, T, 1, B, 1), where a step is before the sequence's end; None: everywhere.
        marks: booleans (D, T, 1, B, 1): the first step, and those before which the state is put back; None: no such.
    """

    def __init__(self, call: Call) -> None:
        self.call, self.directions = call, call.spec.num_directions
        lengths, reset = call.sequences.lengths, call.sequences.reset
        self.alive: Tensor | None = None
        self.marks: Tensor | None = None
        self._is_anew: Tensor | None = None
        marks = None if reset is None else self.turned(reset)
        if lengths is not None:
            times = torch.arange(calls.sizes(call)[0], device=call.x.device).unsqueeze(1)
            alive = lengths.to(call.x.device, torch.int64) > times  # small unsigned integers do not mix with others
            self.alive = self.both(alive.unsqueeze(-1))
            marks = None if marks is None else marks & alive
        if marks is not None:
            self._take(marks.unsqueeze(1).unsqueeze(-1))

    def _take(self, marks: Tensor) -> None:
        """A backward direction starts again past a marked step."""
        first = torch.ones_like(marks[:1])
        anew, starts = [marks], [torch.cat([first, marks[1:]])]
        if self.directions == 2:
            behind = marks[1:].flip(0)
            anew.append(torch.cat([torch.zeros_like(first), behind]))
            starts.append(torch.cat([first, behind]))
        self._is_anew, self.marks = torch.stack(anew), torch.stack(starts)

    def turned(self, x: Tensor) -> Tensor:
        """Between the caller's layout and steps first."""
        return x.transpose(0, 1) if self.call.batch_first else x

    def both(self, x: Tensor) -> Tensor:
        """(T, B, F) for every direction."""
        x = x.unsqueeze(1)
        return torch.stack([x, x.flip(0)]) if self.directions == 2 else x.unsqueeze(0)

    def summed(self, gradients: Tensor) -> Tensor:
        """The transpose of `both`."""
        ahead = gradients[0, :, 0]
        return ahead + gradients[1, :, 0].flip(0) if self.directions == 2 else ahead

    def together(self, states: Tensor) -> Tensor:
        """A layer's outputs, (T, B, D*H)."""
        if self.alive is not None:
            states = torch.where(self.alive, states, 0)
        ahead = states[0, :, 0]
        return torch.cat([ahead, states[1, :, 0].flip(0)], -1) if self.directions == 2 else ahead

    def apart(self, gradients: Tensor) -> Tensor:
        """The transpose of `together`."""
        if self.directions == 2:
            ahead, behind = gradients.unsqueeze(1).chunk(2, -1)
            found = torch.stack([ahead, behind.flip(0)])
        else:
            found = gradients[None, :, None]
        return found if self.alive is None else torch.where(self.alive, found, 0)

    def of_states(self, states: Tensor, outputs: Tensor | None, last: Tensor | None, layer: int) -> Tensor | None:
        """Gradients of a layer's states from those of its outputs, steps first, and of h_n; None without either."""
        found = None if outputs is None else self.apart(outputs)
        if last is None:
            return found
        found = torch.zeros_like(states) if found is None else found
        at_end = found[:, -1:] + last[self.cells(layer), None, None]
        return torch.cat([found[:, :-1], at_end], 1)

    def entering(self, x: Tensor) -> Tensor:
        """The caller's input, for every direction; what stands past an end may be anything, and goes no further."""
        both = self.both(self.turned(x))
        return both if self.alive is None else torch.where(self.alive, both, 0)

    def leaving(self, x: Tensor) -> Tensor:
        """Steps first, in the caller's layout."""
        return self.turned(x).contiguous() if self.call.batch_first else x

    def cells(self, layer: int) -> slice:
        """Which of all states are a layer's."""
        return slice(layer * self.directions, (layer + 1) * self.directions)

    def stacked(self, weights: Sequence[Tensor | None], layer: int) -> list[Tensor | None]:
        """A layer's weights of each kind, (D, ...); None where no direction has one."""
        per_layer = len(weights) // self.call.spec.num_layers
        per_cell = per_layer // self.directions
        own = weights[layer * per_layer : (layer + 1) * per_layer]
        return [self._stack(own[i::per_cell]) for i in range(per_cell)]

    def _stack(self, both: Sequence[Tensor | None]) -> Tensor | None:
        there = [t for t in both if t is not None]
        if not there:
            return None
        if self.directions == 1:
            return there[0].unsqueeze(0)
        return torch.stack([torch.zeros_like(there[0]) if t is None else t for t in both])

    def start(self, zeros: Tensor, h_0: Tensor | None, reset_state: Tensor | None, layer: int) -> Tensor:
        """What a layer's sequences start with, (D, T or 1, 1, B, H); `zeros` is (D, 1, 1, B, H)."""
        first = zeros if h_0 is None else h_0[self.cells(layer), None, None]
        if self._is_anew is None:
            return first
        return torch.where(self._is_anew, zeros if reset_state is None else self._anew(reset_state, layer), first)

    def _anew(self, reset_state: Tensor, layer: int) -> Tensor:
        state = reset_state[self.cells(layer), None, None]
        return state if state.dim() == 5 else state.unsqueeze(3)

    def started(self, gradients: Sequence[Tensor], like: Tensor | None) -> tuple[Tensor | None, Tensor | None]:
        """The gradients of h_0 and reset_state, the latter shaped `like`, from those of every layer's `start`."""
        if not gradients:
            return None, None
        if self._is_anew is None:
            return torch.cat([own[:, 0, 0] for own in gradients]), None
        first = torch.cat([torch.where(self._is_anew, 0, own).sum((1, 2)) for own in gradients])
        anew = torch.cat([torch.where(self._is_anew, own, 0).sum((1, 2)) for own in gradients])
        return first, anew if like is None or like.dim() == 3 else anew.sum(1)
