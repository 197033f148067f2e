"""`GRU`: a faster drop-in for `torch.nn.GRU`, with lengths, resets and other options.

It is a sibling of torch's class, not a subclass: `torch.compile` rejects every instance of `torch.nn.GRU`
(docs/decisions/0002-sibling-not-subclass.md). Without options it has no attributes of its own, so
`fastgru.replace_gru` only has to change the class of a layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast, overload

import torch
from torch import Tensor, nn
from torch.nn.modules import rnn as torch_rnn
from torch.nn.utils.rnn import PackedSequence

from fastgru import dispatch, errors
from fastgru.call.request import Call
from fastgru.call.sequences import WHOLE
from fastgru.nn import counting, projection, sequence_inputs, torch_tools
from fastgru.nn.parameters import BaseGRU, spec_of
from fastgru.nn.quick_call import QuickCall
from fastgru.nn.torch_tools import STOCK_GRU, Quantizable, Scriptable, sharing

# Options that `print` shows in addition to torch's.
_SHOWN = ("recompute", "state_batch_first", "return_all_layers", "learn_h0")


class GRU(QuickCall, Quantizable, Scriptable, BaseGRU):
    """A drop-in replacement for `torch.nn.GRU` that is several times faster on a CPU.

    For each layer and step, with W, b the parameters and rows r, z, n::

        r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)              reset gate
        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)              update gate
        n = tanh(W_in x + b_in + r * (W_hn h + b_hn))           new gate
        h' = (1 - z) * n + z * h                                z keeps the old state

    With reset_after=False the reset gate acts before the product, as in Cho et al. 2014 (arXiv 1406.1078v3)::

        n = tanh(W_in x + b_in + W_hn (r * h) + b_hn)

    Many texts write h' = (1 - z) * h + z * n, where z takes the new state. That is the same layer with the z rows of
    all parameters negated; `fastgru.convert` converts such weights.

    Constructor, attributes, methods, initial values, state_dict and errors are those of `torch.nn.GRU`. On a CPU our
    kernels support float32, float64, bfloat16 and float16; everything else runs on torch's own operator.
    `fastgru.explain` shows which path a call takes.

    Args:
        input_size: features per step, I.
        hidden_size: size of the state, H.
        num_layers: number of stacked layers, L; layer k reads the outputs of layer k - 1.
        bias: whether the layer has bias_ih and bias_hh.
        batch_first: input and output are (B, T, features) instead of (T, B, features); states do not change.
        dropout: probability of zeroing an element between layers, in training.
        bidirectional: adds a second direction, which reads the sequence backwards; D = 2, and outputs are concatenated.
        device: device of the parameters.
        dtype: dtype of the parameters.
        recompute: keep a third of the memory between forward and backward pass (2 instead of 6 numbers per step, row
            and hidden unit) and recompute the gates, which takes up to a third more time. Results and gradients have
            the same bits. The attribute can be changed at any time. This and the following are keyword-only.
        state_batch_first: states hx and h_n are (B, L*D, H) instead of (L*D, B, H).
        return_all_layers: output is a tuple of the outputs of all layers, from the first to the last.
        learn_h0: adds a parameter h_0, initialized with zeros, which is the default for hx and reset_state.
        proj_size: if P > 0, outputs, and the states that enter the gates, are multiplied by weight_hr (P, H), as in the
            projected GRU of Cheng et al. 2018; hx and h_n keep the size H.
        reset_after: see above. Keras calls it reset_after too, ONNX linear_before_reset. Parameters have the same names
            and shapes; those trained with one do not fit the other. Not together with proj_size.

    Shapes:
        input: (T, B, I), (B, T, I) with batch_first, (T, I) without a batch, a PackedSequence, or a nested tensor
            (B, any, I) with jagged layout.
        hx: initial states (L*D, B, H), or (L*D, H) without a batch. Default: zeros, or h_0 with learn_h0.
        lengths: (B,) integers from 0 to T, a list or a tensor, in any order: the number of steps of each padded
            sequence. Padding is never read and takes no time. Outputs there are zero, h_n is the state at the end of
            the sequence (hx for an empty one), and the second direction starts at the end of the sequence.
        reset: booleans (T, B), (B, T) with batch_first, (T) without a batch. Before a marked step the state is set to
            `reset_state`, as if a new sequence started there. The second direction, which runs backwards, is reset
            after such a step: results are those of the pieces run one by one.
        reset_state: (L*D, H) or (L*D, B, H): the state after a reset. Default: zeros, or h_0 with learn_h0.
        output: (T, B, D*H), (B, T, D*H), (T, D*H), or packed or nested like the input: the states of the last layer.
        h_n: (L*D, B, H) or (L*D, H): the final state of every layer.

    Attributes:
        weight_ih_l[k]: (3H, I) for k = 0, else (3H, D*H); `_reverse` appended for the second direction.
        weight_hh_l[k]: (3H, H).
        bias_ih_l[k]: (3H).
        bias_hh_l[k]: (3H).
        h_0: (L*D, H), with learn_h0.
        weight_hr_l[k]: (P, H), with proj_size; weight_hh_l[k] is then (3H, P), and weight_ih_l[k] (3H, D*P) for k > 0.

    Raises:
        ValueError, TypeError, RuntimeError: for the same mistakes as torch, see `fastgru.errors`.

    Example:
        >>> import torch, fastgru
        >>> layer = fastgru.GRU(10, 20, num_layers=2)
        >>> output, h_n = layer(torch.randn(5, 3, 10))
        >>> output.shape, h_n.shape
        (torch.Size([5, 3, 20]), torch.Size([2, 3, 20]))
    """

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
        state_batch_first: bool = False,
        return_all_layers: bool = False,
        learn_h0: bool = False,
        proj_size: int = 0,
        reset_after: bool = True,
    ) -> None:
        torchs = num_layers, bias, batch_first, dropout, bidirectional
        super().__init__("GRU", input_size, hidden_size, *torchs, device=device, dtype=dtype)
        options = {
            "state_batch_first": bool(state_batch_first),
            "return_all_layers": bool(return_all_layers),
            "learn_h0": bool(learn_h0),
            "proj_size": proj_size,
        }
        if any(value != 0 for value in options.values()):
            self._has_options = True
        if not reset_after:
            if proj_size != 0:
                raise errors.no_option("reset_after=False", "proj_size")
            self.reset_after = False
        for name, value in {"recompute": bool(recompute), **options}.items():
            if value != 0:
                setattr(self, name, value)
        if proj_size != 0:
            projection.add_to(self)
        if learn_h0:
            cells = num_layers * (2 if bidirectional else 1)
            first = self._flat_weights[0]
            self.h_0 = nn.Parameter(torch.zeros(cells, hidden_size, device=first.device, dtype=first.dtype))
        _ = self.spec  # known from now on: compiled code would be compiled again when it becomes known

    @classmethod
    def from_torch(cls, gru: torch_rnn.GRU) -> GRU:
        """Creates a layer with the options of `gru` that shares its parameters.

        Args:
            gru: a `torch.nn.GRU`. It is not changed; training either layer changes both.

        Raises:
            TypeError: if `gru` is not a `torch.nn.GRU`.

        Example:
            >>> import torch, fastgru
            >>> stock = torch.nn.GRU(4, 8)
            >>> fastgru.GRU.from_torch(stock).weight_ih_l0 is stock.weight_ih_l0
            True
        """
        return cast("GRU", sharing(gru, STOCK_GRU, cls))

    def to_torch(self) -> torch_rnn.GRU:
        """Creates a `torch.nn.GRU` with the options of this layer that shares its parameters.

        Example:
            >>> import fastgru
            >>> fastgru.GRU(4, 8).to_torch()
            GRU(4, 8)
        """
        return cast("torch_rnn.GRU", sharing(self, GRU, STOCK_GRU))

    def extra_repr(self) -> str:
        """The options as text, for `print`."""
        parts = [f"{name}={getattr(self, name)}" for name in _SHOWN if getattr(self, name)]
        parts += [] if self.reset_after else ["reset_after=False"]
        if self._frozen is not None and self._frozen.weights is not None:
            parts.append(f"weights={self._frozen.weights}")
        return ", ".join([super().extra_repr(), *parts])

    def __prepare_scriptable__(self) -> torch_rnn.GRU:
        """What `torch.jit.script` compiles: torch's own layer, on the same parameters.

        `torch.jit.script(model)` also puts it into `model` itself; `fastgru.replace_gru(model)` brings ours back.
        """
        return self.to_torch()

    @overload
    def forward(
        self,
        input: Tensor,
        hx: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        reset_state: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]: ...

    @overload
    def forward(
        self,
        input: PackedSequence,
        hx: Tensor | None = None,
        lengths: None = None,
        reset: Tensor | None = None,
        reset_state: Tensor | None = None,
    ) -> tuple[PackedSequence, Tensor]: ...

    def forward(
        self,
        input: Tensor | PackedSequence,
        hx: Tensor | None = None,
        lengths: Tensor | Sequence[int] | None = None,
        reset: Tensor | None = None,
        reset_state: Tensor | None = None,
    ) -> tuple[Any, Tensor]:
        """Output and h_n for whole sequences. The class documents the shapes."""
        # The common case; a step of a stream takes a few microseconds in all.
        is_plain = type(input) is Tensor and lengths is None and reset is None and reset_state is None
        has_plain_state = hx is None or (isinstance(hx, Tensor) and hx.dim() == 3)
        if is_plain and has_plain_state and input.dim() == 3 and not self._has_options:  # type: ignore[union-attr]
            return self._run_plain(input, hx)  # type: ignore[arg-type]
        if torch_tools.is_symbol(input):
            options = {"lengths": lengths, "reset": reset, "reset_state": reset_state}
            return torch_tools.node(self, (input, hx), options)  # type: ignore[no-any-return]
        if hx is not None and not isinstance(hx, Tensor):
            raise errors.not_a_tensor("hx", hx)
        call, leave = sequence_inputs.enter(self, input, hx, lengths, reset, reset_state)
        return leave(*self._run(call))

    def _run(self, call: Call) -> tuple[Any, Tensor]:
        """Output, or that of all layers, and h_n."""
        if self.return_all_layers or self.proj_size > 0:
            outputs, h_n = projection.run_by_layer(call, self.proj_size > 0, self.return_all_layers)
            return outputs if self.return_all_layers else outputs[0], h_n
        if self._frozen is not None and call.dropout == 0.0:
            results = self._frozen.run(call.x, call.h_0, self._parameters, call.sequences, call.batch_first)
            if results is not None:
                return results
        return dispatch.run_call(call)

    def _run_plain(self, x: Tensor, hx: Tensor | None) -> tuple[Tensor, Tensor]:
        """Output and h_n of a padded batch, of which nothing else is given."""
        layers, parameters = self.num_layers, self._parameters
        dropout = self.dropout if layers > 1 and self.training else 0.0
        if self._frozen is not None and dropout == 0.0:
            results = self._frozen.run(x, hx, parameters, WHOLE, self.batch_first)
            if results is not None:
                return results
        try:
            weights = tuple([parameters[name] for name in self._flat_weights_names])
        except KeyError:  # parametrized, or a plain attribute for the moment
            weights = self.parameters_in_order()
        sizes = self.input_size, self.hidden_size, layers
        spec = spec_of(*sizes, self.bias, self.bidirectional, self.reset_after)
        return dispatch.run(spec, x, hx, weights, WHOLE, dropout, self.recompute, self.batch_first)  # type: ignore[arg-type]


counting.register(GRU, STOCK_GRU)
