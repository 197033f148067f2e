"""`GRU` and `GRUCell`: torch's layers of the same names, sooner.

They are siblings of torch's classes, not subclasses: `torch.compile` refuses every instance of `torch.nn.GRU`
(docs/decisions/0002-sibling-not-subclass.md). They keep no state of their own, so that changing a layer's class is all
that `fastgru.replace_gru` has to do.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

import torch
import torch.fx
from torch import Tensor, nn
from torch.nn.modules import rnn as torch_rnn
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors, freezing, functional
from fastgru.backends import cpu
from fastgru.spec import GRUSpec
from fastgru.streaming import Stepper

# Torch's own classes, whatever `fastgru.patch` makes of their names later.
_STOCK_GRU = torch_rnn.GRU
_STOCK_CELL = torch_rnn.GRUCell

_Layer = TypeVar("_Layer", bound="GRU")

_SPECS: dict[tuple[int, int, int, bool, bool], GRUSpec] = {}


def _spec(input_size: int, hidden_size: int, layers: int, bias: bool, bidirectional: bool) -> GRUSpec:
    """One spec object for equal sizes: making one takes longer than many a kernel."""
    key = (input_size, hidden_size, layers, bias, bidirectional)
    spec = _SPECS.get(key)
    if spec is None:
        spec = _SPECS[key] = GRUSpec(input_size, hidden_size, layers, bool(bias), bool(bidirectional))
    return spec


class GRU(torch_rnn.RNNBase):
    """A stacked, bidirectional GRU: `torch.nn.GRU`, number for number, several times faster on a CPU.

    For each layer and step, with W, b the parameters and rows r, z, n::

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)              reset gate
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)              update gate
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))           new gate
        h' = (1 - z) * n + z * h                                z keeps the old state

    Many texts write h' = (1 - z) * h + z * n, where z takes the new state. That is the same layer with the z rows of
    all parameters negated: `fastgru.convert` loads such weights.

    Constructor, attributes, methods, initial values, state_dict and errors are those of `torch.nn.GRU`. On a CPU, in
    float32 and float64, our kernels run; everything else goes to torch's own operator. `fastgru.explain` tells which.

    Args:
        input_size: features per step, I.
        hidden_size: size of the state, H.
        num_layers: stacked layers, L; layer k reads the outputs of layer k - 1.
        bias: with bias_ih and bias_hh.
        batch_first: input and output are (B, T, features) instead of (T, B, features); states do not change.
        dropout: probability of an element being zeroed between layers, in training.
        bidirectional: a second GRU reads the sequence backwards; D = 2, and outputs are concatenated.
        device: of the parameters.
        dtype: of the parameters.
        recompute: keep a third of the memory between forward and backward pass (2 instead of 6 numbers per step, row
            and hidden unit) and compute the gates again, for up to a third more time. Results and gradients have the
            same bits. Also an attribute, to be changed at any time. By keyword only.

    Shapes:
        input: (T, B, I), (B, T, I) with batch_first, (T, I) without a batch, or a PackedSequence.
        hx: initial states (L*D, B, H), or (L*D, H) without a batch; zeros when left out.
        output: (T, B, D*H), (B, T, D*H), (T, D*H) or a PackedSequence: the last layer's states.
        h_n: (L*D, B, H) or (L*D, H): every layer's last state.

    Attributes:
        weight_ih_l[k]: (3H, I) for k = 0, else (3H, D*H); `_reverse` appended for the second direction.
        weight_hh_l[k]: (3H, H).
        bias_ih_l[k]: (3H).
        bias_hh_l[k]: (3H).

    Raises:
        ValueError, TypeError, RuntimeError: for the same mistakes as torch, see `fastgru.errors`.

    Example:
        >>> import torch, fastgru
        >>> layer = fastgru.GRU(10, 20, num_layers=2)
        >>> output, h_n = layer(torch.randn(5, 3, 10))
        >>> output.shape, h_n.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

    if TYPE_CHECKING:

        def __init__(
            self,
            input_size: int,
            hidden_size: int,
            num_layers: int = 1,
            bias: bool = True,
            batch_first: bool = False,
            dropout: float = 0.0,
            bidirectional: bool = False,
            device: Any = None,
            dtype: torch.dtype | None = None,
            *,
            recompute: bool = False,
        ) -> None: ...

    else:

        def __init__(self, *args, **kwargs):
            if "proj_size" in kwargs:
                raise errors.no_projection()
            recompute = bool(kwargs.pop("recompute", False))
            super().__init__("GRU", *args, **kwargs)
            if recompute:
                self.recompute = True

    # Here, and not on each object, for layers that were torch's before.
    recompute: bool = False
    _frozen: freezing.Frozen | None = None

    @classmethod
    def from_torch(cls, gru: torch_rnn.GRU) -> GRU:
        """A layer that shares the parameters of `gru`, with the same options.

        Args:
            gru: a `torch.nn.GRU`. It stays as it is; training either layer changes both.

        Raises:
            TypeError: `gru` is something else.

        Example:
            >>> import torch, fastgru
            >>> stock = torch.nn.GRU(4, 8)
            >>> fastgru.GRU.from_torch(stock).weight_ih_l0 is stock.weight_ih_l0
            True
        """
        return cast("GRU", _sharing(gru, _STOCK_GRU, cls))

    def to_torch(self) -> torch_rnn.GRU:
        """A `torch.nn.GRU` that shares the parameters of this layer, with the same options.

        Example:
            >>> import fastgru
            >>> fastgru.GRU(4, 8).to_torch()
            GRU(4, 8)
        """
        return cast("torch_rnn.GRU", _sharing(self, GRU, _STOCK_GRU))

    def freeze(self: _Layer) -> _Layer:
        """Packs the parameters once, for all inference calls until `unfreeze`: short sequences gain most.

        Results have the same bits. Calls that take gradients go on as before. While the layer is frozen its parameters
        must stay as they are: a call after a write to one of them raises, and so does setting `.data` of one. Writes
        through memory shared with something else than torch (a NumPy array made before, say) cannot be seen. A copy of
        the layer, by `deepcopy` or from a file, is not frozen.

        Returns:
            The layer itself.

        Raises:
            FrozenError: parameters that cannot be packed: parametrized, not on the CPU, or in half precision.

        Example:
            >>> import torch, fastgru
            >>> layer = fastgru.GRU(8, 16).freeze()
            >>> with torch.no_grad():
            ...     output, h_n = layer(torch.randn(1, 1, 8))
            >>> layer.unfreeze().is_frozen
            False
        """
        spec, parameters = self.spec, self.parameters_in_order()
        freezing.check_can_pack(spec, parameters, "freeze()")
        self.unfreeze()
        object.__setattr__(self, "_frozen", freezing.Frozen(spec, parameters))
        return self

    def unfreeze(self: _Layer) -> _Layer:
        """Undoes `freeze`; does nothing to a layer that is not frozen."""
        if self._frozen is not None:
            self._frozen.release()
            object.__delattr__(self, "_frozen")
        return self

    @property
    def is_frozen(self) -> bool:
        """Whether `freeze` is in force."""
        return self._frozen is not None

    def stepper(self, batch: int = 1, h_0: Tensor | None = None) -> Stepper:
        """Takes this layer through a stream one step at a time, with nothing left to prepare in a step.

        Args:
            batch: rows, B.
            h_0: initial state (L, B, H); None for zeros.

        Raises:
            ArgumentError: the layer is bidirectional, has dropout in training mode, or `batch` is no number of rows.
            FrozenError: parameters that cannot be packed.

        Example:
            >>> import torch, fastgru
            >>> stepper = fastgru.GRU(8, 16).stepper()
            >>> for x in torch.randn(5, 1, 8):
            ...     output = stepper(x)
            >>> output.shape
            torch.Size([1, 16])
        """
        if self.training and self.dropout > 0 and self.num_layers > 1:
            raise errors.no_stepper("dropout is on; call eval() on the layer first")
        return Stepper(self.spec, self.parameters_in_order(), batch, h_0)

    @property
    def spec(self) -> GRUSpec:
        """What the layer computes, without its parameters."""
        return _spec(self.input_size, self.hidden_size, self.num_layers, self.bias, self.bidirectional)

    def parameters_in_order(self) -> tuple[nn.Parameter, ...]:
        """The parameters in torch's order: of each layer and direction weight_ih, weight_hh, bias_ih, bias_hh."""
        return tuple([getattr(self, name) for name in self._flat_weights_names])

    def extra_repr(self) -> str:
        """The options in words, for `print`."""
        return super().extra_repr() + (", recompute=True" if self.recompute else "")

    def __prepare_scriptable__(self) -> torch_rnn.GRU:
        """What `torch.jit.script` compiles: torch's own layer, on the same parameters.

        `torch.jit.script(model)` also puts it into `model` itself; `fastgru.replace_gru(model)` brings ours back.
        """
        return self.to_torch()

    # Torch keeps a list of the parameters, which goes stale when they are replaced behind its back (functional_call,
    # parametrizations, weight_norm, deepcopy). Ours is read from the parameters each time.
    @property  # type: ignore[override]
    def _flat_weights(self) -> list[Tensor]:
        # None for one that is missing, as in torch's list: weight_norm takes a parameter away before it puts another.
        return [getattr(self, name, None) for name in self._flat_weights_names]  # type: ignore[misc]

    @_flat_weights.setter
    def _flat_weights(self, weights: list[Tensor]) -> None:
        """Torch's list is not wanted."""

    def flatten_parameters(self) -> None:
        """Does nothing on a CPU; on CUDA lays the parameters out as cuDNN likes them."""
        first = next(iter(self._flat_weights), None)
        if first is not None and first.is_cuda:
            super().flatten_parameters()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        state.pop("_frozen", None)
        for name in self._flat_weights_names:
            weight = state.get(name)
            # What the old weight_norm computed; its hook computes it again before the next call.
            if isinstance(weight, Tensor) and weight.grad_fn is not None:
                state[name] = weight.detach()
        return state

    def __setstate__(self, d: dict[str, Any]) -> None:
        super().__setstate__({key: value for key, value in d.items() if key != "_flat_weights"})  # type: ignore[no-untyped-call]

    @overload
    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(self, input: PackedSequence, hx: Tensor | None = None) -> tuple[PackedSequence, Tensor]: ...

    def forward(
        self, input: Tensor | PackedSequence, hx: Tensor | None = None
    ) -> tuple[Tensor | PackedSequence, Tensor]:
        """Output and h_n for a whole sequence; shapes in the class's documentation."""
        if not isinstance(input, Tensor):
            return self._forward_other(input, hx)  # type: ignore[no-any-return]
        if hx is not None and not isinstance(hx, Tensor):
            raise errors.not_a_tensor("hx", hx)
        dims = input.dim()
        if dims == 2:
            return self._forward_unbatched(input, hx)
        if dims != 3:
            raise errors.input_rank("GRU", dims, (2, 3), "(T, B, I), (B, T, I) with batch_first, or (T, I)")
        if hx is not None and hx.dim() != 3:
            raise errors.hidden_rank(3, hx.dim())
        if not self.batch_first:
            return self._run(input, hx, None)
        output, h_n = self._run(input.transpose(0, 1), hx, None)
        return cpu.batch_first(output), h_n

    def _forward_other(self, input: object, hx: object) -> Any:
        """`forward` of what is no tensor."""
        if _is_symbol(input):
            return _node(self, input, hx)
        if hx is not None and not isinstance(hx, Tensor):
            raise errors.not_a_tensor("hx", hx)
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        raise errors.not_a_tensor("input", input)

    def _run(self, x: Tensor, h_0: Tensor | None, batch_sizes: Tensor | None) -> tuple[Tensor, Tensor]:
        layers = self.num_layers
        dropout = self.dropout if self.training and layers > 1 else 0.0
        parameters = self._parameters
        if self._frozen is not None and batch_sizes is None and dropout == 0.0:
            results = self._frozen.run(x, h_0, parameters)
            if results is not None:
                return results
        try:
            weights = tuple([parameters[name] for name in self._flat_weights_names])
        except KeyError:  # parametrized, or a plain attribute for the moment
            weights = tuple([getattr(self, name) for name in self._flat_weights_names])
        spec = _spec(self.input_size, self.hidden_size, layers, self.bias, self.bidirectional)
        return functional.run(spec, x, h_0, weights, batch_sizes, dropout, self.recompute)  # type: ignore[arg-type]

    def _forward_unbatched(self, input: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        if hx is not None and hx.dim() != 2:
            raise errors.hidden_rank(2, hx.dim())
        output, h_n = self._run(input.unsqueeze(1), None if hx is None else hx.unsqueeze(1), None)
        return output.squeeze(1), h_n.squeeze(1)

    def _forward_packed(self, input: PackedSequence, hx: Tensor | None) -> tuple[PackedSequence, Tensor]:
        data, batch_sizes, sorted_indices, unsorted_indices = input
        functional.check_batch_sizes(data, batch_sizes)
        if hx is not None and hx.dim() == 3 and sorted_indices is not None:
            self._check_packed_state(hx, int(batch_sizes[0]))
            hx = hx.index_select(1, sorted_indices)
        output, h_n = self._run(data, hx, batch_sizes)
        if unsorted_indices is not None:
            h_n = h_n.index_select(1, unsorted_indices)
        return PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices), h_n

    def _check_packed_state(self, hx: Tensor, batch: int) -> None:
        """Before rows are picked from it, or a wrong state would fail on an index."""
        expected = (self.num_layers * (2 if self.bidirectional else 1), batch, self.hidden_size)
        if hx.shape != expected:
            raise errors.hidden_shape(hx.shape, expected)


class GRUCell(torch_rnn.RNNCellBase):
    """One step of a GRU: `torch.nn.GRUCell`, number for number.

    The equations are those of `GRU`.

    Args:
        input_size: features, I.
        hidden_size: size of the state, H.
        bias: with bias_ih and bias_hh.
        device: of the parameters.
        dtype: of the parameters.

    Shapes:
        input: (B, I) or (I).
        hx: the state before, (B, H) or (H); zeros when left out.
        output: the state after, (B, H) or (H).

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

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, num_chunks=3, device=device, dtype=dtype)

    @classmethod
    def from_torch(cls, cell: torch_rnn.GRUCell) -> GRUCell:
        """A cell that shares the parameters of `cell`, a `torch.nn.GRUCell`.

        Raises:
            TypeError: `cell` is something else.

        Example:
            >>> import torch, fastgru
            >>> stock = torch.nn.GRUCell(4, 8)
            >>> fastgru.GRUCell.from_torch(stock).weight_hh is stock.weight_hh
            True
        """
        return cast("GRUCell", _sharing(cell, _STOCK_CELL, cls))

    def to_torch(self) -> torch_rnn.GRUCell:
        """A `torch.nn.GRUCell` that shares the parameters of this cell.

        Example:
            >>> import fastgru
            >>> fastgru.GRUCell(4, 8).to_torch()
            GRUCell(4, 8)
        """
        return cast("torch_rnn.GRUCell", _sharing(self, GRUCell, _STOCK_CELL))

    def __prepare_scriptable__(self) -> torch_rnn.GRUCell:
        """What `torch.jit.script` compiles: torch's own cell, on the same parameters."""
        return self.to_torch()

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        """The state after one step; shapes in the class's documentation."""
        if _is_symbol(input):
            return _node(self, input, hx)  # type: ignore[no-any-return]
        own = self._parameters
        try:
            weights = own["weight_ih"], own["weight_hh"], own["bias_ih"], own["bias_hh"]
        except KeyError:  # parametrized, or a plain attribute for the moment
            weights = self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh  # type: ignore[assignment]
        return functional.gru_cell(input, hx, *weights)  # type: ignore[arg-type]


GRU.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
    [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default)
        for name, default in (
            ("input_size", inspect.Parameter.empty),
            ("hidden_size", inspect.Parameter.empty),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
            ("device", None),
            ("dtype", None),
        )
    ]
    + [inspect.Parameter("recompute", inspect.Parameter.KEYWORD_ONLY, default=False)]
)


def _is_symbol(value: object) -> bool:
    """Whether `torch.fx` is tracing, and this is what it traces with."""
    return isinstance(value, torch.fx.Proxy)


def _node(module: nn.Module, input: Any, hx: object) -> Any:
    """The module as one node of the graph, which `torch.fx` makes of torch's own modules unasked."""
    tracer = input.tracer
    arguments = (input,) if hx is None else (input, hx)
    return tracer.create_proxy("call_module", tracer.path_of_module(module), arguments, {})


def _sharing(source: nn.Module, expected: type[nn.Module], target: type[nn.Module]) -> nn.Module:
    """A module of class `target` with the parameters and options of `source`."""
    if not isinstance(source, expected):
        raise TypeError(
            f"got a {type(source).__module__}.{type(source).__name__}, expected a "
            f"{expected.__module__}.{expected.__name__}. For a model around such layers, use fastgru.replace_gru."
        )
    if nn.utils.parametrize.is_parametrized(source):
        raise TypeError(
            f"got a parametrized {type(source).__name__}, whose parameters cannot be shared one by one. "
            "Use fastgru.replace_gru or fastgru.restore_gru, which keep parametrizations."
        )
    if expected is _STOCK_CELL or target is _STOCK_CELL:
        sizes = (source.input_size, source.hidden_size, source.bias)
        result = target(*sizes, device="meta")
    else:
        options = ("num_layers", "bias", "batch_first", "bidirectional")
        result = target(
            source.input_size,
            source.hidden_size,
            **{name: getattr(source, name) for name in options},
            device="meta",
        )
        result.dropout = source.dropout
    for name in list(result._parameters):
        setattr(result, name, getattr(source, name))
    return result.train(source.training)
