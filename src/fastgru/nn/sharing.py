"""Layers of torch's classes and ours on the same parameters."""

from __future__ import annotations

from torch import nn
from torch.nn.modules import rnn

# Torch's own classes, whatever `fastgru.patch` makes of their names later.
STOCK_GRU = rnn.GRU
STOCK_CELL = rnn.GRUCell


def sharing(source: nn.Module, expected: type[nn.Module], target: type[nn.Module]) -> nn.Module:
    """A module of class `target` with the parameters and options of `source`."""
    if not isinstance(source, expected):
        raise TypeError(
            f"got a {type(source).__module__}.{type(source).__name__}, expected a "
            f"{expected.__module__}.{expected.__name__}. For a model around such layers, use fastgru.replace_gru."
        )
    if nn.utils.parametrize.is_parametrized(source):
        raise TypeError(
            f"got a parametrized {type(source).__name__}, whose parameters cannot be shared one by one. "
            "Use fastgru.replace_gru or fastgru.restore_gru, which keep parametrizations."
        )
    options = [
        name for name in ("proj_size", "learn_h0", "state_batch_first", "return_all_layers") if getattr(source, name, 0)
    ]
    if options:
        raise TypeError(
            f"got a GRU with {', '.join(options)}, which {target.__module__}.{target.__name__} does not have. Build "
            "the layer without, or export the model with fastgru.onnx or torch.export."
        )
    if expected is STOCK_CELL or target is STOCK_CELL:
        sizes = (source.input_size, source.hidden_size, source.bias)
        result = target(*sizes, device="meta")
    else:
        names = ("num_layers", "bias", "batch_first", "bidirectional")
        result = target(
            source.input_size,
            source.hidden_size,
            **{name: getattr(source, name) for name in names},
            device="meta",
        )
        result.dropout = source.dropout
    for name in list(result._parameters):
        setattr(result, name, getattr(source, name))
    return result.train(source.training)
