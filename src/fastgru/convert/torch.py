"""Parameters with torch's names and layout, in either convention of the update gate.

Torch: h' = (1 - z) n + z h, where z keeps the old state. Many texts: h' = (1 - z) h + z n, where z takes the new
candidate (Chung et al. 2014, arXiv 1412.3555, with torch's place of the reset gate), and one bias for each gate.
Both describe the same family of layers; see docs/equations.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fastgru.convert.gate_order import copied, flip_z
from fastgru.convert.state import spec_of_state
from fastgru.errors import ArgumentError
from fastgru.spec import GRUSpec

_CONVENTIONS = ("z_keeps_old", "z_takes_new")
_NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh)(?:_l\d+(?:_reverse)?)?")


def read(state: Mapping[str, Any], convention: str = "z_keeps_old") -> dict[str, Any]:
    """Converts parameters in `convention` to torch's convention.

    Args:
        state: parameters by torch's names. A missing bias_hh means one bias for each gate and is set to zero.
        convention: ``"z_keeps_old"`` is torch's; ``"z_takes_new"`` has the z rows negated.

    Returns:
        New arrays with the same names, of the same library and dtype.

    Raises:
        ArgumentError: an unknown convention or parameter name.
        OperandError: a tensor whose memory was released.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.torch import read
        >>> single = {"weight_ih": np.ones((3, 1)), "weight_hh": np.ones((3, 1)), "bias_ih": np.ones(3)}
        >>> converted = read(single, convention="z_takes_new")
        >>> converted["bias_ih"].tolist(), converted["bias_hh"].tolist()
        ([1.0, -1.0, 1.0], [0.0, 0.0, 0.0])
    """
    result = _converted(state, convention)
    for name in [name for name in result if name.startswith("bias_ih")]:
        zeros = copied(result[name])
        zeros[...] = 0
        result.setdefault(name.replace("bias_ih", "bias_hh"), zeros)
    return result


def write(state: Mapping[str, Any], convention: str = "z_keeps_old") -> dict[str, Any]:
    """Converts torch's parameters to `convention`. Arguments and errors are those of `read`.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.torch import write
        >>> write({"weight_hh": np.ones((3, 1))}, convention="z_takes_new")["weight_hh"].ravel().tolist()
        [1.0, -1.0, 1.0]
    """
    return _converted(state, convention)


def spec(state: Mapping[str, Any], convention: str = "z_keeps_old") -> GRUSpec:
    """The sizes of the layer of these parameters. Arguments and errors are those of `read`.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.torch import spec
        >>> spec({"weight_ih": np.ones((6, 4)), "weight_hh": np.ones((6, 2))}).hidden_size
        2
    """
    return spec_of_state(read(state, convention))


def _converted(state: Mapping[str, Any], convention: str) -> dict[str, Any]:
    if convention not in _CONVENTIONS:
        raise ArgumentError(
            f"there is no convention {convention!r}. Expected one of: {', '.join(_CONVENTIONS)}. "
            "Check whether your equations multiply the old state by z (z_keeps_old) or the new one (z_takes_new)."
        )
    for name, array in state.items():
        _check(name, array)
    if convention == "z_takes_new":
        return {name: flip_z(array) for name, array in state.items()}
    return {name: copied(array) for name, array in state.items()}


def _check(name: str, array: Any) -> None:
    """Raises if this is not a parameter of a GRU."""
    if _NAME.fullmatch(str(name)) is None:
        raise ArgumentError(
            f"{name!r} is not a parameter of a GRU. Expected names such as weight_ih_l0 or bias_hh_l1_reverse. "
            "Pass the state dict of the layer alone, without the prefix of the model around it."
        )
    if not hasattr(array, "shape"):
        raise ArgumentError(
            f"{name!r} is of type {type(array).__name__}. Expected a NumPy array or torch tensor. "
            "Convert it first, for example with numpy.asarray."
        )
    if hasattr(array, "untyped_storage"):
        from fastgru.call.memory import check_values  # imported here, because arrays can be converted without torch

        check_values(name, array)
    dims = 2 if name.startswith("weight") else 1
    if len(array.shape) != dims or array.shape[0] % 3:
        shape = "(3H, features)" if dims == 2 else "(3H,)"
        raise ArgumentError(
            f"{name!r} has shape {tuple(array.shape)}. Expected {shape}, with the rows of the gates r, z, n. "
            "Combine separate arrays with numpy.concatenate."
        )
