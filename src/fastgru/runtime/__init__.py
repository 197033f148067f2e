"""Trained models without PyTorch: inputs, outputs and states are NumPy arrays, and you pass the state on.

    from fastgru import runtime

    model = runtime.load("model.safetensors")
    output, state = model.run(x)            # from zeros
    output, state = model.run(more, state)  # continues

Files come from `fastgru.save` and ``fastgru convert``. Results have the same bits for any batch, any split of a
sequence into calls, any number of threads, and all processors with fused multiply-adds (docs/numerics.md).
"""

from __future__ import annotations

import os

from fastgru.graph import Graph, Input, Node, Output
from fastgru.runtime.model import Model
from fastgru.runtime.state import State

__all__ = ["Graph", "Input", "Model", "Node", "Output", "State", "load", "save"]


def load(source: str | os.PathLike[str] | bytes, *, threads: int | None = None, weights: str | None = None) -> Model:
    """Loads a model from a file that `fastgru.save` or ``fastgru convert`` wrote.

    Args:
        source: the path of the file, or its bytes.
        threads: the largest number of threads of a call; None: the number of processors that the process may use.
        weights: the type in which the weights of recurrent nodes are stored while the model runs: ``"bfloat16"``,
            ``"float16"`` or ``"int8"``; None: their own. See docs/quantization.md.

    Raises:
        ArgumentError: the model cannot have such `weights`.
        FormatError: it is not such a file, is damaged, or has a newer major version.
        GraphError: the model in it does not fit together.
        OSError: the file cannot be read.

    Example:
        >>> import numpy as np
        >>> from fastgru import runtime
        >>> node = runtime.Node("relu", "ReLU", ("x",), ("y",))
        >>> graph = runtime.Graph([runtime.Input("x", "BTF", 2)], [node], [runtime.Output("y", "y", "BTF")], {})
        >>> runtime.save(graph, "relu.safetensors")
        >>> output, state = runtime.load("relu.safetensors").run(np.array([[[-1, 2]]], np.float32))
        >>> output.tolist()
        [[[0.0, 2.0]]]
    """
    from fastgru.graph.files import read_graph

    return Model(read_graph(source), threads=threads, weights=weights)


def save(model: Model | Graph, path: str | os.PathLike[str]) -> None:
    """Writes a model to a file (safetensors), atomically. Models of torch are written by `fastgru.save`.

    Args:
        model: a model, or its graph.
        path: the file, usually with the ending ``.safetensors``; an existing one is replaced as a whole.

    Raises:
        WriteError: it cannot be written.
    """
    from fastgru.graph.files import write_graph

    write_graph(model.graph if isinstance(model, Model) else model, path)
