"""Parts of ONNX models: what their nodes read."""

from __future__ import annotations

from typing import Any


def read_names(node: Any) -> set[str]:
    """The names of values that a node reads, also in branches."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                names |= read_names(inner)
            names |= {port.name for port in attribute.g.output}
    return names
