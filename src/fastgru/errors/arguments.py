"""Errors for wrong arguments of a call."""

from __future__ import annotations

from collections.abc import Sequence

from fastgru.errors.classes import (
    ArgumentError,
    DTypeError,
    InputTypeError,
    OperandError,
    RankError,
    SequenceTypeError,
    ShapeError,
)


def not_a_tensor(name: str, value: object) -> InputTypeError:
    """For an argument that is not a tensor."""
    kind = type(value).__name__
    pythons = f"'{kind}' object has no attribute 'dim'"
    try:
        value.dim  # type: ignore[attr-defined]  # noqa: B018  (for Python's own message)
    except AttributeError as error:
        pythons = str(error)
    hint = f"Convert it first: torch.as_tensor({name})."
    if type(value) is tuple:
        hint = "A GRU has one state tensor, unlike an LSTM, which has a pair."
    return InputTypeError(f"{pythons}: `{name}` is of type {kind}. Expected a torch.Tensor. {hint}")


def input_rank(layer: str, dims: int, allowed: tuple[int, ...], shapes: str) -> RankError:
    """For an input with the wrong number of dimensions."""
    ranks = " or ".join(f"{rank}D" for rank in allowed)
    return RankError(
        f"{layer}: Expected input to be {ranks}, got {dims}D instead. "
        f"Expected shape {shapes}. Add the missing dimension with `input.unsqueeze`, or flatten extra ones."
    )


def packed_rank(dims: int) -> ShapeError:
    """For a PackedSequence whose data is not a matrix."""
    return ShapeError(
        f"input must have 2 dimensions, got {dims}. The data of a PackedSequence must be (rows, input_size). "
        "Pack sequences of shape (steps, input_size)."
    )


def hidden_rank(input_dims: int, hidden_dims: int) -> ShapeError:
    """For a batched h_0 with an unbatched input, or vice versa."""
    kind, expected = ("batched", 3) if input_dims == 3 else ("unbatched", 2)
    shape = "(layers * directions, batch, hidden_size)"
    if input_dims == 2:
        shape = "(layers * directions, hidden_size)"
    return ShapeError(
        f"For {kind} {input_dims}-D input, hx should also be {expected}-D but got {hidden_dims}-D tensor. "
        f"Expected shape {shape}. Add or remove the batch dimension of `hx` (its dimension 1) or of `input`."
    )


def feature_size(got: int, expected: int) -> ShapeError:
    """For an input with the wrong number of features."""
    return ShapeError(
        f"input.size(-1) must be equal to input_size. Expected {expected}, got {got}: `input` has {got} features, "
        f"but this layer has input_size={expected}. Expected shape (T, B, {expected}), or (B, T, {expected}) with "
        "batch_first=True. Check the layer before this one."
    )


def input_dtype(got: object, expected: object) -> DTypeError:
    """For an input whose dtype differs from that of the parameters."""
    return DTypeError(
        f"RNN input dtype ({got}) does not match weight dtype ({expected}). "
        f"Convert input: input.to({expected}), or convert model: model.to({got})"
    )


def operand_dtype(name: str, got: object, expected: object, other: str = "input") -> OperandError:
    """For a state or parameter `name` whose dtype differs from that of `other`."""
    return OperandError(
        f"mat1 and mat2 must have the same dtype, but got {_scalar_name(got)} and {_scalar_name(expected)} "
        f"(self and mat2 must have the same dtype, but got {_scalar_name(expected)} and {_scalar_name(got)}): "
        f"`{name}` is {got}, `{other}` is {expected}. Convert one of them with `.to`."
    )


def cell_dtype(got: object, expected: object) -> OperandError:
    """For a cell's input whose dtype differs from that of its weights."""
    return OperandError(
        f"mat1 and mat2 must have the same dtype, but got {_scalar_name(got)} and {_scalar_name(expected)} "
        f"(self and mat2 must have the same dtype, but got {_scalar_name(got)} and {_scalar_name(expected)}): "
        f"`input` is {got}, the weights are {expected}. Convert the input: input.to({expected}), or the cell: "
        f"cell.to({got})."
    )


def _scalar_name(dtype: object) -> str:
    names = {
        "float64": "Double",
        "float32": "Float",
        "float16": "Half",
        "bfloat16": "BFloat16",
        "int64": "Long",
        "int32": "Int",
        "int16": "Short",
        "int8": "Char",
        "uint8": "Byte",
        "bool": "Bool",
        "complex64": "ComplexFloat",
        "complex128": "ComplexDouble",
    }
    name = str(dtype).removeprefix("torch.")
    return names.get(name, name)


def device(name: str, input_device: object, got: object) -> OperandError:
    """For a state or parameter on another device than the input; `name` is `hidden` or `parameter`."""
    return OperandError(
        f"Input and {name} tensors are not at the same device, found input tensor at {input_device} and "
        f"{name} tensor at {got}. Tensor on device {input_device} is not on the expected device {got}! "
        "Move the input or the layer with `.to`."
    )


def hidden_shape(got: Sequence[int], expected: tuple[int, ...]) -> ShapeError:
    """For an h_0 of the wrong sizes."""
    layers, batch, hidden = expected
    return ShapeError(
        f"Expected hidden size {expected}, got {list(got)}: `hx` must be (layers * directions, batch, hidden_size), "
        f"here ({layers}, {batch}, {hidden}), also with batch_first=True. "
        f"Transpose it if the batch comes first: `hx.transpose(0, 1)`."
    )


def parameter_shape(name: str, got: Sequence[int], expected: Sequence[int], rows: int) -> ShapeError:
    """For a parameter that was replaced by one of another shape; `rows` is the number of input vectors."""
    torchs = f"The expanded size of the tensor ({expected[0]}) must match the existing size ({list(got)})"
    if len(expected) == 2 and len(got) == 2:
        torchs = f"mat1 and mat2 shapes cannot be multiplied ({rows}x{expected[1]} and {got[1]}x{got[0]})"
    return ShapeError(
        f"{torchs}: parameter `{name}` has shape {tuple(got)}, but this layer needs {tuple(expected)}. "
        "Give it a tensor of that shape, or build the layer with other sizes."
    )


def no_parameter(name: str, index: int, value: object) -> InputTypeError:
    """For a parameter that is not a tensor; `index` is its position among the layer's parameters."""
    kind = type(value).__name__
    return InputTypeError(
        f"expected Tensor as element {index} in argument 2, but got {kind} ({kind!r} object has no attribute 'dtype'): "
        f"parameter `{name}` of the layer is {value!r}. Give it a torch.nn.Parameter; for a layer without biases pass "
        "bias=False to the constructor."
    )


def parameter_rank(name: str, got: Sequence[int]) -> ShapeError:
    """For a weight that is not a matrix."""
    return ShapeError(
        f"`{name}` has shape {tuple(got)}, expected two dimensions: (3 * hidden_size, features). "
        "Weights must be in torch's order; check which one is at this position."
    )


def layer_count(got: object) -> ArgumentError:
    """For an invalid number of layers."""
    return ArgumentError(f"num_layers must be greater than zero, got {got!r}. Expected a positive int.")


def dropout_range(got: object) -> ArgumentError:
    """For a dropout that is not a probability."""
    return ArgumentError(f"dropout should be a number in range [0, 1], got {got}. Pass a probability.")


def parameter_count(got: int, expected: int) -> ShapeError:
    """For a wrong number of weights."""
    return ShapeError(
        f"got {got} weights, expected {expected}: for each layer and direction weight_ih, weight_hh and, with biases, "
        "bias_ih, bias_hh, in torch's order. Pass `[p for p in layer.parameters()]`, or fix num_layers, bias or "
        "bidirectional."
    )


def batch_sizes_type(got: object) -> ShapeError:
    """For batch sizes that are not int64."""
    name = _scalar_name(got)
    return batch_sizes(f"is of type {got}", f"expected scalar type Long but found {name}: ")


def batch_sizes_layout(dims: int, where: object) -> SequenceTypeError:
    """For batch sizes that are not a vector on the CPU."""
    return SequenceTypeError(
        f"`batch_sizes` has {dims} dimensions and is on {where}. Expected one count for each step: (T,), on the CPU. "
        "Take them from torch.nn.utils.rnn.pack_padded_sequence."
    )


def batch_sizes_sum(sizes: Sequence[int], rows: int) -> ShapeError:
    """For batch sizes whose sum differs from the number of rows of the data."""
    torchs, start = "", 0
    for size in sizes:
        if start + size > rows:
            torchs = f"start ({start}) + length ({size}) exceeds dimension size ({rows}). "
            break
        start += size
    return batch_sizes(f"adds up to {sum(sizes)}, `input` has {rows} rows", torchs)


def batch_sizes(reason: str, torchs: str = "") -> ShapeError:
    """For invalid batch sizes of packed data; `torchs` is torch's message."""
    return ShapeError(
        f"{torchs}`batch_sizes` {reason}. Expected one positive count for each step, on the CPU as int64, not "
        "increasing, with the number of rows of `input` as sum. Take them from torch.nn.utils.rnn.pack_padded_sequence."
    )


def cell_hidden_rank(dims: int) -> RankError:
    """For a cell's state with the wrong number of dimensions."""
    return RankError(
        f"GRUCell: Expected hidden to be 1D or 2D, got {dims}D instead. Expected shape (batch, hidden_size) or "
        "(hidden_size). Drop the other dimensions with `hx.squeeze` or by indexing."
    )


def cell_feature_size(got: int, expected: int) -> ShapeError:
    """For a cell's input with the wrong number of features."""
    return ShapeError(
        f"input has inconsistent input_size: got {got} expected {expected}. Expected shape (batch, {expected}) or "
        f"({expected}). Check the layer before this one."
    )


def cell_hidden_size(got: int, expected: int) -> ShapeError:
    """For a cell's state with the wrong number of hidden units."""
    return ShapeError(
        f"hidden0 has inconsistent hidden_size: got {got}, expected {expected}. Expected `hx` of shape (batch, "
        f"{expected}) or ({expected}). Pass the state that this cell returned."
    )


def cell_batch(input_batch: int, hidden_batch: int) -> ShapeError:
    """For a cell's state with another batch size than its input."""
    return ShapeError(
        f"Input batch size {input_batch} doesn't match hidden0 batch size {hidden_batch}. Expected `hx` of shape "
        f"({input_batch}, hidden_size). Use one state row for each input row."
    )


def projection_size(reason: str, got: object, hidden_size: int | None = None) -> ArgumentError:
    """For an invalid proj_size."""
    beside = "" if hidden_size is None else f" with hidden_size={hidden_size}"
    return ArgumentError(f"proj_size {reason}. Got proj_size={got!r}{beside}.")


def nested_layout(layout: object, dims: int) -> RankError:
    """For a nested tensor that is not a batch of sequences of vectors."""
    return RankError(
        f"got a nested tensor of layout {layout} with {dims} dimensions. Expected layout=torch.jagged with 3: "
        "(B, any, I). Create it with torch.nested.nested_tensor(sequences, layout=torch.jagged)."
    )


def nested_with_holes() -> ShapeError:
    """For a nested tensor whose sequences are not adjacent in memory."""
    return ShapeError(
        "got a nested tensor that is a view with holes. Expected sequences that are adjacent in memory; call "
        ".contiguous()."
    )


def operator_dtype(dtype: object) -> OperandError:
    """For an operator called with a dtype that only the layer supports."""
    return OperandError(
        f"the operator takes float32 and float64, but the input is {dtype}. Call the layer, which converts it."
    )


def no_memory(name: str) -> OperandError:
    """For a tensor whose storage is too small."""
    return OperandError(
        "The tensor has a non-zero number of elements, but its data is not allocated yet: "
        f"the memory of `{name}` was released, as by `untyped_storage().resize_(0)`. "
        "Restore the values of the tensor before the call."
    )


def layout(name: str, got: object) -> OperandError:
    """For a tensor that is not strided."""
    return OperandError(
        f"`{name}` has layout {got}; expected torch.strided. Convert it before the call: `.to_dense()`."
    )


def nested_operand(name: str) -> OperandError:
    """For a nested tensor other than the input."""
    return OperandError(f"`{name}` is a nested tensor; only the input may be nested. Expected a dense tensor: pad it.")


def changed_meanwhile(name: str, got: object, expected: object) -> ShapeError:
    """For a tensor that was changed after the checks of a call, or between forward and backward pass."""
    return ShapeError(
        f"`{name}` is {got} now; it was {expected} when it was checked. "
        "Do not change the size or dtype of a tensor while a call reads it, and until its backward pass has run."
    )


def changed_during_call() -> OperandError:
    """For a tensor that became another while the call was about to read it."""
    return OperandError(
        "A tensor of this call was given another size, type or memory while the call began, by another thread. "
        "Leave tensors alone until the calls that read them have returned."
    )


def operator_arguments(what: str, got: object, expected: object) -> ShapeError:
    """For wrong arguments of an operator of torch.ops.fastgru that was called directly."""
    return ShapeError(f"{what}: got {got}, expected {expected}. Call fastgru.GRU or fastgru.functional.gru instead.")


def step_input(got: str, expected: str) -> ShapeError:
    """For a wrong input of a stepper."""
    return ShapeError(f"a step is {got}; expected {expected}. Use the layer itself for sequences.")


def stepper_tensor(name: str, dtype: object, shape: tuple[int, ...]) -> ShapeError:
    """For a stepper's state or output that a step cannot write to any more."""
    return ShapeError(
        f"the stepper's {name} is no longer a dense tensor {shape} of {dtype} on the CPU: its memory, dtype or shape "
        f"was changed. Write to it in place (`stepper.{name}.copy_(...)`), or create a new stepper."
    )
