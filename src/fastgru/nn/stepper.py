"""`Stepper`: single steps of a layer without overhead."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import _core, errors, recording
from fastgru.backends.base import sum_dtype
from fastgru.call import memory
from fastgru.nn import freezing
from fastgru.spec import GRUSpec


class Stepper:
    """Runs a layer step by step on a stream. Everything is allocated and packed before the first step.

    Created by `GRU.stepper`. It uses the weights at the time of its creation; later changes of the layer have no
    effect. States and outputs have the same bits as those of the layer for the complete sequence. There are no
    gradients, and a stepper can be used by one thread at a time.

    Attributes:
        state: the state of every layer, (L, B, H). Each step updates it in place, and it can be read or written between
            steps. Assigning to it copies values into it, like `reset`.
        output: the output of the last step, (B, H), which is the state of the last layer. The next step overwrites it.
            It may be the input of the next step.

    Example:
        >>> import torch, fastgru
        >>> layer = fastgru.GRU(8, 16, num_layers=2)
        >>> x = torch.randn(5, 1, 8)
        >>> stepper = layer.stepper()
        >>> outputs = [stepper(step).clone() for step in x]
        >>> torch.equal(torch.stack(outputs), layer(x)[0])
        True
    """

    __slots__ = ("_dtype", "_output", "_shapes", "_state", "_step")

    def __init__(
        self,
        spec: GRUSpec,
        parameters: tuple[Parameter, ...],
        batch: int = 1,
        h_0: Tensor | None = None,
        weights: str | None = None,
    ) -> None:
        if spec.bidirectional:
            raise errors.no_stepper("this one is bidirectional, and its second direction begins at the end")
        if not isinstance(batch, int) or batch < 1:
            raise errors.no_stepper(f"batch is {batch!r}; expected an integer from 1 on")
        freezing.check_can_pack(spec, parameters, "a stepper", weights)
        dtype = parameters[0].dtype
        if dtype is not sum_dtype(
            dtype
        ):  # a state of 16 bits would be rounded at every step, unlike that of a whole sequence
            raise errors.no_stepper(
                f"its parameters are {dtype}; steppers keep states in float32 or float64: call .float() on a copy"
            )
        self._dtype, rows = dtype, (batch, spec.hidden_size)
        self._shapes = {"input": (batch, spec.input_size), "state": (spec.num_layers, *rows), "output": rows}
        self._state, self._output = (_zeros_to_stay(self._shapes[name], dtype) for name in ("state", "output"))
        packed = freezing.pack(spec, parameters, weights)
        self._step = _core.Stepper(packed, self._state, self._output, torch.get_num_threads()).step
        self.reset(h_0)

    @property
    def state(self) -> Tensor:
        """Every layer's state, (L, B, H)."""
        return self._state

    @state.setter
    def state(self, value: Tensor) -> None:
        if value is not self._state:  # as after `stepper.state += 1`
            self.reset(value)

    @property
    def output(self) -> Tensor:
        """The last step's output, (B, H)."""
        return self._output

    def __call__(self, input: Tensor) -> Tensor:
        """Runs one step.

        Args:
            input: (B, I), of the dtype of the layer.

        Returns:
            `output`, the same tensor each time: copy it to keep it.

        Raises:
            InputTypeError, OperandError, ShapeError: if the input does not fit, or if the state or output was changed
                so that a step cannot write to it.
        """
        if recording.profiler._is_profiler_enabled:
            with recording.span(input if isinstance(input, Tensor) else None):
                result = self._step(input)
        else:
            result = self._step(input)
        return self._convert(input) if result is None else result  # type: ignore[return-value]

    def reset(self, h_0: Tensor | None = None) -> None:
        """Starts a new stream.

        Args:
            h_0: its initial state, (L, B, H). Default: zeros.

        Raises:
            ShapeError: if the state has another shape.
        """
        self._check_own()
        with torch.no_grad():
            if h_0 is None:
                self._state.zero_()
                return
            if not isinstance(h_0, Tensor):
                raise errors.not_a_tensor("h_0", h_0)
            if h_0.shape != self._shapes["state"]:
                raise errors.hidden_shape(h_0.shape, self._shapes["state"])
            self._state.copy_(_looked_at("h_0", h_0))

    def _convert(self, input: Tensor) -> Tensor:
        """The step for a tensor that has the right values in another layout."""
        if not isinstance(input, Tensor):
            raise errors.not_a_tensor("input", input)
        if input.dtype != self._dtype:
            raise errors.operand_dtype("input", input.dtype, self._dtype, "state")
        if input.device.type != "cpu":
            raise errors.device("parameter", input.device, torch.device("cpu"))
        expected = self._shapes["input"]
        if input.shape != expected:
            raise errors.step_input(f"of shape {tuple(input.shape)}", f"(batch, input_size) = {expected}")
        self._check_own()
        plain = torch.empty(expected, dtype=input.dtype, device="cpu")
        with torch.no_grad():
            plain.copy_(_looked_at("input", input))
        result = self._step(plain)
        if result is None:
            raise errors.step_input(f"a {type(input).__name__} without memory of its own", "a plain tensor")
        return cast("Tensor", result)

    def _check_own(self) -> None:
        """Raises when the state or the output is no longer what a step can write to."""
        for name, tensor in (("state", self._state), ("output", self._output)):
            is_plain = tensor.is_cpu and tensor.layout is torch.strided and not tensor.is_neg()
            is_plain = is_plain and tensor.dtype is self._dtype
            if not is_plain or tensor.shape != self._shapes[name] or not tensor.is_contiguous():
                raise errors.stepper_tensor(name, self._dtype, self._shapes[name])
            memory.taken(name, tensor)


def _looked_at(name: str, tensor: Tensor) -> Tensor:
    """The tensor; an error where it has no memory to copy from."""
    return memory.taken(name, tensor) if type(tensor) in memory.PLAIN and tensor.layout is torch.strided else tensor


def _zeros_to_stay(shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Zeros in memory that cannot be resized while the core uses it, and that can be written to in any mode."""
    with torch.inference_mode(False):
        return torch.from_numpy(torch.zeros(shape, dtype=dtype, device="cpu").numpy())
