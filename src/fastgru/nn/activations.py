"""Modules of `torch.nn` for functions whose bits depend on the processor in torch; these use our functions instead.

`fastgru.replace(model, linear=True)` gives the modules of a model these classes. Each is a subclass of torch's, with
the same constructor and repr.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as torchs

from fastgru.nn import torch_tools
from fastgru.rows import functions, sums


class _Function(torch_tools.Scriptable, nn.Module):
    """A module that holds a function; the next class is torch's."""

    def function(self, input: Tensor) -> Tensor:
        """What the module holds."""
        raise NotImplementedError

    def forward(self, input: Tensor) -> Tensor:
        """The output for an input; one node of a graph where `torch.fx` traces."""
        if torch_tools.is_symbol(input):
            return torch_tools.node(self, (input,), {})  # type: ignore[no-any-return]
        return self.function(input)

    def _stock(self) -> type[nn.Module]:
        return next(stock for stock, ours in CLASSES.items() if isinstance(self, ours))

    def __prepare_scriptable__(self) -> nn.Module:
        """What `torch.jit.script` compiles: torch's own module."""
        return torch_tools.of_class(self, self._stock())


class Sigmoid(_Function, nn.Sigmoid):
    """`torch.nn.Sigmoid` by `fastgru.functional.sigmoid`."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return functions.sigmoid(input)


class Tanh(_Function, nn.Tanh):
    """`torch.nn.Tanh` by `fastgru.functional.tanh`."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return functions.tanh(input)


class GELU(_Function, nn.GELU):
    """`torch.nn.GELU` by `fastgru.functional.gelu`."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return functions.gelu(input, self.approximate)


class SiLU(_Function, nn.SiLU):
    """`torch.nn.SiLU` by `fastgru.functional.silu`; the in-place form is torch's own."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return nn.SiLU.forward(self, input) if self.inplace else functions.silu(input)


class ELU(_Function, nn.ELU):
    """`torch.nn.ELU` by `fastgru.functional.elu`; the in-place form is torch's own."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return nn.ELU.forward(self, input) if self.inplace else functions.elu(input, self.alpha)


class SELU(_Function, nn.SELU):
    """`torch.nn.SELU` by `fastgru.functional.selu`; the in-place form is torch's own."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return nn.SELU.forward(self, input) if self.inplace else functions.selu(input)


class Hardsigmoid(_Function, nn.Hardsigmoid):
    """`torch.nn.Hardsigmoid` by `fastgru.functional.hardsigmoid`; the in-place form is torch's own."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return nn.Hardsigmoid.forward(self, input) if self.inplace else functions.hardsigmoid(input)


class Hardswish(_Function, nn.Hardswish):
    """`torch.nn.Hardswish` by `fastgru.functional.hardswish`; the in-place form is torch's own."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return nn.Hardswish.forward(self, input) if self.inplace else functions.hardswish(input)


class Softplus(_Function, nn.Softplus):
    """`torch.nn.Softplus` by `fastgru.functional.softplus`."""

    def function(self, input: Tensor) -> Tensor:
        """The function of each value."""
        return functions.softplus(input, self.beta, self.threshold)


class Softmax(_Function, nn.Softmax):
    """`torch.nn.Softmax` by `fastgru.functional.softmax`; without a dimension torch's own runs."""

    def function(self, input: Tensor) -> Tensor:
        """The softmax over the module's dimension."""
        return torchs.softmax(input, self.dim, _stacklevel=5) if self.dim is None else sums.softmax(input, self.dim)


class LogSoftmax(_Function, nn.LogSoftmax):
    """`torch.nn.LogSoftmax` by `fastgru.functional.log_softmax`; without a dimension torch's own runs."""

    def function(self, input: Tensor) -> Tensor:
        """The logarithm of the softmax over the module's dimension."""
        if self.dim is None:
            return torchs.log_softmax(input, self.dim, _stacklevel=5)
        return sums.log_softmax(input, self.dim)


CLASSES: dict[type[nn.Module], type[nn.Module]] = {
    nn.Sigmoid: Sigmoid,
    nn.Tanh: Tanh,
    nn.GELU: GELU,
    nn.SiLU: SiLU,
    nn.ELU: ELU,
    nn.SELU: SELU,
    nn.Hardsigmoid: Hardsigmoid,
    nn.Hardswish: Hardswish,
    nn.Softplus: Softplus,
    nn.Softmax: Softmax,
    nn.LogSoftmax: LogSoftmax,
}
