"""`StatefulGRU`: a GRU that carries its state from call to call, for truncated backpropagation and streaming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.fx.experimental import proxy_tensor
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors
from fastgru.call import context, memory
from fastgru.call.sequences import reset_of
from fastgru.nn import counting, torch_tools
from fastgru.nn.gru import GRU
from fastgru.nn.torch_tools import STOCK_GRU


class StatefulGRU(GRU):
    """A `fastgru.GRU` in which each call continues from the state of the previous call.

    The state is detached: gradients stop at the start of a call, which is truncated backpropagation. Otherwise it is
    the same layer, with the same arguments, parameters and `state_dict`, which does not contain the state.

    The state is neither a parameter nor a buffer, so tools that average, broadcast or save these do not affect it.
    `.to()` and similar methods move it, and `deepcopy` and `pickle` copy it. It may be computed under `inference_mode`
    and used in training afterwards. A call converts it to the device and dtype of its input.

    Args:
        args: as for `fastgru.GRU`. The layer cannot be bidirectional: a second direction would start at a future step.
        kwargs: as for `fastgru.GRU`.

    Attributes:
        state: the current state, (L, B, H), or (B, L, H) with state_batch_first, or (L, H) without a batch. None means
            the initial state: the learned h_0, or zeros. It can be read and assigned between calls; an assigned value
            is copied. Save it with `torch.save(layer.state, file)`, and restore it with
            `layer.state = torch.load(file)`.

    Raises:
        ArgumentError: if the layer would be bidirectional.
        ShapeError: if the batch size differs from the previous call, in which case call `reset_state` first; or if
            a tensor of the wrong shape is assigned to `state`.
        InputTypeError: if something other than a tensor or None is assigned to `state`.
        ExportError: if the call is being exported, scripted or traced, which would lose the state. Export a
            `fastgru.GRU` with the same parameters, with h_0 as input and h_n as output.
        StateError: if the state would be lost or wrong: under `vmap`, in a replica of `nn.DataParallel`, or when
            `torch.utils.checkpoint` repeats the call.

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

    _takes_spare_states = False  # each row of the state belongs to a sequence, which would be lost
    _state: Tensor | None = None  # on the class for layers that `from_torch` or an older file makes

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.bidirectional:
            raise errors.no_state_of_both_directions()

    @property
    def state(self) -> Tensor | None:
        """The current state; see the class."""
        return self._state

    @state.setter
    def state(self, value: Tensor | None) -> None:
        if value is not None:
            self._check_state(value)
        self._state = None if value is None else _owned(value)

    def __setattr__(self, name: str, value: Any) -> None:
        """Like that of every module, but the state is never registered, even if it is a Parameter."""
        if name in ("_state", "state"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(
        self,
        input: Any,
        hx: Tensor | None = None,
        lengths: Any = None,
        reset: Tensor | None = None,
        reset_state: Tensor | None = None,
    ) -> tuple[Any, Tensor]:
        """Like `fastgru.GRU`. If `hx` is given, it replaces the current state."""
        if torch_tools.is_symbol(input):  # a node of a graph, which keeps this layer and calls it
            return super().forward(input, hx, lengths=lengths, reset=reset, reset_state=reset_state)
        _refuse_capture()
        if _is_recorded(input):
            raise errors.captured_state("torch.cuda.graph")
        is_repeated = _is_repeated()
        if is_repeated and hx is None:
            raise errors.state_moved_on()
        start = self._start(input) if hx is None else hx
        try:
            output, h_n = super().forward(input, start, lengths=lengths, reset=reset, reset_state=reset_state)
        except errors.ShapeError as error:
            if hx is None and start is not None:
                raise errors.carried_state(start.shape, error) from error
            raise
        if not (is_repeated or self._is_trial(h_n)):
            self._state = _owned(h_n)
        return output, h_n

    def reset_state(self, rows: Tensor | None = None) -> None:
        """Resets the state of all sequences, or of those that `rows` marks.

        Args:
            rows: booleans (B,), such as the ends of episodes, or a scalar for a state without a batch.
                None resets all of them.

        Raises:
            SequenceError, SequenceTypeError: if `rows` does not have one boolean for each row of the state.
        """
        state = self._state
        if rows is None or state is None:
            self._state = None
            return
        memory.check_memory("state", state)
        if self.learn_h0:
            memory.is_wrapper("h_0", self.h_0)  # an error if it was made one: torch's operators may die of it
        start: Tensor | float = self.h_0.detach().to(state.device, state.dtype) if self.learn_h0 else 0.0
        if state.dim() == 2:
            mask = reset_of(rows, (), state.device, "() without a batch")
        else:
            at = 0 if self.state_batch_first else 1
            mask = reset_of(rows, (state.shape[at],), state.device, "(B,)")
            mask = mask.view(-1, 1, 1) if at == 0 else mask.view(1, -1, 1)
            start = start.unsqueeze(at) if isinstance(start, Tensor) else start
        self._state = _owned(torch.where(mask, start, state))

    def _start(self, input: Any) -> Tensor | None:
        """The state in the dtype and on the device of this call."""
        like = input.data if isinstance(input, PackedSequence) else input
        state = self._state
        if state is None or not isinstance(like, Tensor):
            return state
        if state.dtype is like.dtype and state.device == like.device:
            return state
        memory.check_memory("state", state)
        return state.to(like.device, like.dtype)

    def _is_trial(self, h_n: Tensor) -> bool:
        """Whether the call used fake tensors, although the parameters are real."""
        return isinstance(h_n, FakeTensor) and not isinstance(self.parameters_in_order()[0], FakeTensor)

    def _check_state(self, state: object) -> None:
        if not isinstance(state, Tensor):
            raise errors.not_a_tensor("state", state)
        at = 0 if self.state_batch_first else 1
        cells, hidden = self.num_layers, self.hidden_size
        if state.dim() == 2 and state.shape == (cells, hidden):
            return
        if state.dim() != 3 or (state.shape[1 - at], state.shape[2]) != (cells, hidden):
            raise errors.no_such_state(state.shape, f"(B, {cells}, {hidden})" if at == 0 else f"({cells}, B, {hidden})")

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> StatefulGRU:
        """Moves the state with the parameters. A state on the device `meta` has no values and becomes None."""
        if self._state is not None:
            memory.check_memory("state", self._state)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self._state is not None:
            self._state = None if self._state.is_meta else _owned(fn(self._state))
        return self

    def _replicate_for_data_parallel(self) -> NoReturn:
        raise errors.state_of_replicas()

    def __prepare_scriptable__(self) -> NoReturn:
        raise errors.captured_state("torch.jit.script")


def _owned(tensor: Tensor) -> Tensor:
    """A detached copy in its own memory that can be used in training, even if made under inference mode."""
    memory.check_memory("state", tensor)
    if torch.compiler.is_compiling() or torch.is_inference_mode_enabled():
        with torch.inference_mode(False):  # in what is compiled always: it may run in either mode
            return tensor.detach().clone()
    copy = tensor.detach().clone()
    if torch._C._are_functorch_transforms_active():  # torch.func.grad and its kind: the state outlives them
        while torch._C._functorch.is_gradtrackingtensor(copy):
            copy = torch._C._functorch.get_unwrapped(copy)
    return copy


def _refuse_capture() -> None:
    """Raises if the call is captured as part of a program that would not carry the state, or under vmap."""
    if torch.compiler.is_compiling():
        if context.is_exporting_program():
            raise errors.captured_state("torch.export")
    elif torch._C._get_tracing_state() is not None:
        raise errors.captured_state("torch.jit.trace")
    elif torch._C._len_torch_dispatch_stack() > 0 and proxy_tensor.get_proxy_mode() is not None:
        raise errors.captured_state("make_fx")
    if torch._C._are_functorch_transforms_active():
        vmap = torch._C._functorch.TransformType.Vmap
        if any(level.key() == vmap for level in torch._C._functorch.get_interpreter_stack() or ()):
            raise errors.state_under_vmap()


# The compiler calls it while compiling, and treats its result as constant.
_refuse_capture._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _is_recorded(input: Any) -> bool:
    """Whether a CUDA graph is being recorded, which would always start with the current state."""
    if torch.compiler.is_compiling() or not getattr(input, "is_cuda", False):
        return False
    return torch.cuda.is_current_stream_capturing()


def _is_repeated() -> bool:
    """Whether a backward pass repeats this call, in which case the state has changed since."""
    return not torch.compiler.is_compiling() and torch._C._current_graph_task_id() != -1


counting.register(StatefulGRU, STOCK_GRU)
