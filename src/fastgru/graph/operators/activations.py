"""Functions of each number by itself, and softmax. The definitions are those of torch.nn.functional."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fastgru.graph.operators.base import Array, Attribute, Attributes, Operator, Timing, need_vectors
from fastgru.graph.values import Value
from fastgru.reference import NumPyOperations

sigmoid = NumPyOperations.sigmoid
_erf = np.vectorize(math.erf, otypes=[float])
# Klambauer et al. 2017, arXiv 1706.02515.
_SELU_ALPHA, _SELU_SCALE = 1.6732632423543772, 1.0507009873554805


class Function(Operator):
    """A function of vectors that keeps their size."""

    def __init__(self, function: Callable[..., Any], **attributes: Attribute) -> None:
        self.function = function
        self.attributes = attributes

    def results(self, where: str, attributes: Attributes, inputs: Sequence[Value]) -> list[Value]:
        need_vectors(where, inputs[0])
        return [inputs[0]]

    def compute(
        self, attributes: Attributes, parameters: Mapping[str, Array], inputs: Sequence[Array], timing: Timing
    ) -> list[Array]:
        with np.errstate(all="ignore"):  # NaN and infinity go through, as in torch
            return [np.asarray(self.function(inputs[0], **attributes)).astype(inputs[0].dtype, copy=False)]


def _elu(x: Any, alpha: float) -> Any:
    return np.where(x > 0, x, alpha * np.expm1(np.minimum(x, 0)))


def _gelu(x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return 0.5 * x * (1 + _erf(x / math.sqrt(2)))


def _softplus(x: Any, beta: float, threshold: float) -> Any:
    return np.where(x * beta > threshold, x, np.log1p(np.exp(np.minimum(x * beta, threshold))) / beta)


def _hard_sigmoid(x: Any, alpha: float, beta: float) -> Any:
    return np.clip(alpha * x + beta, 0, 1)


def _log_softmax(x: Any) -> Any:
    shifted = x - x.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _softmax(x: Any) -> Any:
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


FUNCTIONS: dict[str, Operator] = {
    "ReLU": Function(lambda x: np.maximum(x, 0)),
    "LeakyReLU": Function(
        lambda x, negative_slope: np.where(x > 0, x, negative_slope * x), negative_slope=Attribute(float, 0.01)
    ),
    "ELU": Function(_elu, alpha=Attribute(float, 1.0)),
    "SELU": Function(lambda x: _SELU_SCALE * _elu(x, _SELU_ALPHA)),
    "GELU": Function(_gelu, approximate=Attribute(("none", "tanh"), "none")),
    "SiLU": Function(lambda x: x * sigmoid(x)),
    "Sigmoid": Function(sigmoid),
    "Tanh": Function(np.tanh),
    "Softplus": Function(_softplus, beta=Attribute(float, 1.0), threshold=Attribute(float, 20.0)),
    "Softsign": Function(lambda x: x / (1 + np.abs(x))),
    "Hardsigmoid": Function(_hard_sigmoid, alpha=Attribute(float, 1 / 6), beta=Attribute(float, 0.5)),
    "Hardswish": Function(lambda x: x * _hard_sigmoid(x, 1 / 6, 0.5)),
    "Clamp": Function(
        lambda x, min, max: np.clip(x, min, max),
        min=Attribute(float, -float(np.finfo(np.float64).max)),
        max=Attribute(float, float(np.finfo(np.float64).max)),
    ),
    "Exp": Function(np.exp),
    "Log": Function(np.log),
    "Sqrt": Function(np.sqrt),
    "Abs": Function(np.abs),
    "Erf": Function(_erf),
    "Neg": Function(np.negative),
    "Softmax": Function(_softmax),
    "LogSoftmax": Function(_log_softmax),
}
