"""Weights that are stored in fewer bytes while a layer is frozen: what there is, and what values they then have.

The core rounds weights when it packs them (`csrc/host/packed_cell.h`). Here are the same values as tensors, for calls
of a frozen layer that the core's kernels cannot serve.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import Parameter

from fastgru import _core, errors
from fastgru.spec import GRUSpec

CHOICES = ("float16", "bfloat16", "int8")
LEAST_QUANTIZED: int = _core.LEAST_QUANTIZED  # values of an input that is quantized
# Sizes of which one is enough to be faster with 8 bits, for some batch at least: measured (docs/quantization.md).
_LEAST_INPUTS, _LEAST_HIDDEN = 64, 17
# Sums of more products of 8-bit integers may not fit 32 bits.
_MOST_QUANTIZED = (2**31 - 1) // 127**2
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


def check_choice(weights: object) -> None:
    """Raises unless this is a name of a type that weights can be stored as, or None: as they are.

    Raises:
        ArgumentError: it is not.
    """
    if weights is not None and weights not in CHOICES:
        raise errors.unknown_weights(weights, CHOICES)


def check_values(spec: GRUSpec, parameters: tuple[Parameter, ...], weights: str, purpose: str) -> None:
    """Raises unless the weights of this layer can be stored as `weights`.

    Args:
        spec: sizes of the layer.
        parameters: in torch's order; they can be packed as they are.
        weights: a name of `CHOICES`.
        purpose: for the words of the error.

    Raises:
        FrozenError: the layer is not in float32, is too small to gain from it or too wide for its sums, or has a weight
            that cannot be stored.
    """
    dtype = parameters[0].dtype
    if dtype is not torch.float32:
        raise errors.cannot_pack(
            f"{purpose} with weights={weights!r}", f"the layer is in {dtype} and not torch.float32"
        )
    if weights == "int8" and spec.input_size < _LEAST_INPUTS and spec.hidden_size < _LEAST_HIDDEN:
        least = _LEAST_INPUTS, _LEAST_HIDDEN
        raise errors.too_small_to_quantize(purpose, spec.input_size, spec.hidden_size, least)
    for name, parameter in zip(spec.parameter_names, parameters, strict=True):
        if not name.startswith("weight"):
            continue
        if weights == "int8" and parameter.shape[1] > _MOST_QUANTIZED:
            raise errors.cannot_pack(
                f"{purpose} with weights={weights!r}",
                f"{name} has rows of {parameter.shape[1]} values, and sums of more than {_MOST_QUANTIZED} may not fit "
                "32 bits",
            )
        if not bool(parameter.detach().isfinite().all()):
            raise errors.cannot_pack(f"{purpose} with weights={weights!r}", f"{name} has a NaN or infinite value")
        if not bool(rounded(parameter, weights).isfinite().all()):
            largest = parameter.detach().abs().max().item()
            raise errors.cannot_pack(
                f"{purpose} with weights={weights!r}", f"{name} has the value {largest:.4g}, which becomes infinite"
            )


def all_rounded(spec: GRUSpec, parameters: tuple[Parameter, ...], weights: str) -> tuple[Tensor, ...]:
    """The values that the parameters of a layer have when weights are stored as `weights`, without gradients."""
    return tuple(
        [
            rounded(parameter, weights) if name.startswith("weight") else parameter.detach()
            for name, parameter in zip(spec.parameter_names, parameters, strict=True)
        ]
    )


def rounded(weight: Tensor, weights: str) -> Tensor:
    """The values that a weight has when it is stored as `weights`, in float32 and without gradients.

    Args:
        weight: (3H, K).
        weights: a name of `CHOICES`. For "int8" each row has a scale, and a weight for vectors of fewer than
            `LEAST_QUANTIZED` values stays as it is.
    """
    weight = weight.detach()
    if weights != "int8":
        return weight.to(_DTYPES[weights]).float()
    if weight.shape[1] < LEAST_QUANTIZED:
        return weight
    scale = weight.abs().amax(1, keepdim=True).clamp(min=1e-30) / 127
    return (weight / scale).round() * scale
