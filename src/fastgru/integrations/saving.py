"""`save` and `load`: models of torch as files of the runtime, and back."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence

from fastgru import errors
from fastgru.graph import Graph, Input, Node, Output
from fastgru.graph.files import read_graph, write_graph
from fastgru.integrations.evaluating import evaluating
from fastgru.integrations.exporting import exported_graph, refusing_packed
from fastgru.integrations.loaded import LoadedModel, single_layer
from fastgru.integrations.replacing import replace_gru, restore_gru
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU
from fastgru.nn.torch_tools import STOCK_CELL, STOCK_GRU
from fastgru.spec import GRUSpec


def save(
    model: nn.Module | Graph,
    path: str | os.PathLike[str],
    *,
    args: Sequence[Any] | Tensor | None = None,
    kwargs: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a model to one file; `fastgru.runtime.load` runs it without torch, and `load` trains it again.

    The file is in the format of safetensors; graph and sizes are in its metadata. It is written under a temporary name
    and renamed: an existing file is replaced as a whole, or kept if there is an error. The model is saved in evaluation
    mode.

    States that the model takes or returns, such as `h_0` and `h_n`, are not inputs and outputs of the file, because the
    runtime passes states from call to call. Lengths and marks of resets are not inputs either: they are arguments of
    the runtime.

    Args:
        model: a `fastgru.GRU` or `GRUCell`, or torch's; or any module, with an example call. Or a graph of the runtime.
        path: the file, usually with the ending ``.safetensors``.
        args: example of the positional arguments; afterwards all sizes except those of features are free. Not needed
            for a layer or a cell.
        kwargs: example of the keyword arguments.

    Returns:
        The path.

    Raises:
        ConversionError: the model computes something that the runtime does not have; the message names it and where.
        GraphError: sizes or types that do not fit, or weights that are NaN.
        ArgumentError: an example call is missing.
        InputTypeError: `model` is not a module.
        WriteError: the file cannot be written.

    Example:
        >>> import fastgru, torch
        >>> class Tagger(torch.nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.words = torch.nn.Embedding(100, 8)
        ...         self.gru = fastgru.GRU(8, 16, batch_first=True)
        ...         self.tags = torch.nn.Linear(16, 5)
        ...     def forward(self, words):
        ...         return self.tags(self.gru(self.words(words))[0])
        >>> _ = fastgru.save(Tagger(), "tagger.safetensors", args=torch.zeros(2, 7, dtype=torch.int64))
        >>> output, state = fastgru.runtime.load("tagger.safetensors").run([[1, 2, 3]])
        >>> output.shape
        (1, 3, 5)
    """
    write_graph(model if isinstance(model, Graph) else graph_of(model, args=args, kwargs=kwargs), path)
    return Path(path)


def graph_of(
    model: nn.Module, *, args: Sequence[Any] | Tensor | None = None, kwargs: Mapping[str, Any] | None = None
) -> Graph:
    """The graph of a model. Its arrays share memory with the model's parameters. Arguments and errors as of `save`."""
    if not isinstance(model, nn.Module):
        raise errors.no_module(model)
    if args is None and not kwargs:
        if isinstance(model, LoadedModel):
            return model.current_graph()
        if isinstance(model, (GRU, STOCK_GRU)):
            return _graph_of_layer(model)
        if isinstance(model, (GRUCell, STOCK_CELL)):
            return _graph_of_cell(model)
        raise errors.no_example_to_save(model)
    given = (args,) if isinstance(args, (Tensor, PackedSequence)) else tuple(args or ())
    if any(isinstance(one, PackedSequence) for one in [*given, *(kwargs or {}).values()]):
        raise errors.packed_sequence("the example")
    with _as_ours(model):
        return exported_graph(model, given, dict(kwargs or {}))


def load(path: str | os.PathLike[str]) -> nn.Module:
    """Loads a file that `save` wrote as a module of torch, to continue training or to compare.

    Args:
        path: the file.

    Returns:
        A `fastgru.GRU` or `GRUCell`, if the file has only that. Otherwise a `LoadedModel`: it is called like a model of
        the runtime, but with tensors, and returns the output and the states. Its state dict has the names of the saved
        model.

    Raises:
        FormatError, GraphError, OSError: as of `fastgru.runtime.load`.

    Example:
        >>> import fastgru
        >>> _ = fastgru.save(fastgru.GRU(3, 4, batch_first=True), "gru.safetensors")
        >>> fastgru.load("gru.safetensors")
        GRU(3, 4, batch_first=True)
    """
    graph = read_graph(path)
    alone = single_layer(graph)
    return LoadedModel(graph) if alone is None else alone


@contextmanager
def _as_ours(model: nn.Module) -> Iterator[None]:
    """Makes torch's layers ours and puts all parts in evaluation mode, for a while."""
    modules = dict(model.named_modules())
    swapped = replace_gru(model).swapped
    try:
        with evaluating(model), refusing_packed(model):
            yield
    finally:
        for path in swapped:
            restore_gru(modules[path])


def _arrays(module: nn.Module, names: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(module, name).detach().cpu().numpy() for name in names}


def _graph_of_layer(layer: Any) -> Graph:
    for option in ("proj_size", "return_all_layers"):
        if getattr(layer, option, 0):
            raise errors.cannot_convert("the layer", f"{option}, which the runtime does not have")
    sizes = layer.input_size, layer.hidden_size, layer.num_layers
    spec = GRUSpec(*sizes, layer.bias, layer.bidirectional, getattr(layer, "reset_after", True))
    learned = getattr(layer, "learn_h0", False)
    axes, names = "BTF" if layer.batch_first else "TBF", [*spec.parameter_names, *(["h_0"] if learned else [])]
    attributes = {**spec._asdict(), "learn_h0": learned}
    node = Node("gru", "GRU", ("input",), ("output",), attributes, {name: name for name in names})
    output = Output("output", "output", axes)
    return Graph([Input("input", axes, spec.input_size)], [node], [output], _arrays(layer, names))


def _graph_of_cell(cell: Any) -> Graph:
    sizes = {"input_size": cell.input_size, "hidden_size": cell.hidden_size, "bias": cell.bias}
    sizes["reset_after"] = getattr(cell, "reset_after", True)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")[: 4 if cell.bias else 2]
    node = Node("gru", "GRUCell", ("input",), ("output",), sizes, {name: name for name in names})
    output = Output("output", "output", "BF")
    return Graph([Input("input", "BF", cell.input_size)], [node], [output], _arrays(cell, names))
