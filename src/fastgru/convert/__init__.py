"""Conversion of parameters between torch and other frameworks and conventions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fastgru.convert import torch as _torch
from fastgru.errors import ArgumentError


class Converter(NamedTuple):
    """The functions for both directions of one framework."""

    read: Callable[..., dict[str, Any]]
    write: Callable[..., dict[str, Any]]


CONVERTERS: Mapping[str, Converter] = MappingProxyType({"torch": Converter(_torch.read, _torch.write)})


def read(framework: str, state: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Converts parameters of a layer of `framework` to a `torch.nn.GRU` state dict.

    Args:
        framework: a key of `CONVERTERS`.
        state: the parameters by name, as NumPy arrays or torch tensors.
        options: options of the framework, such as ``convention="z_takes_new"``.

    Returns:
        New arrays of the same library, for `load_state_dict` of `fastgru.GRU`.

    Raises:
        ArgumentError: an unknown framework, or parameters that do not fit.

    Example:
        >>> import fastgru
        >>> layer = fastgru.GRU(2, 3)
        >>> state = fastgru.convert.read("torch", layer.state_dict(), convention="z_takes_new")
        >>> layer.load_state_dict(state)
        <All keys matched successfully>
    """
    return _find(framework).read(state, **options)


def write(framework: str, state: Mapping[str, Any], **options: Any) -> dict[str, Any]:
    """Converts a `torch.nn.GRU` state dict to the parameters of `framework`: the inverse of `read`.

    Args:
        framework: a key of `CONVERTERS`.
        state: a state dict of `fastgru.GRU` or `torch.nn.GRU`.
        options: options of the framework.

    Returns:
        New arrays of the same library.

    Raises:
        ArgumentError: an unknown framework, or parameters that do not fit.

    Example:
        >>> import fastgru
        >>> sorted(fastgru.convert.write("torch", fastgru.GRU(2, 3, bias=False).state_dict()))
        ['weight_hh_l0', 'weight_ih_l0']
    """
    return _find(framework).write(state, **options)


def _find(framework: str) -> Converter:
    if framework not in CONVERTERS:
        raise ArgumentError(f"there is no converter for {framework!r}. Known ones: {', '.join(CONVERTERS)}.")
    return CONVERTERS[framework]
