"""`GRUCell`: a faster drop-in for `torch.nn.GRUCell`."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.modules import rnn as torch_rnn

from fastgru import dispatch, functional
from fastgru.nn import counting, torch_tools
from fastgru.nn.parameters import spec_of
from fastgru.nn.quick_call import QuickCall
from fastgru.nn.torch_tools import STOCK_CELL, Quantizable, Scriptable, sharing


class GRUCell(QuickCall, Quantizable, Scriptable, torch_rnn.RNNCellBase):
    """One step of a GRU: a faster drop-in replacement for `torch.nn.GRUCell`.

    The equations are those of `GRU`.

    Args:
        input_size: features, I.
        hidden_size: size of the state, H.
        bias: whether the cell has bias_ih and bias_hh.
        device: device of the parameters.
        dtype: dtype of the parameters.
        reset_after: as for `GRU`; keyword-only.

    Shapes:
        input: (B, I) or (I).
        hx: the previous state, (B, H) or (H). Default: zeros.
        output: the new state, (B, H) or (H).

    Attributes:
        weight_ih: (3H, I), rows r, z, n.
        weight_hh: (3H, H).
        bias_ih: (3H).
        bias_hh: (3H).

    Raises:
        ValueError, RuntimeError: for the same mistakes as torch, see `fastgru.errors`.

    Example:
        >>> import torch, fastgru
        >>> cell, h = fastgru.GRUCell(10, 20), torch.zeros(3, 20)
        >>> for x in torch.randn(5, 3, 10):
        ...     h = cell(x, h)
        >>> h.shape
        torch.Size([3, 20])
    """

    reset_after: bool = True  # on the class, for cells that were torch's before

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)
        if not reset_after:
            self.reset_after = False

    def extra_repr(self) -> str:
        """The options as text, for `print`."""
        shown = super().extra_repr()
        return shown if self.reset_after else f"{shown}, reset_after=False"

    @classmethod
    def from_torch(cls, cell: torch_rnn.GRUCell) -> GRUCell:
        """Creates a cell that shares the parameters of `cell`, a `torch.nn.GRUCell`.

        Raises:
            TypeError: if `cell` is not a `torch.nn.GRUCell`.

        Example:
            >>> import torch, fastgru
            >>> stock = torch.nn.GRUCell(4, 8)
            >>> fastgru.GRUCell.from_torch(stock).weight_hh is stock.weight_hh
            True
        """
        return cast("GRUCell", sharing(cell, STOCK_CELL, cls))

    def to_torch(self) -> torch_rnn.GRUCell:
        """Creates a `torch.nn.GRUCell` that shares the parameters of this cell.

        Example:
            >>> import fastgru
            >>> fastgru.GRUCell(4, 8).to_torch()
            GRUCell(4, 8)
        """
        return cast("torch_rnn.GRUCell", sharing(self, GRUCell, STOCK_CELL))

    def __prepare_scriptable__(self) -> torch_rnn.GRUCell:
        """The module that `torch.jit.script` compiles: torch's own cell with the same parameters."""
        return self.to_torch()

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after one step. The class documents the shapes."""
        if torch_tools.is_symbol(input):
            return torch_tools.node(self, (input, hx), {})  # type: ignore[no-any-return]
        own = self._parameters
        try:
            weights = own["weight_ih"], own["weight_hh"], own["bias_ih"], own["bias_hh"]
        except KeyError:  # parametrized, or a plain attribute for the moment
            weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh  # type: ignore[assignment]
        if type(input) is Tensor and (hx is None or isinstance(hx, Tensor)):  # the common case takes a few microseconds
            spec = spec_of(self.input_size, self.hidden_size, 1, self.bias, False, self.reset_after)
            state = dispatch.step(spec, input, hx, weights if self.bias else weights[:2])  # type: ignore[arg-type]
            if state is not None:
                return state
        return functional.gru_cell(input, hx, *weights, reset_after=self.reset_after)  # type: ignore[arg-type]


counting.register(GRUCell, STOCK_CELL)
