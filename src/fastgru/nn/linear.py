"""`Linear`: a drop-in for `torch.nn.Linear` with the same bits for any batch, threads and processor."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from fastgru.nn import counting, torch_tools
from fastgru.nn.quick_call import QuickCall
from fastgru.rows.linear import linear


class Linear(QuickCall, torch_tools.Quantizable, torch_tools.Scriptable, nn.Linear):
    """A drop-in replacement for `torch.nn.Linear`, y = x W^T + b.

    Constructor, attributes, initial values, state_dict and errors are those of `torch.nn.Linear`, of which it is a
    subclass. Results and gradients in float32 and float64 on the CPU are those of `fastgru.functional.linear`: they do
    not depend on the other rows of a batch, on the number of threads, nor on the processor, if it has fused
    multiply-adds. Other dtypes and devices, and calls under autocast, run on torch's operator.

    Args:
        in_features: features of the input, K.
        out_features: features of the output, N.
        bias: whether the layer has a bias.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shapes:
        input: (..., K).
        output: (..., N).

    Attributes:
        weight: (N, K).
        bias: (N), or None.

    Raises:
        RuntimeError, TypeError: for the same mistakes as torch.

    Example:
        >>> import torch, fastgru
        >>> layer, x = fastgru.Linear(8, 16), torch.randn(5, 8)
        >>> torch.equal(layer(x)[2], layer(x[2]))
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """The output for an input."""
        parameters: Any = self._parameters
        try:
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:  # parametrized, or a plain attribute for the moment
            weight, bias = self.weight, self.bias
        if torch_tools.is_symbol(input):
            return torch_tools.node(self, (input,), {})  # type: ignore[no-any-return]
        return linear(input, weight, bias)

    def __prepare_scriptable__(self) -> nn.Linear:
        """What `torch.jit.script` compiles: torch's own layer, on the same parameters."""
        return torch_tools.of_class(self, nn.Linear)  # type: ignore[return-value]


counting.register(Linear, nn.Linear)
