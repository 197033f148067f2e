"""The native core of fastgru: a stacked, bidirectional GRU on raw memory."""

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

class ArrayAt:
    """An array by its address."""

    def __init__(self, owner: object, address: int, type: str, shape: Sequence[int], strides: Sequence[int]) -> None:
        """Strides are in elements, types the names of float32, float64, bfloat16, float16, int64 and bool.

        There are at most five dimensions. `owner`, which holds the memory, is kept.
        """

    @property
    def address(self) -> int: ...

class LayerSizes:
    """Sizes and element type of a layer.

    Its calls take arrays of one kind: torch tensors of the classes given to `load_tensors`, objects with Python's
    buffer protocol (such as NumPy arrays), or `ArrayAt`. What is written to is dense, and overlaps nothing else. Who
    gives memory for results has looked at tensors as `fastgru.call.memory` does, and lets no other thread know them.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        num_directions: int,
        bias: bool,
        type: str,
        reset_after: bool = True,
    ) -> None: ...
    def saved_values(self, slots: int, total: int, recomputes: bool) -> int:
        """How many values a training forward leaves for the backward pass.

        Of `total` vectors that are computed, in `slots` of memory.
        """

    def forward(
        self,
        input: object,
        h_0: object | None,
        parameters: tuple[object, ...],
        batch_sizes: object | None,
        lengths: object | None,
        reset: object | None,
        reset_state: object | None,
        batch_first: bool,
        from_pool: Callable[[int, int], object] | None,
        recomputes: bool,
        threads: int,
        results: tuple[object, object, object | None] | None = None,
        models: Models | None = None,
    ) -> tuple[Any, ...] | None:
        """Output and h_n, and what backward needs; None where an array cannot be read as it is.

        The input is (T, B, I), (B, T, I) with `batch_first`, or packed (N, I) with `batch_sizes`; the values of each
        vector stand side by side. All other arrays but `reset` are dense. What is written goes to `results`, the
        arrays output, h_n and saved, of which the last may be None. Without them tensors are made (None, too, where
        there is no memory for them), and where `from_pool` is given one of what backward needs: from POOLED_BYTES on
        by this function, of a number of values and the size of one. Several `models` are given by `ArrayAt`, the
        arrays of the first.

        Raises ValueError where batch sizes, lengths or the memory for what backward needs do not fit.
        """

    def step(self, input: object, h_0: object | None, parameters: tuple[object, ...], threads: int) -> Any | None:
        """The state (B, H) of a layer of one cell after one step, from tensors (B, I) and (B, H); None as above."""

    def backward(
        self,
        input: object,
        h_0: object | None,
        parameters: tuple[object, ...],
        batch_sizes: object | None,
        lengths: object | None,
        reset: object | None,
        reset_state: object | None,
        batch_first: bool,
        output: object,
        saved: object,
        recomputes: bool,
        d_output: object | None,
        d_h_n: object | None,
        gradients: tuple[object, ...],
        threads: int,
        models: Models | None = None,
    ) -> tuple[Any, ...] | None:
        """Gradients of input, h_0, reset_state (one for every row) and parameters; None for those not wanted.

        `gradients` has an entry for each: an array to write to, True for a tensor that is made (then there are no
        arrays among them), or False. None and
        ValueError as of `forward`.
        """

    def forward_tangent(
        self, alive: object | None, inputs: tuple[object, ...], threads: int
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """The states of a layer's directions, their tangents, and what the way back needs.

        `alive` are booleans (G, T, 1, B, 1), `inputs` weight (G, 3H, H), bias (G, 3H), a (G, T, 1, B, 3H), start
        (G, 1, 1, B, H) and their tangents in the same order, of which each may be None. None where a tensor is not
        plain, dense and of the right size, or there is no memory.
        """

    def backward_tangent(
        self,
        alive: object | None,
        inputs: tuple[object, ...],
        passed: tuple[object, ...],
        g_states: object,
        d_g_states: object | None,
        threads: int,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor] | None:
        """The gradients of a and their tangents, the same of the hidden projection, and the tangent of start's.

        `passed` are the results of `forward_tangent`, `g_states` and `d_g_states` the gradients of the states and
        their tangents. None as above.
        """

class Block:
    """Memory from the pool, as a writable buffer. As every call, raises OutOfMemoryError where there is none."""

    def __init__(self, bytes: int) -> None: ...

MOST_CELLS: int = 256
LEAST_QUANTIZED: int = 32
POOLED_BYTES: int = 1048576

class Models:
    """Calls of several models of one size, side by side in memory."""

    def __init__(
        self, count: int, tensors: dict[str, int], parameters: Sequence[int], d_parameters: Sequence[int]
    ) -> None:
        """Bytes from one model to the next.

        By the names that the arguments of `forward` and `backward` have, where they are not 0, and for each parameter.
        """

def load_tensors(
    types: tuple[type, ...],
    functions: object | None,
    dtypes: object | None,
    from_capsule: object | None,
    keeps_handle: bool,
) -> None:
    """Makes calls on tensors of these types usable; False when this torch lacks the table of functions for it.

    `functions` are the addresses of torch's aoti_torch_empty_strided, aoti_torch_get_data_ptr and
    aoti_torch_delete_tensor_object, `dtypes` its numbers of float32, float64, bfloat16 and float16; or None.
    """

class Packed:
    """Parameters packed once for many calls."""

    def __init__(
        self,
        sizes: LayerSizes,
        parameters: tuple[object, ...],
        watches: tuple[object, ...],
        dense: tuple[object, ...],
        stored: str,
    ) -> None:
        """`stored` is what weights become: the type of the layer, or one of fewer bytes for a layer of float32."""

    def is_current(self) -> bool:
        """False when a parameter was written to since."""

    def forward(
        self,
        input: object,
        h_0: object | None,
        parameters: object,
        batch_sizes: object | None,
        lengths: object | None,
        reset: object | None,
        reset_state: object | None,
        batch_first: bool,
        threads: int,
    ) -> object:
        """Output and h_n; None where a tensor cannot be read as it is or these are other parameters.

        False when one of them was written to since.
        """

class Stepper:
    """One step after another, with nothing left to prepare."""

    def __init__(self, packed: object, state: object, output: object, threads: int) -> None: ...
    def step(self, input: object) -> object:
        """Advances the state in place; the output.

        None where the input, the state or the output is not plain, dense and of the right size.
        """

# Row-wise operations. Arrays are of one kind, as those of LayerSizes, float32 or float64; their last dimension is that
# of vectors, whose values stand side by side, and all others are rows with one distance from each to the next. Where
# `out` is not given a tensor is made. None where an array cannot be read as it is.

FUNCTIONS: tuple[str, ...]  # by name, what `activate` knows (csrc/shared/row_kernels.h)

def linear(
    input: object,
    weight: object,
    bias: object | None,
    out: object | None,
    threads: int,
    function: str = "none",
    a: float = 0.0,
    b: float = 0.0,
) -> Any | None:
    """function(input . weight^T + bias), where the weight (N, K) and the bias (N) are dense."""

def linear_gradients(
    d_output: object,
    input: object,
    weight: object,
    d_input: object,
    d_weight: object,
    d_bias: object,
    threads: int,
) -> tuple[Any, Any, Any] | None:
    """The gradients of input, weight and bias.

    Each of the last three is an array to write to, True for a tensor that is made (then there are no arrays among
    them), or False: not wanted, and None among the results.
    """

def activate(input: object, function: str, a: float, b: float, out: object | None, threads: int) -> Any | None:
    """A function of each value, by its name; `out` may be the input.

    Parameters are a: slope (leaky_relu), alpha (elu); a, b: beta and threshold (softplus), alpha and beta
    (hard_sigmoid), least and most (clip).
    """

def combine(operation: str, left: object, right: object, out: object, threads: int) -> Any | None:
    """The two by add, subtract, multiply or divide, to `out`, which may be one of them.

    Each has as many vectors as `out`, or one for all; each vector as many values, or one for all.
    """

def softmax(input: object, is_log: bool, out: object | None, threads: int) -> Any | None:
    """Softmax over the last dimension, or its logarithm; `out` may be the input."""

def layer_norm(
    input: object,
    weight: object | None,
    bias: object | None,
    eps: float,
    out: object | None,
    mean: object | None,
    scale: object | None,
    threads: int,
) -> tuple[Any, Any, Any] | None:
    """Normalization over the last dimension; `out` may be the input.

    With it the means and the scales (..., 1), 1 / sqrt(variance + eps): each goes to an array, is made where True is
    given, and is not wanted where None is.
    """

class PackedLinear:
    """A linear layer's weights packed once for many calls, for the level that is active, and its bias, copied."""

    def __init__(self, weight: object, bias: object | None) -> None:
        """A dense weight (N, K) and a bias (N), both float32 or float64."""

    def run(
        self,
        input: object,
        out: object | None,
        threads: int,
        function: str = "none",
        a: float = 0.0,
        b: float = 0.0,
    ) -> Any | None:
        """As `linear`."""

class _Program:
    """A whole model: nodes that are computed one after another by one call.

    Values are named by their numbers. Nodes are added in the order of computation; parameters are dense arrays with
    Python's buffer protocol, which are copied. ValueError where something does not fit.
    """

    def __init__(self, values: Sequence[tuple[bool, int]]) -> None:
        """For each value whether there is one for each step, and its size; 0 for indices."""

    def add_linear(
        self, x: int, y: int, weight: object, bias: object | None, function: str, a: float, b: float
    ) -> None: ...
    def add_embedding(self, x: int, y: int, rows: int, table: object) -> None: ...
    def add_activation(self, x: int, y: int, function: str, a: float, b: float) -> None: ...
    def add_combine(self, operation: str, x: int, other: int, y: int, constant: object | None, swaps: bool) -> None: ...
    def add_softmax(self, x: int, y: int, is_log: bool) -> None: ...
    def add_layer_norm(self, x: int, y: int, weight: object | None, bias: object | None, eps: float) -> None: ...
    def add_copy(self, x: int, y: int, x_first: int, y_first: int, width: int) -> None: ...
    def add_last(self, x: int, y: int) -> None: ...
    def add_gru(
        self,
        x: int,
        y: int,
        state: int,
        last: Sequence[int],
        begins: Sequence[int],
        sizes: LayerSizes,
        parameters: tuple[object, ...],
        anew: object | None,
        stored: str,
    ) -> None: ...
    def finish(self, inputs: Sequence[int], outputs: Sequence[int]) -> None: ...
    def run(
        self,
        inputs: tuple[object, ...],
        states: tuple[object, ...],
        begun: tuple[object, ...],
        next_states: tuple[object, ...],
        outputs: tuple[object, ...],
        lengths: object | None,
        reset: object | None,
        steps: int,
        rows: int,
        threads: int,
    ) -> None:
        """Arrays are (T, B, F) or (B, F), indices (T, B) or (B) of int64 within the tables, and not written meanwhile.

        `lengths` are int64 (B,) from 0 to T, `reset` booleans (T, B). Outputs overlap nothing else.
        """

class ProgramFloat32(_Program): ...
class ProgramFloat64(_Program): ...

def levels() -> list[tuple[str, bool]]:
    """Instruction-set levels of this build, best first: (name, available on this machine)."""

def active_level() -> str: ...
def set_active_level(name: str) -> bool:
    """False when the level cannot run here."""

def pooled_bytes() -> int:
    """Bytes of scratch memory that wait for the next call."""

def set_poison(is_on: bool) -> None:
    """Hand scratch memory out full of NaN, for tests."""

def activation(is_tanh: bool, is_double: bool, x: int, y: int, n: int) -> None:
    """Sigmoid or tanh of n values, by the kernels of the active level."""

def fma_chains(is_double: bool, rounds: int) -> float:
    """Independent multiply-adds at the active level; returns how many, exactly for up to 2**24 rounds."""

def read_all(values: int, n: int, repeats: int) -> float:
    """Reads n float32 `repeats` times at the active level; returns their sum."""
