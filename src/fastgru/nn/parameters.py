"""The base class of the layers: options, parameters, freezing.

`fastgru.nn.gru` adds the constructor and the call.
"""

from __future__ import annotations

import weakref
from typing import Any, TypeVar, cast

from torch import Tensor, nn
from torch.nn.modules import rnn as torch_rnn

from fastgru import errors
from fastgru.nn import freezing, stored_weights
from fastgru.nn.stepper import Stepper
from fastgru.spec import GRUSpec

_Layer = TypeVar("_Layer", bound="BaseGRU")

_SPECS: dict[tuple[int, int, int, bool, bool, bool], GRUSpec] = {}


def spec_of(
    input_size: int, hidden_size: int, layers: int, bias: bool, bidirectional: bool, reset_after: bool
) -> GRUSpec:
    """The same spec object for equal sizes, because creating one takes longer than some kernels."""
    key = (input_size, hidden_size, layers, bias, bidirectional, reset_after)
    spec = _SPECS.get(key)
    if spec is None:
        options = bool(bias), bool(bidirectional), bool(reset_after)
        spec = _SPECS[key] = GRUSpec(input_size, hidden_size, layers, *options)
    return spec


class BaseGRU(torch_rnn.RNNBase):
    """The parameters of a GRU, and the options that torch's layer does not have."""

    # Here, and not on each object, for layers that were torch's before.
    recompute: bool = False
    state_batch_first: bool = False
    return_all_layers: bool = False
    learn_h0: bool = False
    reset_after: bool = True
    h_0: nn.Parameter
    _has_options: bool = False  # of those that change the way of a call; they are fixed when the layer is made
    _takes_spare_states: bool = True  # beside packed sequences that are not in the order of their lengths
    _frozen: freezing.Frozen | None = None

    @property
    def spec(self) -> GRUSpec:
        """The sizes and options of the computation."""
        sizes = self.input_size, self.hidden_size, self.num_layers
        return spec_of(*sizes, self.bias, self.bidirectional, self.reset_after)

    def reset_parameters(self) -> None:
        """Initializes the parameters like torch; a learned h_0 becomes zeros."""
        super().reset_parameters()
        if "h_0" in self._parameters:
            nn.init.zeros_(self.h_0)

    def parameters_in_order(self) -> tuple[nn.Parameter, ...]:
        """The parameters in torch's order: of each layer and direction weight_ih, weight_hh, bias_ih, bias_hh."""
        return tuple([getattr(self, name) for name in self._flat_weights_names])

    def freeze(self: _Layer, weights: str | None = None) -> _Layer:
        """Packs the parameters once for all inference calls until `unfreeze`, which is faster for short sequences.

        Results have the same bits, unless `weights` is given. Calls with gradients work as before. While the layer is
        frozen, its parameters must not change: a call after a write to one of them raises an error, and so does
        assigning `.data`. Writes that torch does not count (through a NumPy array that shares memory, or to the
        storage) are not detected. A copy of the layer, by `deepcopy` or from a file, is not frozen. Parameters made
        under `torch.inference_mode()` have no version counter; their values are compared at each call.

        Args:
            weights: "float16" or "bfloat16": the weights of a float32 layer are rounded and stored in 16 bits, which is
                faster for large layers and few rows. "int8": weights, and inputs and states before each product, are
                rounded to 8 bits with a scale for each row, which is faster for most sizes, and less exact
                (docs/quantization.md has figures). Biases, sums, outputs and states between steps stay in float32.
                Calls that take gradients or apply dropout use the parameters themselves. Default: weights are stored
                as they are.

        Returns:
            The layer itself.

        Raises:
            ArgumentError: if `weights` is none of these names, or is given for a layer with return_all_layers or
                reset_after=False.
            FrozenError: if the parameters cannot be packed, because they are parametrized or not on the CPU; or if
                they cannot be stored as `weights`, because they are not in float32, not finite, or too large. With
                "int8" also if the layer has fewer than 17 units and fewer than 64 inputs, which would take longer, or
                vectors of more than 133144 values, whose sums may not fit 32 bits.

        Example:
            >>> import torch, fastgru
            >>> layer = fastgru.GRU(8, 16).freeze()
            >>> with torch.no_grad():
            ...     output, h_n = layer(torch.randn(1, 1, 8))
            >>> layer.unfreeze().is_frozen
            False
            >>> fastgru.GRU(64, 256).freeze(weights="int8")
            GRU(64, 256, weights=int8)
        """
        stored_weights.check_choice(weights)
        self._refuse_projection("freeze()")
        self._refuse_fewer_bytes(weights, "freeze")
        if weights is not None and self.return_all_layers:  # its layers run one after another, from the parameters
            raise errors.no_option("return_all_layers", f"freeze(weights={weights!r})")
        spec, parameters = self.spec, self.parameters_in_order()
        freezing.check_can_pack(spec, parameters, "freeze()", weights)
        self.unfreeze()
        object.__setattr__(self, "_frozen", freezing.Frozen(spec, parameters, weights))
        return self

    def unfreeze(self: _Layer) -> _Layer:
        """Undoes `freeze`; does nothing to a layer that is not frozen."""
        if self._frozen is not None:
            self._frozen.release()
            object.__delattr__(self, "_frozen")
        return self

    @property
    def is_frozen(self) -> bool:
        """Whether the layer is frozen."""
        return self._frozen is not None

    def stepper(self, batch: int = 1, h_0: Tensor | None = None, weights: str | None = None) -> Stepper:
        """Creates a `Stepper`, which runs this layer on a stream step by step without overhead.

        Args:
            batch: the number of rows, B.
            h_0: initial state (L, B, H). Default: the learned one, or zeros.
            weights: the type in which the stepper stores its weights, as in `freeze`. Default: that of the frozen
                layer, or their own.

        Raises:
            ArgumentError: if the layer is bidirectional or has dropout in training mode, if `batch` or `weights` is
                invalid, or if `weights` is given for a layer with reset_after=False.
            FrozenError: if the parameters cannot be packed, or stored as `weights`.

        Example:
            >>> import torch, fastgru
            >>> stepper = fastgru.GRU(8, 16).stepper()
            >>> for x in torch.randn(5, 1, 8):
            ...     output = stepper(x)
            >>> output.shape
            torch.Size([1, 16])
        """
        stored_weights.check_choice(weights)
        self._refuse_projection("stepper()")
        self._refuse_fewer_bytes(weights, "stepper")
        if self.training and self.dropout > 0 and self.num_layers > 1:
            raise errors.no_stepper("dropout is on; call eval() on the layer first")
        if h_0 is None and self.learn_h0 and isinstance(batch, int) and batch > 0:
            h_0 = self.h_0.detach().unsqueeze(1).expand(-1, batch, -1)
        if weights is None and self._frozen is not None:
            weights = self._frozen.weights
        return Stepper(self.spec, self.parameters_in_order(), batch, h_0, weights)

    def _refuse_projection(self, tool: str) -> None:
        if self.proj_size > 0:
            raise errors.no_option("proj_size", tool)

    def _refuse_fewer_bytes(self, weights: str | None, tool: str) -> None:
        if weights is not None and not self.reset_after:  # whose kernels read weights as they are
            raise errors.no_option("reset_after=False", f"{tool}(weights={weights!r})")

    # Torch keeps a list of the parameters, which becomes outdated when they are replaced (functional_call,
    # parametrizations, weight_norm, deepcopy). Ours is read from the parameters each time.
    @property  # type: ignore[override]
    def _flat_weights(self) -> list[Tensor]:
        # None for a missing one, as in torch's list: weight_norm removes a parameter before it sets another one.
        return [getattr(self, name, None) for name in self._flat_weights_names]  # type: ignore[misc]

    @_flat_weights.setter
    def _flat_weights(self, weights: list[Tensor]) -> None:
        """Ignores torch's list."""

    def flatten_parameters(self) -> None:
        """Does nothing on a CPU. On CUDA it arranges the parameters for cuDNN."""
        first = next(iter(self._flat_weights), None)
        if isinstance(first, Tensor) and first.is_cuda and self.proj_size == 0:
            super().flatten_parameters()

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()  # type: ignore[no-untyped-call]
        state.pop("_frozen", None)
        for name in self._flat_weights_names:
            weight = state.get(name)
            # Computed by the old weight_norm, whose hook computes it again before the next call.
            if isinstance(weight, Tensor) and weight.grad_fn is not None:
                state[name] = weight.detach()
        return state

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        # Torch keeps weak references to weights, and a parameter with such references cannot be swapped.
        self._flat_weight_refs = []
        super()._load_from_state_dict(*args, **kwargs)
        weights = cast("list[Any]", self._flat_weights)
        self._flat_weight_refs = [weakref.ref(one) if isinstance(one, nn.Parameter) else None for one in weights]

    def __setstate__(self, d: dict[str, Any]) -> None:
        super().__setstate__({key: value for key, value in d.items() if key != "_flat_weights"})  # type: ignore[no-untyped-call]
        _ = self.spec  # as in __init__
