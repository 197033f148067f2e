"""Operations that change a value in place, read as operations that compute a new one."""

from __future__ import annotations

import operator
from collections.abc import Collection
from typing import Any

from torch import fx

from fastgru import errors
from fastgru.integrations.exported.axes import AXES
from fastgru.integrations.exported.functions import FUNCTIONS

_NEW_VALUES = {
    "aten.clone", "aten._to_copy", "aten.cat", "aten.concat", "aten.stack", "aten.repeat", "aten.zeros",
    "aten.zeros_like", "aten.new_zeros", "aten.full", "aten._assert_tensor_metadata", "aten._assert_scalar",
}  # fmt: skip
# Operations whose result may share memory with what they read.
VIEWS = {*AXES, "getitem"} - _NEW_VALUES | {"aten.clone", "aten._to_copy"}


def name_of(node: fx.Node) -> str:
    """The name of an operation without its overload, such as ``aten.add``."""
    if node.target is operator.getitem:
        return "getitem"
    if callable(node.target) and not hasattr(node.target, "overloadpacket"):
        return getattr(node.target, "__name__", str(node.target))
    return ".".join(str(node.target).split(".")[:2])


def out_of_place(node: fx.Node, where: str, name: str, known: Collection[str]) -> str:
    """The name of the operation that computes as a new value what this one writes over another.

    What is read later of the value that was changed reads the new one, as `torch.export` tells it. Views do not.

    Raises:
        ConversionError: there is another view of it that is read later, or it is no result of an operation.
    """
    if not _is_in_place(name) or name in AXES:
        return name
    new = name[:-1]
    if new not in FUNCTIONS:
        if new in known or name.startswith("aten."):
            raise errors.changes_in_place(where, name, "a value")
        return name
    base = _base_of(node.args[0])
    if base.op != "call_function":
        raise errors.changes_in_place(where, name, "an input or a parameter")
    if _is_seen_elsewhere(node, base):
        raise errors.changes_in_place(where, name, "a value of which another view is read later")
    return new


def _is_in_place(name: str) -> bool:
    return name.startswith("aten.") and name.endswith("_") and not name.endswith("__")


def _base_of(node: Any) -> Any:
    while _shares(node):
        node = node.args[0]
    return node


def _is_seen_elsewhere(node: fx.Node, base: fx.Node) -> bool:
    """Whether what an operation changes in place is read later by way of another view of it."""
    nodes = list(node.graph.nodes)
    aliases, later = [base], set(nodes[nodes.index(node) + 1 :])
    for one in aliases:
        aliases += [user for user in one.users if user is not node and _shares(user) and user.args[0] is one]
    return any(user in later for one in aliases for user in one.users)


def _shares(node: fx.Node) -> bool:
    """Whether the result may share memory with the first argument."""
    if node.op != "call_function":
        return False
    name = name_of(node)
    if name == "getitem":
        return name_of(node.args[0]) in VIEWS  # type: ignore[arg-type]
    return _is_in_place(name) or name in VIEWS - {"aten.clone", "aten._to_copy"}
