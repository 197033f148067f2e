"""Export to ONNX files with one GRU node for each stacked layer, for any number of steps and rows.

`torch.onnx.export(model, ..., dynamo=True)` works for every model that contains our layers. `export` adds an example
call for single layers, evaluation mode, packed weights and an atomic file.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fastgru import errors
from fastgru.atomic_files import atomic_write
from fastgru.integrations.evaluating import evaluating
from fastgru.nn.cell import GRUCell
from fastgru.nn.gru import GRU

_MOST_BYTES = 2**31 - 2**20  # of a file: the format counts in 31 bits, and the graph wants some of them
_AUTO = torch.export.Dim.AUTO  # as large as the other batches of the call are


class _Call(NamedTuple):
    """An example call, and what its tensors are called in the file."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    dynamic_shapes: Any
    input_names: Sequence[str] | None
    output_names: Sequence[str] | None


def export(
    model: nn.Module,
    path: str | os.PathLike[str],
    *,
    args: Sequence[Any] | Tensor | None = None,
    kwargs: dict[str, Any] | None = None,
    dynamic_shapes: Any = None,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    with_h_0: bool | None = None,
    with_lengths: bool = False,
    opset: int | None = None,
) -> Path:
    """Writes `model` in evaluation mode to one ONNX file, atomically.

    A `fastgru.GRU` or `fastgru.GRUCell` needs no example call, and any number of steps and rows may be used. The inputs
    are `input` and, if requested, `h_0` and `lengths`, in the layouts of the layer; the outputs are `output` and `h_n`
    (only `h_n` for a cell; `output_l0`, `output_l1` and so on with return_all_layers). For other models pass an example
    call: `args`, `kwargs` and `dynamic_shapes` are those of `torch.onnx.export`.

    Args:
        model: any module.
        path: the file; an existing one is replaced.
        args: example of the positional arguments. Not needed for a layer or a cell.
        kwargs: example of the keyword arguments.
        dynamic_shapes: the dynamic sizes; all others are fixed to those of the example.
        input_names: names of the tensors in `args` and `kwargs`, in order.
        output_names: names of the output tensors, in order.
        with_h_0: whether the initial state of a layer or cell is an input; otherwise it is zero, or the learned one.
            Default: True for a cell, False for a layer.
        with_lengths: whether the lengths of sequences are an input of a layer.
        opset: version of the ONNX operators. Default: the one that torch recommends.

    Returns:
        The path.

    Raises:
        MissingExtra: if onnx or onnxscript is not installed.
        ExportError: if ONNX cannot represent the call, the model has more than 2 GB, or torch is older than 2.8.
        ArgumentError: if options do not fit together.
        InputTypeError: if `model` is not a module.
        torch.onnx.OnnxExporterError: if torch's exporter fails.

    Example:
        >>> import tempfile, fastgru
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     fastgru.onnx.export(fastgru.GRU(8, 16), folder + "/gru.onnx").name
        'gru.onnx'
    """
    if not isinstance(model, nn.Module):
        raise errors.no_module(model)
    given = (args,) if isinstance(args, Tensor) else tuple(args or ())
    call = _Call(given, dict(kwargs or {}), dynamic_shapes, input_names, output_names)
    if args is None and not kwargs:
        call = _example(model, with_h_0, with_lengths)
    elif with_h_0 is not None or with_lengths:
        raise errors.example_and_options()
    optimizer = _exporters_optimizer()
    _check_size(model)
    program = _program(model, call, opset)
    most = _most_values(model)
    if most > 0:
        optimizer.optimize(program.model, input_size_limit=most, output_size_limit=most)
    path = Path(path)
    with atomic_write(path) as partial:
        program.save(partial, external_data=False)
    return path


def _exporters_optimizer() -> Any:
    """`onnxscript.optimizer`, which lays out weights in advance; it and onnx are what torch's exporter needs."""
    if not hasattr(torch.onnx, "ops"):
        raise errors.old_torch_for_onnx(torch.__version__)
    for package in ("onnx", "onnxscript"):
        try:
            import_module(package)
        except ModuleNotFoundError as missing:
            raise errors.missing_extra(package, "onnx", "fastgru.onnx.export") from missing
    return import_module("onnxscript.optimizer")


def _example(model: nn.Module, with_h_0: bool | None, with_lengths: bool) -> _Call:
    """A call of a layer or a cell; its sizes are those of no one, and all but the features are free."""
    if isinstance(model, GRU):
        return _example_of_layer(model, bool(with_h_0), with_lengths)
    if not isinstance(model, GRUCell):
        raise errors.no_example(model)
    if with_lengths:
        raise errors.no_lengths_of_cell()
    own: dict[str, Any] = {"dtype": model.weight_ih.dtype, "device": model.weight_ih.device}
    names, args = ["input"], [torch.zeros(2, model.input_size, **own)]
    if with_h_0 is not False:
        names.append("h_0")
        args.append(torch.zeros(2, model.hidden_size, **own))
    return _Call(tuple(args), {}, ({0: "batch"}, {0: _AUTO})[: len(args)], names, ["h_n"])


def _example_of_layer(layer: GRU, with_h_0: bool, with_lengths: bool) -> _Call:
    first = layer.parameters_in_order()[0]
    own: dict[str, Any] = {"dtype": first.dtype, "device": first.device}
    sizes = {"steps": 3, "batch": 2}
    axes = ["batch", "steps"] if layer.batch_first else ["steps", "batch"]
    args = {"input": torch.zeros(*[sizes[axis] for axis in axes], layer.input_size, **own)}
    shapes: dict[str, Any] = {"input": dict(enumerate(axes))}
    if with_h_0:
        cells = layer.num_layers * layer.spec.num_directions
        state = torch.zeros(cells, sizes["batch"], layer.hidden_size, **own)
        args["hx"] = state.transpose(0, 1) if layer.state_batch_first else state
        shapes["hx"] = {0 if layer.state_batch_first else 1: _AUTO}
    if with_lengths:
        args["lengths"], shapes["lengths"] = torch.full((sizes["batch"],), sizes["steps"]), {0: _AUTO}
    inputs = ["h_0" if name == "hx" else name for name in args]
    outputs = [f"output_l{k}" for k in range(layer.num_layers)] if layer.return_all_layers else ["output"]
    return _Call((), args, shapes, inputs, [*outputs, "h_n"])


def _most_values(model: nn.Module) -> int:
    """As many as a node's weights can have, so that they and nothing larger are laid out in advance."""
    layers = [module for module in model.modules() if isinstance(module, (GRU, GRUCell))]
    return max((6 * one.hidden_size * max(one.input_size, 2 * one.hidden_size) for one in layers), default=0)


def _check_size(model: nn.Module) -> None:
    tensors = [*model.parameters(), *model.buffers()]
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors)
    if size > _MOST_BYTES:
        raise errors.too_big_for_onnx(size)


def _program(model: nn.Module, call: _Call, opset: int | None) -> Any:
    """What torch's exporter makes of the model; our own errors come out as they are."""
    with evaluating(model), warnings.catch_warnings():
        # torch's own: the exporter copies graphs by classes that torch no longer likes
        warnings.filterwarnings("ignore", "`isinstance.treespec, LeafSpec.` is deprecated", FutureWarning)
        try:
            return torch.onnx.export(
                model,
                call.args,
                kwargs=call.kwargs,
                dynamic_shapes=call.dynamic_shapes,
                input_names=call.input_names,
                output_names=call.output_names,
                opset_version=opset,
                dynamo=True,
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as failure:
            cause: BaseException | None = failure
            while cause is not None and not isinstance(cause, errors.FastGRUError):
                cause = cause.__cause__
            if cause is None:
                raise
            raise cause from None
