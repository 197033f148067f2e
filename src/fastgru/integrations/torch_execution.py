"""The operators of graphs in torch, with gradients and with the same bits as in the runtime."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from fastgru import functional
from fastgru.rows.functions import apply
from fastgru.spec import GRUSpec

_Call = Callable[[Mapping[str, Any], Mapping[str, Tensor], Sequence[Tensor]], Tensor]


def run_node(
    node: Any,
    parameters: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    state: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> tuple[list[Tensor], Tensor | None]:
    """The results of a node and its next state; None for one without a state.

    Args:
        node: of a graph.
        parameters: by the operator's names.
        inputs: (T, B, F), (B, F), or of indices (T, B), (B).
        state: (layers * directions, B, H); None: what sequences begin with.
        lengths: (B,) or None.
        reset: (T, B) or None.
    """
    if node.operator == "GRU":
        return _gru(node.attributes, parameters, inputs, state, lengths, reset)
    if node.operator == "GRUCell":
        return _cell(node.attributes, parameters, inputs, state, reset)
    if node.operator == "Last":
        return [_last(inputs[0], lengths)], None
    return [CALLS[node.operator](node.attributes, parameters, inputs)], None


def _gru(
    given: Mapping[str, Any],
    parameters: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    state: Tensor | None,
    lengths: Tensor | None,
    reset: Tensor | None,
) -> tuple[list[Tensor], Tensor]:
    x = inputs[0]
    spec = GRUSpec(**{name: given[name] for name in GRUSpec._fields})
    weights = [parameters[name] for name in spec.parameter_names]
    options = {name: given[name] for name in ("num_layers", "bias", "bidirectional", "reset_after")}
    anew = torch.stack(list(inputs[1:])) if len(inputs) > 1 else parameters.get("h_0")
    if anew is not None and state is None:
        state = anew if anew.ndim == 3 else anew.unsqueeze(1).expand(-1, x.shape[1], -1)
    again = None if reset is None else anew
    output, h_n = functional.gru(x, state, weights, lengths=lengths, reset=reset, reset_state=again, **options)
    return [output, *h_n], h_n


def _cell(
    given: Mapping[str, Any],
    parameters: Mapping[str, Tensor],
    inputs: Sequence[Tensor],
    state: Tensor | None,
    reset: Tensor | None,
) -> tuple[list[Tensor], Tensor]:
    x = inputs[0]
    anew = inputs[1] if len(inputs) > 1 else x.new_zeros(x.shape[0], parameters["weight_hh"].shape[1])
    before = anew if state is None else state[0]
    if reset is not None:
        before = torch.where(reset[0].unsqueeze(-1), anew, before)
    biases = parameters.get("bias_ih"), parameters.get("bias_hh")
    weights = parameters["weight_ih"], parameters["weight_hh"]
    after = functional.gru_cell(x, before, *weights, *biases, reset_after=given["reset_after"])
    return [after], after.unsqueeze(0)


def _last(x: Tensor, lengths: Tensor | None) -> Tensor:
    if lengths is None:
        return x[-1]
    last = x[lengths.clamp(min=1) - 1, torch.arange(x.shape[1])]
    return torch.where((lengths > 0).unsqueeze(-1), last, torch.zeros_like(last))


def _linear(given: Mapping[str, Any], parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
    return functional.linear(inputs[0], parameters["weight"], parameters.get("bias"))


def _layer_norm(given: Mapping[str, Any], parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
    weight, bias = parameters.get("weight"), parameters.get("bias")
    return functional.layer_norm(inputs[0], (given["size"],), weight, bias, given["eps"])


def _hard_sigmoid(x: Tensor, alpha: float, beta: float) -> Tensor:
    is_torchs = alpha == 1 / 6 and beta == 0.5
    return functional.hardsigmoid(x) if is_torchs else (alpha * x + beta).clamp(0, 1)


def _function(call: Callable[..., Tensor]) -> _Call:
    """A function of the input and of the attributes by their names."""
    return lambda given, parameters, inputs: call(inputs[0], **given)


def _operation(call: Callable[[Any, Any], Tensor]) -> _Call:
    def compute(given: Mapping[str, Any], parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
        others = {"value": inputs[-1], "vector": parameters.get("other"), "number": given["number"]}
        pair = (inputs[0], others[given["other"]])
        return call(*(pair[::-1] if given["swap"] else pair))

    return compute


def _concat(given: Mapping[str, Any], parameters: Mapping[str, Tensor], inputs: Sequence[Tensor]) -> Tensor:
    front = max((x.shape[:-1] for x in inputs), key=len)
    return torch.cat([x.expand(*front, x.shape[-1]) for x in inputs], -1)


CALLS: Mapping[str, _Call] = {
    "Embedding": lambda given, parameters, inputs: F.embedding(inputs[0], parameters["weight"]),
    "Linear": _linear,
    "LayerNorm": _layer_norm,
    "ReLU": _function(F.relu),
    "LeakyReLU": _function(F.leaky_relu),
    "ELU": _function(functional.elu),
    "SELU": _function(functional.selu),
    "GELU": _function(functional.gelu),
    "SiLU": _function(functional.silu),
    "Sigmoid": _function(functional.sigmoid),
    "Tanh": _function(functional.tanh),
    "Softplus": _function(functional.softplus),
    "Softsign": _function(F.softsign),
    "Hardsigmoid": _function(_hard_sigmoid),
    "Hardswish": _function(functional.hardswish),
    "Clamp": _function(torch.clamp),
    "Exp": _function(lambda x: apply("exp", x)),
    "Log": _function(torch.log),
    "Sqrt": _function(torch.sqrt),
    "Abs": _function(torch.abs),
    "Erf": _function(lambda x: apply("erf", x)),
    "Neg": _function(torch.neg),
    "Softmax": _function(lambda x: functional.softmax(x, -1)),
    "LogSoftmax": _function(lambda x: functional.log_softmax(x, -1)),
    "Add": _operation(lambda a, b: a + b),
    "Subtract": _operation(lambda a, b: a - b),
    "Multiply": _operation(lambda a, b: a * b),
    "Divide": _operation(lambda a, b: a / b),
    "Concat": _concat,
    "Slice": lambda given, parameters, inputs: inputs[0][..., given["first"] : given["first"] + given["size"]],
}
