"""Functions for the order of gates and the sign of z, for both NumPy arrays and torch tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Array = Any  # numpy.ndarray or torch.Tensor


def reorder_gates(array: Array, source: str, target: str) -> Array:
    """Reorders the row blocks of a (3H, ...) parameter from the order `source` to the order `target`.

    Args:
        array: (3H, K) weight or (3H,) bias.
        source: the gates of the row blocks, such as ``"zrn"``.
        target: the new order, such as ``"rzn"``.

    Returns:
        A new array of the same shape.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.gate_order import reorder_gates
        >>> reorder_gates(np.array([1, 2, 3]), "zrn", "rzn").tolist()
        [2, 1, 3]
    """
    blocks = _blocks(array, len(source))
    return _joined(array, [blocks[source.index(gate)] for gate in target])


def flip_z(array: Array) -> Array:
    """Negates the z rows of a (3H, ...) parameter in the order r, z, n.

    Since 1 - sigmoid(a) = sigmoid(-a), this converts parameters of the convention h' = (1 - z) h + z n to those of
    torch's h' = (1 - z) n + z h, and back.

    Example:
        >>> import numpy as np
        >>> from fastgru.convert.gate_order import flip_z
        >>> flip_z(np.array([1.0, 2.0, 3.0])).tolist()
        [1.0, -2.0, 3.0]
    """
    r, z, n = _blocks(array, 3)
    return _joined(array, [r, -z, n])


def copied(array: Array) -> Array:
    """A copy of an array of either library."""
    return array.clone() if hasattr(array, "clone") else array.copy()


def _blocks(array: Array, count: int) -> list[Array]:
    if array.shape[0] % count:
        raise ValueError(
            f"the first dimension is {array.shape[0]}, which is not divisible by {count} gates. "
            f"Expected a parameter of shape ({count}H, ...)."
        )
    size = array.shape[0] // count
    return [array[i * size : (i + 1) * size] for i in range(count)]


def _joined(like: Array, blocks: Sequence[Array]) -> Array:
    result = copied(like)
    size = like.shape[0] // len(blocks)
    for i, block in enumerate(blocks):
        result[i * size : (i + 1) * size] = block
    return result
