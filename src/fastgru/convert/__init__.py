"""Conversion of models and parameters from and to other frameworks and conventions.

The module can be called: ``fastgru.convert("model.onnx", "model.safetensors")`` is `convert_file`.

    >>> import numpy as np
    >>> import fastgru
    >>> np.savez("mlx.npz", Wx=np.ones((9, 2)), Wh=np.ones((9, 3)))
    >>> fastgru.convert("mlx.npz", "gru.safetensors", framework="mlx").outputs
    (Output(name='output', value='output', axes='BTF'),)
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

from fastgru.convert import reading as _reading
from fastgru.convert import torch as _torch
from fastgru.convert import writing as _writing
from fastgru.convert.files import convert_file
from fastgru.convert.frameworks import FRAMEWORKS as _FRAMEWORKS
from fastgru.convert.keras_graph import read_keras
from fastgru.errors import ArgumentError
from fastgru.graph import Graph
from fastgru.spec import GRUSpec


class Converter(NamedTuple):
    """The functions of one framework: `read`, `write` and `spec`."""

    read: Callable[..., dict[str, Any]]
    write: Callable[..., Any]
    spec: Callable[..., GRUSpec]

    def call(self, function: str, arrays: Any, options: Mapping[str, Any]) -> Any:
        """Calls one of the functions; raises for an option that it does not have."""
        called: Callable[..., Any] = getattr(self, function)
        known = list(inspect.signature(called).parameters)[1:]
        if unknown := [name for name in options if name not in known]:
            raise ArgumentError(f"there is no option {unknown[0]!r} here. Expected one of: {', '.join(known)}.")
        return called(arrays, **options)


CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {"torch": Converter(_torch.read, _torch.write, _torch.spec)}
    | {
        name: Converter(
            partial(_reading.read, framework), partial(_writing.write, framework), partial(_reading.spec, framework)
        )
        for name, framework in _FRAMEWORKS.items()
    }
)


def read(framework: str, arrays: Any, **options: Any) -> dict[str, Any]:
    """Converts parameters of a layer of `framework` to a `torch.nn.GRU` state dict.

    Args:
        framework: a key of `CONVERTERS`: torch, keras, flax_linen, flax_nnx, equinox, mlx, onnx, openvino, onednn.
        arrays: the parameters of a layer by the framework's names, flat or nested; stacked layers as a list; two
            directions as ``{"forward": ..., "backward": ...}``, unless the framework has a dimension for them.
            Arrays of NumPy, or anything with ``__array__`` or ``__dlpack__``. docs/converting.md lists the names.
        options: ``reset_after`` (bool), where the arrays do not show it, and to confirm that they are of a layer whose
            reset gate acts before the product; for torch ``convention``, ``"z_keeps_old"`` or ``"z_takes_new"``.

    Returns:
        New NumPy arrays by torch's names, such as weight_ih_l0 and bias_hh_l1_reverse; for torch, arrays of the same
        library as the given ones.

    Raises:
        ArgumentError: an unknown framework, or parameters that do not fit.

    Example:
        >>> import numpy as np
        >>> import fastgru
        >>> weights = {"kernel": np.ones((2, 9)), "recurrent_kernel": np.ones((3, 9)), "bias": np.zeros((2, 9))}
        >>> {name: array.shape for name, array in fastgru.convert.read("keras", weights).items()}
        {'weight_ih_l0': (9, 2), 'weight_hh_l0': (9, 3), 'bias_ih_l0': (9,), 'bias_hh_l0': (9,)}
    """
    result: dict[str, Any] = _find(framework).call("read", arrays, options)
    return result


def write(framework: str, state: Any, **options: Any) -> Any:
    """Converts a `torch.nn.GRU` state dict to the parameters of `framework`: the inverse of `read`.

    Args:
        framework: a key of `CONVERTERS`.
        state: a layer, `fastgru.GRU` or `torch.nn.GRU`; or its state dict, as tensors or NumPy arrays.
        options: ``reset_after=False`` for the state dict of a layer whose reset gate acts before the product;
            ``bias=False`` for a target without biases, ``bias=True`` to add biases that are zero; for torch
            ``convention``.

    Returns:
        New NumPy arrays by the framework's names; a list of such dicts for stacked layers;
        ``{"forward": ..., "backward": ...}`` for two directions. For torch a dict, of the same library as given.

    Raises:
        ArgumentError: an unknown framework, or parameters that do not fit or that the framework cannot hold.

    Example:
        >>> import fastgru
        >>> weights = fastgru.convert.write("mlx", fastgru.GRU(2, 3, bias=False))
        >>> {name: array.shape for name, array in weights.items()}
        {'Wx': (9, 2), 'Wh': (9, 3)}
    """
    converter = _find(framework)
    if hasattr(state, "state_dict"):
        options = _with_reset_of(state, framework, options)
        state = state.state_dict()
    return converter.call("write", state, options)


def spec(framework: str, arrays: Any, **options: Any) -> GRUSpec:
    """The sizes and options of the layer whose parameters `read` returns, to build it without guessing.

    Args:
        framework: a key of `CONVERTERS`.
        arrays: as for `read`.
        options: as for `read`; ``reset_after`` is only needed where the arrays do not show it.

    Returns:
        input_size, hidden_size, num_layers, bias, bidirectional and reset_after: the options of `fastgru.GRU`.

    Raises:
        ArgumentError: an unknown framework, or parameters that do not fit.

    Example:
        >>> import numpy as np
        >>> import fastgru
        >>> import torch
        >>> weights = {"kernel": np.ones((2, 9)), "recurrent_kernel": np.ones((3, 9)), "bias": np.zeros((2, 9))}
        >>> spec = fastgru.convert.spec("keras", weights)
        >>> layer = fastgru.GRU(**spec._asdict(), dtype=torch.float64)
        >>> state = fastgru.convert.read("keras", weights, reset_after=spec.reset_after)
        >>> layer.load_state_dict({name: torch.from_numpy(array) for name, array in state.items()})
        <All keys matched successfully>
    """
    result: GRUSpec = _find(framework).call("spec", arrays, options)
    return result


def keras_model(path: str | os.PathLike[str]) -> Graph:
    """Reads a whole Keras 3 model as a graph for `fastgru.runtime`.

    The model is Sequential or functional, of Embedding, Dense, GRU, Bidirectional(GRU), LayerNormalization,
    TimeDistributed, activations, sums, products and concatenations; layers that only act in training are left out.
    Keras is not needed.

    Args:
        path: a file that ``model.save("model.keras")`` wrote.

    Returns:
        The graph. `fastgru.runtime.Model` runs it, and `fastgru.runtime.save` writes it to one file.

    Raises:
        ConversionError: the model has a layer or an option that a graph does not have. The message names it.
        FormatError: the file is not a .keras file, or is damaged.
        OSError: the file cannot be read.

    Example:
        >>> import fastgru
        >>> fastgru.convert.keras_model("missing.keras")
        Traceback (most recent call last):
        FileNotFoundError: [Errno 2] No such file or directory: 'missing.keras'
    """
    return read_keras(path)


def _with_reset_of(layer: Any, framework: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `write`, with the place of the layer's reset gate."""
    reset_after = bool(getattr(layer, "reset_after", True))
    if options.get("reset_after", reset_after) != reset_after:
        raise ArgumentError(
            f"reset_after={options['reset_after']} was passed for a layer with reset_after={reset_after}. Leave it out."
        )
    return {**options} if framework == "torch" else {**options, "reset_after": reset_after}


def _find(framework: str) -> Converter:
    if framework not in CONVERTERS:
        raise ArgumentError(f"there is no converter for {framework!r}. Known ones: {', '.join(CONVERTERS)}.")
    return CONVERTERS[framework]


class _Callable(ModuleType):
    """A module that can be called."""

    def __call__(self, source: Any, target: Any, **options: Any) -> Any:
        """See `convert_file`."""
        return convert_file(source, target, **options)


sys.modules[__name__].__class__ = _Callable
