"""The backend for ONNX: a GRU node for each layer, while `torch.onnx.export` captures a model."""

from __future__ import annotations

import torch
from torch import Tensor

from fastgru import errors
from fastgru.call import layer_by_layer
from fastgru.call.context import Follower
from fastgru.call.request import Call, Request
from fastgru.spec import directions_of

_VERSION = 14  # of the operator; 22 differs in the types it takes alone, and needs an opset that torch does not aim at
_DTYPES = (torch.float16, torch.float32, torch.float64)


class OnnxBackend:
    """Writes one GRU node for each stacked layer, with both directions, for any number of steps and rows."""

    name = "onnx"

    def refuse(self, request: Request) -> str | None:
        """The reason why a GRU node cannot represent this request, or None."""
        if request.follower is not Follower.ONNX_EXPORT:
            return "there is no ONNX export"
        if not hasattr(torch.onnx, "ops"):
            return "this version of torch does not support ONNX operators in a graph"
        if request.dtype not in _DTYPES:
            return f"ONNX's GRU computes in float16, float32 and float64, the input is {request.dtype}"
        if request.device != "cpu":
            return f"graphs are drawn on the CPU, the input is on {request.device}"
        return "there is nothing to compute" if request.spec.hidden_size == 0 else None

    def run(self, request: Request, call: Call) -> tuple[Tensor, Tensor]:
        """Output and h_n; as `fastgru.backends.base.Backend.run`.

        Raises:
            ExportError: if the call resets states. Other backends would unroll the steps of the example, and the model
                would be wrong for other numbers of steps.
        """
        if request.resets:
            raise errors.no_reset_in_onnx()
        own = call.turned() if call.batch_first else call
        (output,), h_n = layer_by_layer.run(own, lambda _, alone: _node(alone))
        return output.transpose(0, 1) if call.batch_first else output, h_n


def _node(call: Call) -> tuple[Tensor, Tensor]:
    """A single layer (T, B, I): both directions are one node.

    ONNX has W (D, 3H, I), R (D, 3H, H) and B (D, 6H), the outputs as (T, D, B, H), and zeros past an end.
    """
    spec, x, h_0, weights, lengths = call.spec, call.x, call.h_0, call.weights, call.sequences.lengths
    directions, hidden = directions_of(spec), spec.hidden_size
    steps, batch = x.shape[:2]
    kinds = len(weights) // directions
    w, r, *biases = [_zrn(torch.stack(weights[kind::kinds])) for kind in range(kinds)]
    own_lengths = None if lengths is None else lengths.to(torch.int32)
    direction = "bidirectional" if spec.bidirectional else "forward"
    output, h_n = torch.onnx.ops.symbolic_multi_out(
        "GRU",
        [x, w, r, torch.cat(biases, 1) if biases else None, own_lengths, h_0],
        {"hidden_size": hidden, "linear_before_reset": int(spec.reset_after), "direction": direction},
        dtypes=[x.dtype, x.dtype],
        shapes=[[steps, directions, batch, hidden], [directions, batch, hidden]],
        version=_VERSION,
    )
    if lengths is not None:  # ONNX does not define the state of an empty sequence
        before = h_n.new_zeros(()) if h_0 is None else h_0
        h_n = torch.where((lengths > 0).unsqueeze(1), h_n, before)
    both = output.transpose(1, 2).reshape(steps, batch, 2 * hidden) if directions == 2 else output.squeeze(1)
    return both, h_n


def _zrn(stacked: Tensor) -> Tensor:
    """(D, 3H, ...) with rows r, z, n in ONNX's order z, r, n (which it calls h)."""
    hidden = stacked.shape[1] // 3
    return torch.cat([stacked[:, hidden : 2 * hidden], stacked[:, :hidden], stacked[:, 2 * hidden :]], 1)


BACKEND = OnnxBackend()
