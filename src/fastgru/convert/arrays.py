"""Arrays of any library as NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from fastgru.convert.layout import Array
from fastgru.errors import ArgumentError, OperandError

_DTYPES = ("float16", "float32", "float64")


def to_numpy(name: str, value: Any) -> Array:
    """`value` as a NumPy array in the machine's byte order, sharing memory where that is possible.

    Args:
        name: the array's name, for messages.
        value: a NumPy array, or any object with ``__array__`` or ``__dlpack__``: tensors of torch and TensorFlow,
            arrays of JAX and MLX, variables of Keras and Flax.

    Returns:
        An array of float16, float32 or float64.

    Raises:
        ArgumentError: something else, or another dtype.
        OperandError: a tensor of torch whose memory was released.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.arrays import to_numpy
        >>> to_numpy("bias", np.array([1, 2], dtype=">f4")).dtype
        dtype('float32')
    """
    if not (hasattr(value, "__array__") or hasattr(value, "__dlpack__")):
        raise ArgumentError(
            f"{name!r} is of type {type(value).__name__}. Expected an array of NumPy or of another library. "
            "Convert it first, for example with numpy.asarray."
        )
    try:
        array = _converted(name, value)
    except OperandError:
        raise
    except (TypeError, ValueError, BufferError, RuntimeError) as error:
        raise ArgumentError(
            f"{name!r} of type {type(value).__name__} cannot be converted to a NumPy array: {error}. "
            "Convert it to float32 on the CPU first."
        ) from error
    if array.dtype.name not in _DTYPES:
        raise ArgumentError(
            f"{name!r} has dtype {array.dtype}. Expected one of: {', '.join(_DTYPES)}. "
            "Convert it first, for example to float32."
        )
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _converted(name: str, value: Any) -> Array:
    if hasattr(value, "untyped_storage"):
        from fastgru.call.memory import check_values  # imported here, because arrays can be converted without torch

        check_values(name, value)
        value = value.detach().cpu()
    return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)
