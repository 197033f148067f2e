"""`replace_gru` and `restore_gru`: convert the layers of an existing model to ours, and back.

For code that builds its layers itself see `fastgru.integrations.patching`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import nn
from torch.nn.modules import rnn
from torch.nn.utils import parametrize

from fastgru import errors
from fastgru.integrations.frozen_models import Freezing, check_model
from fastgru.integrations.frozen_models import freeze as freeze_layers
from fastgru.nn import stored_weights
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU

# Torch's own classes, taken here once: under `patch` their names mean ours.
_OURS: Mapping[type[nn.Module], type[nn.Module]] = {rnn.GRU: GRU, rnn.GRUCell: GRUCell}
_STOCK: Mapping[type[nn.Module], type[nn.Module]] = {ours: stock for stock, ours in _OURS.items()}


@dataclass(frozen=True, repr=False)
class Replacement:
    """The report of `replace_gru` or `restore_gru`, which can be printed.

    Attributes:
        model: the model that was given, the same object.
        swapped: the path in the model (empty for the model itself) and the new class of each
            changed layer.
        skipped: the path of each layer that was not changed, and the reason.
        freezing: the report of `fastgru.freeze` if freezing was requested; otherwise None.

    Example:
        >>> report = fastgru.replace_gru(torch.nn.Sequential(torch.nn.GRU(3, 4)))
        >>> report.swapped
        {'0': 'fastgru.GRU'}
    """

    model: nn.Module
    swapped: Mapping[str, str]
    skipped: Mapping[str, str]
    freezing: Freezing | None = None

    def __repr__(self) -> str:
        lines = [f"Layers changed: {len(self.swapped)}; left as they were: {len(self.skipped)}."]
        lines += [f"  {_place(path)}: now {name}" for path, name in self.swapped.items()]
        lines += [f"  {_place(path)}: left, {reason}" for path, reason in self.skipped.items()]
        lines += [] if self.freezing is None else [repr(self.freezing)]
        return "\n".join(lines)


def replace_gru(model: nn.Module, freeze: bool = False, weights: str | None = None) -> Replacement:
    """Makes every `torch.nn.GRU` and `GRUCell` inside `model` ours, in place.

    Only the class of each layer changes. The layer stays the same object, with the same Parameter
    objects, hooks, training flag, device and dtype; so optimizers, references from elsewhere and
    layers used twice go on working, and `model` may itself be a `torch.nn.GRU`. Layers with a
    parametrization (such as weight_norm) are changed too. Calling it again changes nothing.

    Subclasses of `torch.nn.GRU`, which may have their own code, and layers whose `forward` was
    replaced on the object are not changed; the report has the reason. Layers outside the
    module tree, for example in a plain list, are not found.

    Args:
        model: any module.
        freeze: also freeze every layer, as `fastgru.freeze` does: for a model that is served, not trained.
        weights: with `freeze`, what layers store their weights as, as in `fastgru.freeze`.

    Returns:
        A report: `model` itself, the changed layers, and the skipped ones with reasons.

    Raises:
        TypeError: if `model` is not a `torch.nn.Module`.
        ArgumentError: if `weights` is not a name of such a type, or is given without `freeze`.

    Example:
        >>> model = torch.nn.ModuleDict({"encoder": torch.nn.GRU(8, 16)})
        >>> fastgru.replace_gru(model)
        Layers changed: 1; left as they were: 0.
          encoder: now fastgru.GRU
    """
    stored_weights.check_choice(weights)
    if weights is not None and not freeze:
        raise errors.weights_not_frozen(weights)
    report = _change_layers(model, _OURS)
    return replace(report, freezing=freeze_layers(model, weights)) if freeze else report


def restore_gru(model: nn.Module) -> Replacement:
    """Makes every `fastgru.GRU` and `GRUCell` inside `model` torch's own again, in place.

    The inverse of `replace_gru`, with the same rules; layers built as `fastgru.GRU` are changed
    too. A layer with reset_after=False is left as it is, because torch has no such layer; the
    report says so. Call it before tools that need torch's exact class, such as dynamic
    quantization.

    Args:
        model: any module.

    Returns:
        A report, as from `replace_gru`.

    Raises:
        TypeError: `model` is not a `torch.nn.Module`.

    Example:
        >>> model = torch.nn.Sequential(fastgru.GRU(8, 16))
        >>> fastgru.restore_gru(model).swapped
        {'0': 'torch.nn.GRU'}
    """
    return _change_layers(model, _STOCK)


def _change_layers(model: nn.Module, classes: Mapping[type[nn.Module], type[nn.Module]]) -> Replacement:
    """Changes the class of each layer in `model` whose class is a key of `classes`."""
    check_model(model)
    swapped, skipped = {}, {}
    for path, module in list(model.named_modules()):
        if not issubclass(type(module), tuple(classes)):
            continue
        reason = _reason_to_leave(module, classes)
        if reason is None:
            target = classes[parametrize.type_before_parametrizations(module)]
            _change_class(module, target)
            swapped[path] = _public_name(target)
        else:
            skipped[path] = reason
    return Replacement(model, swapped, skipped)


def _reason_to_leave(module: nn.Module, classes: Mapping[type[nn.Module], type[nn.Module]]) -> str | None:
    kind = parametrize.type_before_parametrizations(module)
    if kind not in classes:
        return f"{kind.__module__}.{kind.__qualname__} is a subclass that may have code of its own"
    if "forward" in vars(module):
        return "its `forward` was replaced on this object"
    if not getattr(module, "reset_after", True):
        return f"it has reset_after=False, which {_public_name(classes[kind])} does not have"
    return None


def _change_class(module: nn.Module, target: type[nn.Module]) -> None:
    """Gives `module` the class `target`, under the parametrizations that it may have."""
    if parametrize.is_parametrized(module):
        # Torch made a class for this one object, whose properties compute the parametrized tensors.
        own = {k: v for k, v in vars(type(module)).items() if k not in ("__dict__", "__weakref__")}
        target = type(f"Parametrized{target.__name__}", (target,), own)
    if isinstance(module, GRU):
        module.unfreeze()
    vars(module).pop("_flat_weights", None)  # torch's list of weights; ours has a property instead
    module.__class__ = target
    if isinstance(module, nn.RNNBase):
        module._init_flat_weights()


def _public_name(kind: type[nn.Module]) -> str:
    return f"{'torch.nn' if kind in _OURS else 'fastgru'}.{kind.__name__}"


def _place(path: str) -> str:
    return path or "the model itself"
