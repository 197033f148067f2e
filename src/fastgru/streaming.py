"""One step at a time, at the price of the step alone."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import _core, errors, freezing
from fastgru.backends.base import sum_dtype
from fastgru.spec import GRUSpec


class Stepper:
    """Takes a layer through a stream step by step: everything is allocated and packed before the first one.

    Made by `GRU.stepper`. Weights are those of that moment: later changes of the layer are not seen. States and outputs
    have the bits that the layer itself computes for the whole sequence. There are no gradients, and one stepper serves
    one thread at a time.

    Attributes:
        state: every layer's state, (L, B, H): advanced in place by each step, and yours to read or write between steps.
        output: the last step's output, (B, H), the state of the top layer: overwritten by the next step.

    Example:
        >>> import torch, fastgru
        >>> layer = fastgru.GRU(8, 16, num_layers=2)
        >>> x = torch.randn(5, 1, 8)
        >>> stepper = layer.stepper()
        >>> outputs = [stepper(step).clone() for step in x]
        >>> torch.equal(torch.stack(outputs), layer(x)[0])
        True
    """

    __slots__ = ("_step", "_width", "output", "state")

    state: Tensor
    output: Tensor

    def __init__(
        self, spec: GRUSpec, parameters: tuple[Parameter, ...], batch: int = 1, h_0: Tensor | None = None
    ) -> None:
        if spec.bidirectional:
            raise errors.no_stepper("this one is bidirectional, and its second direction begins at the end")
        if not isinstance(batch, int) or batch < 1:
            raise errors.no_stepper(f"batch is {batch!r}; expected an integer from 1 on")
        freezing.check_can_pack(spec, parameters, "a stepper")
        dtype = parameters[0].dtype
        if dtype is not sum_dtype(
            dtype
        ):  # a state of 16 bits would be rounded at every step, unlike that of a whole sequence
            raise errors.no_stepper(
                f"its parameters are {dtype}; steppers keep states in float32 or float64: call .float() on a copy"
            )
        self.state = torch.zeros(spec.num_layers, batch, spec.hidden_size, dtype=dtype, device="cpu")
        self.output = torch.zeros(batch, spec.hidden_size, dtype=dtype, device="cpu")
        self._width = spec.input_size
        packed = freezing.pack(spec, parameters)
        self._step = _core.Stepper(packed, self.state, self.output, torch.get_num_threads()).step
        self.reset(h_0)

    def __call__(self, input: Tensor) -> Tensor:
        """Advances the state by one step.

        Args:
            input: (B, I), of the layer's type.

        Returns:
            `output`, the same tensor each time: copy what you want to keep.

        Raises:
            InputTypeError, OperandError, ShapeError: what does not fit.
        """
        result = self._step(input)
        return self._convert(input) if result is None else result  # type: ignore[return-value]

    def reset(self, h_0: Tensor | None = None) -> None:
        """Begins a new stream.

        Args:
            h_0: its initial state, (L, B, H); None for zeros.

        Raises:
            ShapeError: a state of another size.
        """
        with torch.no_grad():
            if h_0 is None:
                self.state.zero_()
                return
            if not isinstance(h_0, Tensor):
                raise errors.not_a_tensor("h_0", h_0)
            if h_0.shape != self.state.shape:
                raise errors.hidden_shape(h_0.shape, tuple(self.state.shape))
            self.state.copy_(h_0)

    def _convert(self, input: Tensor) -> Tensor:
        """The step for a tensor that has the right values in another layout."""
        if not isinstance(input, Tensor):
            raise errors.not_a_tensor("input", input)
        if input.dtype != self.output.dtype:
            raise errors.operand_dtype("input", input.dtype, self.output.dtype)
        if input.device.type != "cpu":
            raise errors.device("parameter", input.device, self.output.device)
        expected = (self.output.shape[0], self._width)
        if input.shape != expected:
            raise errors.step_input(f"of shape {tuple(input.shape)}", f"(batch, input_size) = {expected}")
        plain = torch.empty(expected, dtype=input.dtype, device="cpu")
        with torch.no_grad():
            plain.copy_(input)
        result = self._step(plain)
        if result is None:
            raise errors.step_input(f"a {type(input).__name__} without memory of its own", "a plain tensor")
        return cast("Tensor", result)
