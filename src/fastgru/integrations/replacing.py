"""`replace` and `restore`, `replace_gru` and `restore_gru`: convert the layers of a model to ours, and back.

For code that builds its layers itself see `fastgru.integrations.patching`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

from torch import nn
from torch.nn.modules import rnn
from torch.nn.utils import parametrize

from fastgru import errors
from fastgru.integrations.frozen_models import Freezing, check_model
from fastgru.integrations.frozen_models import freeze as freeze_layers
from fastgru.nn import activations, stored_weights
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU
from fastgru.nn.layer_norm import LayerNorm
from fastgru.nn.linear import Linear

# Torch's own classes, taken here once: under `patch` their names mean ours.
_OURS: Mapping[type[nn.Module], type[nn.Module]] = {rnn.GRU: GRU, rnn.GRUCell: GRUCell}
_STOCK: Mapping[type[nn.Module], type[nn.Module]] = {ours: stock for stock, ours in _OURS.items()}
# What stands around a GRU: all of torch's modules of these kinds whose bits depend on batch, threads or processor.
_OUR_ROWS: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.Linear: Linear,
    nn.LayerNorm: LayerNorm,
    **activations.CLASSES,
}
_ACTIVATIONS = frozenset(activations.CLASSES.values())
_STOCK_ROWS: Mapping[type[nn.Module], type[nn.Module]] = {ours: stock for stock, ours in _OUR_ROWS.items()}


@dataclasses.dataclass(frozen=True, repr=False)
class Replacement:
    """The report of `replace`, `restore`, `replace_gru` or `restore_gru`, which can be printed.

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
    layers used twice continue to work, and `model` may itself be a `torch.nn.GRU`. Layers with a
    parametrization (such as weight_norm) are changed too. Calling it again changes nothing.

    Subclasses of `torch.nn.GRU`, which may have their own code, and layers whose `forward` was
    replaced on the object are not changed; the report has the reason. Layers outside the
    module tree, for example in a plain list, are not found.

    Args:
        model: any module.
        freeze: also freeze every layer, as `fastgru.freeze` does: for a model that is served, not trained.
        weights: with `freeze`, the type in which layers store their weights, as in `fastgru.freeze`.

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
    return dataclasses.replace(report, freezing=freeze_layers(model, weights)) if freeze else report


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


def replace(model: nn.Module, *, gru: bool = True, linear: bool = False) -> Replacement:
    """Makes modules of torch inside `model` ours, in place, so that the whole model keeps our bits.

    With `linear`, a model of such modules gives the same bits for any batch and number of threads, in chunks, step by
    step or whole, on all processors with fused multiply-adds. Functions that `forward` calls itself are not replaced:
    see `fastgru.functional`. Modules are changed by the rules of `replace_gru`: they stay the same objects, with the
    same parameters and hooks. Activations that work in place and softmax without a dimension are not changed.

    Args:
        model: any module.
        gru: change every `torch.nn.GRU` and `GRUCell`.
        linear: change every `torch.nn.Linear` and `LayerNorm`, and the activations whose results in torch depend on
            the processor: Sigmoid, Tanh, GELU, SiLU, ELU, SELU, Softplus, Hardsigmoid, Hardswish, Softmax, LogSoftmax.

    Returns:
        A report: `model` itself, the changed modules, and the skipped ones with reasons.

    Raises:
        TypeError: if `model` is not a `torch.nn.Module`.

    Example:
        >>> model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Tanh())
        >>> fastgru.replace(model, linear=True).swapped
        {'0': 'fastgru.Linear', '1': 'fastgru.nn.activations.Tanh'}
    """
    return _change_layers(model, {**(_OURS if gru else {}), **(_OUR_ROWS if linear else {})})


def restore(model: nn.Module) -> Replacement:
    """Makes every module of ours inside `model` torch's own again, in place.

    The inverse of `replace` and of `replace_gru`, with the same rules.

    Args:
        model: any module.

    Returns:
        A report, as from `replace`.

    Raises:
        TypeError: `model` is not a `torch.nn.Module`.

    Example:
        >>> model = torch.nn.Sequential(fastgru.GRU(8, 16), fastgru.Linear(16, 2))
        >>> fastgru.restore(model).swapped
        {'0': 'torch.nn.GRU', '1': 'torch.nn.Linear'}
    """
    return _change_layers(model, {**_STOCK, **_STOCK_ROWS})


def _change_layers(model: nn.Module, classes: Mapping[type[nn.Module], type[nn.Module]]) -> Replacement:
    """Changes the class of each layer in `model` whose class is a key of `classes`."""
    check_model(model)
    swapped, skipped = {}, {}
    for path, module in list(model.named_modules()):
        if not issubclass(type(module), tuple(classes)) or _is_one_of(module, classes.values()):
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
    if getattr(module, "inplace", False):
        return "it works in place, which is torch's own way"
    if getattr(module, "dim", 0) is None:
        return "it has no dimension, and torch chooses one"
    return None


def _is_one_of(module: nn.Module, classes: Iterable[type[nn.Module]]) -> bool:
    """Whether the module has one of these classes already: some of ours are subclasses of torch's."""
    return parametrize.type_before_parametrizations(module) in classes


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
    if kind in _OURS or kind in _OUR_ROWS:
        return f"torch.nn.{kind.__name__}"
    return f"{kind.__module__ if kind in _ACTIVATIONS else 'fastgru'}.{kind.__name__}"


def _place(path: str) -> str:
    return path or "the model itself"
