"""Calling `torch.export` so that the numbers of rows and steps stay free, and nothing else does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from inspect import signature
from typing import Any

import torch
import torch.fx.experimental._config as config
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.nn.utils.rnn import PackedSequence
from torch.utils._pytree import tree_leaves, tree_map

from fastgru import errors
from fastgru.graph import Graph
from fastgru.integrations.exported.program import Reader
from fastgru.integrations.exported.sizes import Inputs, check_sizes, is_free, is_unclear

_AUTO = torch.export.Dim.AUTO
_STATIC = torch.export.Dim.STATIC


def exported_graph(model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Graph:
    """The graph of what a model computes in this call, for any numbers of rows and steps.

    Which sizes users choose is known after a first reading. If the example has sizes of 1, or torch has fixed others or
    left others open, the model is exported again with just these free.

    Raises:
        ConversionError, GraphError: as of `fastgru.save`.
    """
    has_ones = any(isinstance(one, Tensor) and 1 in one.shape for one in tree_leaves((args, kwargs)))
    program, reader, graph = _first_reading(model, args, kwargs, has_ones)
    if has_ones or is_unclear(reader.inputs):
        names = dict(zip(map(id, tree_leaves((args, kwargs))), program.graph_signature.user_inputs, strict=True))
        program, reader, graph = _read(model, args, kwargs, _others(reader.inputs, names))
    check_sizes(program, reader.inputs)
    return graph


@contextmanager
def refusing_packed(model: nn.Module) -> Iterator[None]:
    """Raises, for a while, where a layer of the model is called with a packed sequence.

    `torch.export` knows no packed sequences; it would fail inside of the layer, with a message about something else.
    """

    def hook_of(name: str) -> Callable[[nn.Module, Any], None]:
        def refuse(module: nn.Module, given: Any) -> None:
            if any(isinstance(one, PackedSequence) for one in given):
                raise errors.packed_sequence(name or "the model")

        return refuse

    layers = [(name, layer) for name, layer in model.named_modules() if isinstance(layer, nn.RNNBase)]
    hooks = [layer.register_forward_pre_hook(hook_of(name)) for name, layer in layers]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _first_reading(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], has_ones: bool
) -> tuple[ExportedProgram, Reader, Graph]:
    """A reading that tells which sizes users choose.

    torch fixes sizes of 1 unless it is told not to, and then takes them for any size: also that of a mask, which is
    always 1. It leaves features open that no weight fixes, and then cannot say how large their parts are.
    """
    try:
        return _read(model, args, kwargs, _none, keep_ones=has_ones)
    except (errors.ConversionError, errors.GraphError) as error:
        for fixed in (_none, _last)[0 if has_ones else 1 :]:
            with suppress(Exception):  # whatever it is, the first reading was nearer to what users mean
                return _read(model, args, kwargs, fixed)
        raise error from None


def _none(tensor: Tensor) -> Sequence[int]:
    return ()


def _last(tensor: Tensor) -> Sequence[int]:
    return [tensor.ndim - 1] if tensor.is_floating_point() and tensor.ndim > 1 else []


def _others(inputs: Inputs, names: Mapping[int, object]) -> Callable[[Tensor], Sequence[int]]:
    """The axes of tensors whose sizes users do not choose."""

    def fixed(tensor: Tensor) -> Sequence[int]:
        axes = inputs.get(str(names[id(tensor)]), ())
        return [place for place, axis in enumerate(axes) if not is_free(axis)]

    return fixed


def _read(
    model: nn.Module,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fixed: Callable[[Tensor], Sequence[int]],
    *,
    keep_ones: bool = False,
) -> tuple[ExportedProgram, Reader, Graph]:
    """The program with all sizes free but those of the axes that are `fixed`, and what it computes."""
    with nullcontext() if keep_ones else _free_ones():
        program = _exported(model, args, kwargs, fixed)
    reader = Reader(program)
    return program, reader, reader.graph()


def _exported(
    model: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], fixed: Callable[[Tensor], Sequence[int]]
) -> ExportedProgram:
    def sizes(one: Any) -> Any:
        if not isinstance(one, Tensor):
            return None
        return dict.fromkeys(range(one.ndim), _AUTO) | dict.fromkeys(fixed(one), _STATIC)

    bound = signature(model.forward).bind(*args, **kwargs)
    shapes = tree_map(sizes, dict(bound.arguments))
    try:
        with torch.no_grad():
            return torch.export.export(model, tuple(args), dict(kwargs), dynamic_shapes=shapes, strict=False)
    except errors.FastGRUError:
        raise
    except Exception as error:  # of many kinds: what the model itself raises, or what torch cannot follow
        raise errors.cannot_export(error) from error


def _free_ones() -> AbstractContextManager[Any]:
    """Sizes of 1 stay free too; in old versions of torch they cannot."""
    name = "backed_size_oblivious"
    patch: Any = getattr(config, "patch", None)  # made at import, so type checkers do not know it
    return nullcontext() if patch is None or not hasattr(config, name) else patch(**{name: True})
