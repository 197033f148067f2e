"""`LayerNorm`: a drop-in for `torch.nn.LayerNorm` with the same bits for any batch, threads and processor."""

from __future__ import annotations

from torch import Tensor, nn

from fastgru.nn import counting, torch_tools
from fastgru.rows.sums import layer_norm


class LayerNorm(torch_tools.Scriptable, nn.LayerNorm):
    """A drop-in replacement for `torch.nn.LayerNorm`, of which it is a subclass.

    (x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions. Results and gradients are those of
    `fastgru.functional.layer_norm`.

    Args:
        normalized_shape: the last dimensions, or the size of the last.
        eps: a small number that is added to the variance.
        elementwise_affine: whether there are weight and bias.
        bias: whether there is a bias beside the weight.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shapes:
        input: ``(..., *normalized_shape)``.
        output: the same.

    Attributes:
        weight: of the normalized shape, or None.
        bias: of the normalized shape, or None.

    Raises:
        RuntimeError: for the same mistakes as torch.

    Example:
        >>> import torch, fastgru
        >>> layer, x = fastgru.LayerNorm(8), torch.randn(5, 8)
        >>> torch.equal(layer(x)[2], layer(x[2]))
        True
    """

    def forward(self, input: Tensor) -> Tensor:
        """The output for an input."""
        if torch_tools.is_symbol(input):
            return torch_tools.node(self, (input,), {})  # type: ignore[no-any-return]
        return layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def __prepare_scriptable__(self) -> nn.LayerNorm:
        """What `torch.jit.script` compiles: torch's own layer, on the same parameters."""
        return torch_tools.of_class(self, nn.LayerNorm)  # type: ignore[return-value]


counting.register(LayerNorm, nn.LayerNorm)
