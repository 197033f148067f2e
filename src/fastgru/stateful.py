"""A GRU that remembers where its sequences stopped, for truncated backpropagation and for streams."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from fastgru import checking, errors
from fastgru.nn import GRU


class StatefulGRU(GRU):
    """A `fastgru.GRU` that goes on, in each call, where the call before it stopped.

    The state that is carried is detached: gradients end where a call begins, which is truncated backpropagation. Apart
    from that it is the layer itself: same arguments, same parameters, same `state_dict`, in which the state is not.

    Args:
        args: as for `fastgru.GRU`; not bidirectional, for a second direction begins at an end that is not there yet.
        kwargs: likewise.

    Attributes:
        state: the state to go on from, (L, B, H), or (B, L, H) with state_batch_first; None: the start, which is the
            learned h_0 or zeros. To be read and set between calls.

    Raises:
        ArgumentError: the layer would be bidirectional.
        ShapeError: a batch of another size than before; call `reset_state` first.

    Example:
        >>> import torch, fastgru
        >>> layer, x = fastgru.StatefulGRU(4, 8), torch.randn(6, 3, 4)
        >>> with torch.no_grad():
        ...     chunks = [layer(chunk)[0] for chunk in x.split(2)]
        ...     layer.reset_state()
        ...     whole, _ = layer(x)
        >>> torch.equal(torch.cat(chunks), whole)
        True
    """

    state: Tensor | None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.bidirectional:
            raise errors.no_state_of_both_directions()
        self.register_buffer("state", None, persistent=False)

    def forward(
        self,
        input: Any,
        hx: Tensor | None = None,
        *,
        lengths: Any = None,
        reset: Tensor | None = None,
        reset_state: Tensor | None = None,
    ) -> tuple[Any, Tensor]:
        """As `fastgru.GRU`; `hx`, where given, takes the place of the state carried so far."""
        start = self.state if hx is None else hx
        try:
            output, h_n = super().forward(input, start, lengths=lengths, reset=reset, reset_state=reset_state)
        except errors.ShapeError as error:
            if hx is None and start is not None:
                raise errors.carried_state(start.shape, error) from error
            raise
        self.state = h_n.detach()
        return output, h_n

    def reset_state(self, rows: Tensor | None = None) -> None:
        """Starts anew: every sequence, or those that `rows` marks.

        Args:
            rows: booleans (B,), such as the ends of episodes; None: all.

        Raises:
            BoundsError, BoundsTypeError: not one boolean for each row of the state.
        """
        if rows is None or self.state is None:
            self.state = None
            return
        at = 0 if self.state_batch_first and self.state.dim() == 3 else 1
        mask = checking.reset_of(rows, (self.state.shape[at],), self.state.device, "(B,)")
        mask = mask.view(-1, 1, 1) if at == 0 else mask.view(1, -1, 1)
        start: Tensor | float = 0.0
        if self.learn_h0:
            start = self.h_0.detach().unsqueeze(at)
        self.state = torch.where(mask, torch.as_tensor(start, dtype=self.state.dtype), self.state)
