"""Parameters packed once for many calls, and the checks that they have not changed.

The plain call packs the parameters again each time, because a write through `.data` leaves no trace to look for.
A frozen layer packs them once, and its parameters become `FrozenParameter`s, through which nothing can be written
without a trace; a call after such a write raises instead of computing with what is no longer there.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import _core, dispatch, errors, recording
from fastgru.backends.cpu import core_calls
from fastgru.call import context, memory
from fastgru.call.frozen_parameter import FrozenParameter
from fastgru.call.sequences import WHOLE, Sequences
from fastgru.nn import stored_weights
from fastgru.spec import GRUSpec


def check_can_pack(spec: GRUSpec, parameters: tuple[object, ...], purpose: str, weights: str | None = None) -> None:
    """Raises unless these are plain parameters that the core can pack.

    Args:
        spec: what the parameters are meant to be.
        parameters: in torch's order.
        purpose: for the words of the error.
        weights: what weights are to be stored as; None: as they are.
    """
    if spec.hidden_size == 0 or spec.num_layers * spec.num_directions > core_calls.MOST_CELLS:
        raise errors.cannot_pack(purpose, "the core does not take a layer of these sizes")
    for name, parameter, shape in zip(spec.parameter_names, parameters, spec.parameter_shapes, strict=True):
        reason = _why_not(parameter, shape, getattr(parameters[0], "dtype", None))
        if reason is not None:
            raise errors.cannot_pack(purpose, f"{name} {reason}")
    if weights is not None:
        stored_weights.check_values(spec, cast("tuple[Parameter, ...]", parameters), weights, purpose)


def _why_not(parameter: object, shape: tuple[int, ...], dtype: torch.dtype | None) -> str | None:
    """Why a parameter cannot be packed, or None."""
    if type(parameter) not in (Parameter, FrozenParameter):
        return f"is a {type(parameter).__name__} and not a plain Parameter"
    own = cast("Parameter", parameter)
    if not torch._C._has_storage(own) or torch._is_functional_tensor(own):
        return "has no values of its own: it was given those of a wrapper"
    if not own.is_cpu or own.layout is not torch.strided or own.dtype not in core_calls.DTYPES:
        what = f"{own.dtype} on {own.device}, {own.layout}"
        return f"is {what}; packed are float32, float64, bfloat16 and float16 on the CPU, torch.strided"
    if own.is_nested:
        return "is a nested tensor"
    if own.dtype is not dtype:
        return f"is {own.dtype}, and the first parameter {dtype}"
    if own.shape != shape:
        return f"has shape {tuple(own.shape)}; expected {tuple(shape)}"
    is_as_it_lies = own.is_contiguous() and not own.is_neg() and not own._is_zerotensor()
    if not memory.is_counted(own) and not is_as_it_lies:
        return (
            "was made in inference mode, where torch counts no writes, and is not contiguous: make the layer outside "
            "of inference mode, or its parameters contiguous"
        )
    return None


def pack(spec: GRUSpec, parameters: tuple[Parameter, ...], weights: str | None = None) -> _core.Packed:
    """The parameters in the core's own order of values, with a watch on each.

    Watches are aliases of the parameters, never copies: a copy would count its own writes.

    Args:
        spec: sizes of the layer.
        parameters: in torch's order.
        weights: what weights are stored as; None: as they are.
    """
    sizes = core_calls.sizes_for(spec, parameters[0].dtype)
    watches = tuple([_alias(parameter) for parameter in parameters])
    values = [
        memory.dense(name, watch, shape)
        for name, watch, shape in zip(spec.parameter_names, watches, spec.parameter_shapes, strict=True)
    ]
    stored = weights or str(parameters[0].dtype).removeprefix("torch.")
    return _core.Packed(sizes, parameters, watches, tuple(values), stored)


def _alias(parameter: Parameter) -> Tensor:
    """The parameter's memory under another name, with its counter of writes, or without one if it has none."""
    with torch.inference_mode(not memory.is_counted(parameter)):  # else detach() would begin a count of its own
        return parameter.detach()


class Frozen:
    """The packed parameters of a frozen layer.

    Attributes:
        weights: what its weights are stored as, a name of `stored_weights.CHOICES`; None: as they are.
    """

    def __init__(self, spec: GRUSpec, parameters: tuple[Parameter, ...], weights: str | None = None) -> None:
        self.weights = weights
        self._spec = spec
        self._parameters = parameters
        self._packed = pack(spec, parameters, weights)
        for parameter in set(parameters):
            count = parameter.frozen_by if isinstance(parameter, FrozenParameter) else 0
            parameter.__class__ = FrozenParameter
            cast("FrozenParameter", parameter).frozen_by = count + 1

    def release(self) -> None:
        """Makes plain parameters of them, unless another layer holds them frozen."""
        for parameter in cast("set[FrozenParameter]", set(self._parameters)):
            parameter.frozen_by -= 1
            if parameter.frozen_by == 0:
                del parameter.frozen_by
                parameter.__class__ = Parameter  # type: ignore[assignment]

    def run(
        self, x: Tensor, h_0: Tensor | None, parameters: dict[str, Any], sequences: Sequences, batch_first: bool
    ) -> tuple[Tensor, Tensor] | None:
        """Output and h_n from the packed parameters; None where only the plain call can serve.

        Args:
            x: (T, B, I), (B, T, I) with `batch_first`, or packed data (N, I).
            h_0: three-dimensional, or None.
            parameters: those that the layer has now, in torch's order.
            sequences: their ends, and where they start again.
            batch_first: see `x`.

        Raises:
            FrozenError: a parameter was written to since the freezing.
        """
        if dispatch.is_unwatched() and not (
            torch.is_grad_enabled() and self._needs_grad(x, h_0, sequences.reset_state)
        ):
            results = self._run_packed(x, h_0, parameters, sequences, batch_first)
            if results:  # neither None nor False
                return cast("tuple[Tensor, Tensor]", results)
        if not torch.compiler.is_compiling() and not self._packed.is_current():
            raise errors.frozen_changed()
        return None if self.weights is None else self._run_rounded(x, h_0, parameters, sequences, batch_first)

    def _run_packed(
        self, x: Tensor, h_0: Tensor | None, parameters: dict[str, Any], sequences: Sequences, batch_first: bool
    ) -> Any:
        """Output and h_n; None where a tensor cannot be read as it is, and False after a write to a parameter."""
        run, threads = self._packed.forward, torch.get_num_threads()
        if recording.profiler._is_profiler_enabled:
            run = recording.recorded(run)
        if sequences is WHOLE:
            return run(x, h_0, parameters, None, None, None, None, batch_first, threads)
        return run(x, h_0, parameters, *sequences, batch_first, threads)

    def _run_rounded(
        self, x: Tensor, h_0: Tensor | None, parameters: dict[str, Any], sequences: Sequences, batch_first: bool
    ) -> tuple[Tensor, Tensor] | None:
        """An inference call that the packed weights could not serve, with weights of the values that these have.

        None where it takes gradients, or has other parameters than the packed ones.
        """
        names = self._spec.parameter_names
        own = tuple([parameters.get(name) for name in names])
        if any([mine is not packed for mine, packed in zip(own, self._parameters, strict=True)]):  # noqa: C419
            return None
        if torch.is_grad_enabled() and self._needs_grad(x, h_0, sequences.reset_state):
            return None
        if dispatch.is_unwatched() and all([type(one) in memory.PLAIN for one in (x, h_0) if one is not None]):  # noqa: C419
            h_0 = None if h_0 is None else memory.dense("h_0", h_0)
            results = self._run_packed(memory.vectors("input", x), h_0, parameters, sequences, batch_first)
            if results:
                return cast("tuple[Tensor, Tensor]", results)
        weights = stored_weights.all_rounded(self._spec, self._parameters, cast("str", self.weights))
        return dispatch.run(self._spec, x, h_0, weights, sequences, 0.0, False, batch_first)

    def _needs_grad(self, x: Tensor, h_0: Tensor | None, reset_state: Tensor | None) -> bool:
        with torch._C.DisableTorchFunctionSubclass():  # several times faster
            return context.needs_grad(x, h_0, self._parameters, reset_state)
