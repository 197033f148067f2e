"""Freezing all layers of a model at once, to serve it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from fastgru import errors
from fastgru.nn import stored_weights
from fastgru.nn.gru import GRU
from fastgru.nn.torch_tools import STOCK_GRU


@dataclass(frozen=True, repr=False)
class Freezing:
    """What `freeze` did. Printing it shows this in words.

    Attributes:
        model: the model that was given, the same object.
        frozen: the path in the model of each layer that is frozen now (empty for the model itself).
        skipped: for each layer that is not, its path and the reason.

    Example:
        >>> import torch, fastgru
        >>> fastgru.freeze(torch.nn.Sequential(fastgru.GRU(3, 4))).frozen
        ('0',)
    """

    model: nn.Module
    frozen: tuple[str, ...]
    skipped: Mapping[str, str]

    def __repr__(self) -> str:
        lines = [f"Layers frozen: {len(self.frozen)}; not frozen: {len(self.skipped)}."]
        lines += [f"  {path or 'the model itself'}: frozen" for path in self.frozen]
        lines += [f"  {path or 'the model itself'}: not frozen, {reason}" for path, reason in self.skipped.items()]
        return "\n".join(lines)


def freeze(model: nn.Module, weights: str | None = None) -> Freezing:
    """Freezes every `fastgru.GRU` inside `model`, in place: inference calls use weights that are packed once.

    Each layer is frozen by its own `freeze()`, which says what that means. Results have the same bits, and calls
    that take gradients work as before. A layer that cannot be frozen stays as it is, with the reason in the report.

    Args:
        model: any module. Change `torch.nn.GRU` first by `fastgru.replace_gru`, or in one line with
            ``fastgru.replace_gru(model, freeze=True)``.
        weights: the type in which every layer stores its weights, as in `GRU.freeze`; results then differ a little. A
            layer whose weights cannot be stored in this type is not frozen.

    Returns:
        A report: `model` itself, the layers that were frozen, those that were not, and the reasons.

    Raises:
        ArgumentError: `weights` is not a name of such a type.
        TypeError: `model` is not a `torch.nn.Module`.

    Example:
        >>> import torch, fastgru
        >>> model = torch.nn.ModuleDict({"encoder": fastgru.GRU(8, 16), "decoder": torch.nn.GRU(8, 16)})
        >>> fastgru.freeze(model)
        Layers frozen: 1; not frozen: 1.
          encoder: frozen
          decoder: not frozen, it is a torch.nn.GRU; change it with fastgru.replace_gru
    """
    check_model(model)
    stored_weights.check_choice(weights)
    frozen: list[str] = []
    skipped: dict[str, str] = {}
    for path, module in model.named_modules():
        if isinstance(module, STOCK_GRU):
            skipped[path] = "it is a torch.nn.GRU; change it with fastgru.replace_gru"
        elif isinstance(module, GRU):
            try:
                module.freeze(weights)
                frozen.append(path)
            except (errors.FrozenError, errors.ArgumentError) as error:
                skipped[path] = str(error)
    return Freezing(model, tuple(frozen), skipped)


def unfreeze(model: nn.Module) -> None:
    """Undoes `freeze` for every `fastgru.GRU` inside `model`; layers that are not frozen stay as they are.

    Args:
        model: any module.

    Raises:
        TypeError: `model` is not a `torch.nn.Module`.

    Example:
        >>> import torch, fastgru
        >>> model = torch.nn.Sequential(fastgru.GRU(3, 4))
        >>> report = fastgru.freeze(model)
        >>> fastgru.unfreeze(model)
        >>> model[0].is_frozen
        False
    """
    check_model(model)
    for module in model.modules():
        if isinstance(module, GRU):
            module.unfreeze()


def check_model(model: object) -> None:
    """Raises a TypeError unless `model` is a module."""
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"`model` is a {type(model).__name__}. Expected a torch.nn.Module. "
            "Pass the model itself, not its parameters or its class."
        )
