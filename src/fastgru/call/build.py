"""The checks of a call, the facts about it as a request, and the conversions of autocast."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses import FakeTensor
from torch.autograd import forward_ad

from fastgru import errors
from fastgru.call import context, memory
from fastgru.call.context import Follower
from fastgru.call.memory import PLAIN
from fastgru.call.request import Call, Request
from fastgru.call.sequences import Sequences, sizes_of
from fastgru.spec import GRUSpec, directions_of, names_of, shapes_of

_MAY_BE_NONE = ("h_0", "hx", "bias_ih", "bias_hh")
_SHAPES: dict[GRUSpec, tuple[torch.Size, ...]] = {}


def request_of(call: Call) -> Request:
    """The facts of a call, after all checks.

    Raises:
        FastGRUError: what does not fit.
    """
    spec, x, h_0, weights, sequences, dropout, recompute, batch_first = call
    if torch.compiler.is_compiling() or not PLAIN.issuperset(map(type, weights)):
        check_weights(spec, weights)
        weights = originals(weights)
    steps, batch = sizes_of(x, batch_first, sequences.batch_sizes)
    is_mixed = check_operands(spec, x, h_0, weights, batch)
    check_reset_state(spec, sequences, x, batch)
    needs_grad = context.needs_grad(x, h_0, weights, sequences.reset_state)
    follower = Follower.AUTOCAST if is_mixed else follower_of(call)
    if follower is Follower.EXPANDED_WEIGHTS:
        _check_samples(spec, sequences)
    return Request(
        spec,
        x.dtype,
        "cpu" if x.is_cpu else x.device.type,
        steps,
        batch,
        is_packed=sequences.batch_sizes is not None,
        needs_grad=needs_grad,
        dropout=dropout,
        follower=follower,
        recompute=recompute,
        batch_first=batch_first,
        has_lengths=sequences.lengths is not None,
        resets=sequences.reset is not None,
        subclass=_strange(call).pop().__name__ if follower is Follower.SUBCLASS else "",
    )


def _check_samples(spec: GRUSpec, sequences: Sequences) -> None:
    """Raises where torch's operator, the only one that ExpandedWeights know, cannot take a call."""
    if not spec.reset_after:
        raise errors.no_samples(
            "a layer with reset_after=False, by torch's ExpandedWeights",
            "Take gradients of single samples by torch.func.vmap",
        )
    if sequences.lengths is not None or sequences.reset is not None:
        hint = "Pack the sequences, or take gradients of single samples by torch.func.vmap"
        raise errors.no_samples("a call with lengths or resets, by torch's ExpandedWeights", hint)


def check_operands(
    spec: GRUSpec,
    x: Tensor,
    h_0: Tensor | None,
    weights: tuple[Tensor, ...],
    batch: int,
) -> bool:
    """Raises when types, devices or sizes do not fit together; True when autocast lets types differ.

    A call on a short sequence takes a few microseconds, and so do twenty attributes of tensors. So each is read once,
    compared cheaply, and words are made only when something is wrong.
    """
    shape, dtype, is_cpu = x.shape, x.dtype, x.is_cpu
    is_mixed = dtype is not weights[0].dtype
    if is_mixed and not torch._C._is_any_autocast_enabled():
        raise errors.input_dtype(dtype, weights[0].dtype)
    if shape[-1] != spec.input_size:
        raise errors.feature_size(shape[-1], spec.input_size)
    if h_0 is not None:
        cells = spec.num_layers * directions_of(spec)
        if h_0.shape != (cells, batch, spec.hidden_size):
            raise errors.hidden_shape(h_0.shape, (cells, batch, spec.hidden_size))
        is_mixed |= _check_operand("hidden", "hx", h_0, x)
    if len(weights) != len(_shapes(spec)):
        raise errors.parameter_count(len(weights), len(_shapes(spec)))
    for i, (weight, expected) in enumerate(zip(weights, _shapes(spec), strict=True)):
        if weight.is_nested:
            raise errors.nested_operand(names_of(spec)[i])
        if weight.shape != expected:
            name = names_of(spec)[i]
            rows = shape[:-1].numel() if "_ih" in name else shape[-2]  # torch projects the states step by step
            raise errors.parameter_shape(name, weight.shape, expected, rows)
        if weight.dtype is not dtype or not (is_cpu and weight.is_cpu):
            is_mixed |= _check_operand("parameter", names_of(spec)[i], weight, x)
    return is_mixed


def _shapes(spec: GRUSpec) -> tuple[torch.Size, ...]:
    if torch.compiler.is_compiling():  # what is kept from one call to the next would be compiled again when it changes
        return tuple([torch.Size(shape) for shape in shapes_of(spec)])
    found = _SHAPES.get(spec)
    if found is None:
        found = _SHAPES[spec] = tuple([torch.Size(shape) for shape in shapes_of(spec)])
    return found


def _check_operand(kind: str, name: str, operand: Tensor, x: Tensor) -> bool:
    """Raises when `operand` cannot meet `x`; True when only autocast lets it."""
    if operand.device != x.device:
        raise errors.device(kind, x.device, operand.device)
    if operand.dtype is x.dtype:
        return False
    if not torch._C._is_any_autocast_enabled():
        raise errors.operand_dtype(name, operand.dtype, x.dtype)
    return True


def check_reset_state(spec: GRUSpec, sequences: Sequences, x: Tensor, batch: int) -> None:
    """Raises when the state that resets put in is of the wrong size, type or device."""
    state = sequences.reset_state
    if state is None:
        return
    cells = spec.num_layers * directions_of(spec)
    if state.shape not in ((cells, spec.hidden_size), (cells, batch, spec.hidden_size)):
        raise errors.reset_state_shape(state.shape, (cells, batch, spec.hidden_size))
    _check_operand("hidden", "reset_state", state, x)


def check_tensors(**arguments: object) -> None:
    """Raises when one of the named arguments is neither a tensor nor left out."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor) and (value is not None or name not in _MAY_BE_NONE):
            raise errors.not_a_tensor(name, value)


def check_weights(spec: GRUSpec, weights: Sequence[object]) -> None:
    """Raises when one of the weights of a layer is no tensor."""
    for i, weight in enumerate(weights):
        if not isinstance(weight, Tensor):
            raise errors.no_parameter(names_of(spec)[i], i, weight)


def width(name: str, weight: Tensor) -> int:
    """How many values the weight matrix takes in."""
    if weight.is_nested:
        raise errors.nested_operand(name)
    if weight.dim() != 2:
        raise errors.parameter_rank(name, weight.shape)
    return weight.shape[1]


def cast(call: Call) -> Call | None:
    """What autocast makes of a call: its operands as those of `torch.nn.Linear`; None where it is off.

    It leaves float64 alone, and ExpandedWeights to torch's operator.
    """
    if not (call.x.is_cpu and torch.is_autocast_enabled("cpu")) or are_expanded(call.weights):
        return None
    check_weights(call.spec, call.weights)
    any_wrapper(call.spec, call.inputs)
    dtype = torch.get_autocast_dtype("cpu")

    def one(tensor: Tensor | None) -> Any:
        return tensor if tensor is None or tensor.dtype is torch.float64 else tensor.to(dtype)

    return call.with_inputs(*map(one, call.inputs))


def follower_of(call: Call) -> Follower | None:
    """The follower of operations on these tensors now; None if there is none."""
    if are_expanded(call.weights):
        return Follower.EXPANDED_WEIGHTS
    if torch._C._are_functorch_transforms_active():
        # No rule of ours serves a call that is compiled inside a transform.
        if torch.compiler.is_compiling():
            return Follower.COMPILED_TRANSFORM
        return Follower.FORWARD_TRANSFORM if forward_ad._current_level >= 0 else Follower.TRANSFORM
    if torch.compiler.is_compiling():
        return Follower.ONNX_EXPORT if context.is_exporting() else Follower.COMPILER
    has_wrappers = any_wrapper(call.spec, call.inputs)
    tensors = [t for t in call.inputs if t is not None]
    if forward_ad._current_level >= 0 and any(
        forward_ad.unpack_dual(t).tangent is not None  # type: ignore[no-untyped-call]
        for t in tensors
    ):
        return Follower.FORWARD_MODE
    if torch._C._get_tracing_state() is not None:
        return Follower.JIT_TRACING
    if torch._C._len_torch_dispatch_stack() > 0:
        return Follower.DISPATCH_MODE
    strange = _strange(call)
    if strange:
        return Follower.FAKE if strange == {FakeTensor} else Follower.SUBCLASS
    if any(t.layout is not torch.strided for t in tensors):
        return Follower.LAYOUT
    return Follower.WRAPPER if has_wrappers else None


def _strange(call: Call) -> set[type]:
    """Classes of tensors that may have their own behaviour."""
    return {type(t) for t in call.inputs if t is not None} - PLAIN


def any_wrapper(spec: GRUSpec, inputs: Sequence[Tensor | None]) -> bool:
    """Whether one of the inputs is a strided tensor on the CPU without values of its own (`memory.is_wrapper`).

    To be asked before torch's operators read them, which do not always look. False while a compiler or a trace follows.

    Args:
        spec: of the layer.
        inputs: x, h_0, reset_state and the weights.

    Raises:
        OperandError: memory was released, or the `.data` of a parameter was set to a wrapper.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None:
        return False
    names = ("input", "hx", "reset_state", *names_of(spec))
    found = [
        memory.is_wrapper(name, tensor)
        for name, tensor in zip(names, inputs, strict=False)  # how many weights there are is looked at elsewhere
        if tensor is not None and type(tensor) in PLAIN and tensor.is_cpu and tensor.layout is torch.strided
    ]
    return any(found)


# Where torch has the weights that gather the gradient of each sample (`torch.nn.utils._per_sample_grad`). They answer
# to few functions. Torch's GRU operator is among them; it becomes small operators, step by step, which leave each
# sample's gradient on the weight. Whoever makes such weights has loaded this.
_EXPANDED_WEIGHTS = "torch.nn.utils._expanded_weights.expanded_weights_impl"


def are_expanded(weights: tuple[Tensor, ...]) -> bool:
    """Whether ExpandedWeights stand for some of the weights."""
    kind = getattr(sys.modules.get(_EXPANDED_WEIGHTS), "ExpandedWeight", None)
    return kind is not None and any([isinstance(weight, kind) for weight in weights])  # noqa: C419


def originals(weights: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The weights for which ExpandedWeights stand; the same object where there are none."""
    if not are_expanded(weights):
        return weights
    kind = sys.modules[_EXPANDED_WEIGHTS].ExpandedWeight
    given: Any = weights
    return tuple([weight.orig_weight if isinstance(weight, kind) else weight for weight in given])
