"""Errors for what is not supported: missing extras, backends, exports, frozen layers, other tools."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from fastgru.errors.classes import (
    ArgumentError,
    BackendError,
    ExportError,
    FrozenError,
    InputTypeError,
    MissingExtra,
    OutOfMemoryError,
    ShapeError,
    SlowPathWarning,
    StateError,
)

_STATE_BY_HAND = (
    "Use fastgru.GRU with the state as input and output: output, h_n = gru(input, h_n). "
    "It has the same parameters: gru.load_state_dict(stateful.state_dict())."
)


def slow_path(reasons: dict[str, str | None]) -> SlowPathWarning:
    """For a call that only the reference can run."""
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason is not None)
    return SlowPathWarning(
        "This call runs on the reference, step by step with torch's operators, which is correct but slow. The other "
        f"backends cannot run it. {told}. This warning is given once for each reason."
    )


_QUANTIZED_GRU = "Quantize inside `with fastgru.patch():`, or call fastgru.restore_gru(model) first."


def not_quantized(name: str) -> UserWarning:
    """For a layer that torch's dynamic quantization skips."""
    return UserWarning(
        f"torch.ao.quantization compares exact types and does not quantize fastgru.{name}. "
        + ("Call fastgru.restore(model) first." if name == "Linear" else _QUANTIZED_GRU)
    )


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtra:
    """For `package`, which `purpose` needs and the extra `extra` installs."""
    return not_installed(package, f"fastgru[{extra}]", purpose)


def not_installed(package: str, requirement: str, purpose: str) -> MissingExtra:
    """For `package`, which `purpose` needs and comes with `requirement`, such as fastgru-recipes."""
    command = f"pip install {shlex.quote(requirement)}"
    return MissingExtra(f"{purpose} needs {package}, which is not installed. Run: {command}")


def no_samples(what: str, hint: str) -> ArgumentError:
    """For a feature without per-sample gradients; `hint` says what to do instead."""
    return ArgumentError(f"fastgru has no per-sample gradients for {what}. {hint}.")


def no_state_of_both_directions() -> ArgumentError:
    """For a stateful layer with a second direction."""
    return ArgumentError(
        "a StatefulGRU cannot be bidirectional: its second direction would have to start at the end of the next call. "
        "Use fastgru.GRU on complete sequences."
    )


def carried_state(shape: Sequence[int], error: Exception) -> ShapeError:
    """For a call that does not fit the state of the previous call."""
    return ShapeError(f"{error} The state of the previous call has shape {tuple(shape)}; call reset_state() first.")


def no_such_state(got: Sequence[int], expected: str) -> ShapeError:
    """For a tensor of the wrong shape that is assigned as state."""
    return ShapeError(
        f"`state` was set to a tensor of shape {tuple(got)}. Expected {expected}, or the same without B for sequences "
        "without a batch. Assign a value that was read from `state`, or None to reset it."
    )


def captured_state(tool: str) -> ExportError:
    """For a stateful layer in a program that is being exported, scripted or traced."""
    return ExportError(
        f"a StatefulGRU was found by {tool}, and the resulting program would not carry its state from call to call. "
        f"{_STATE_BY_HAND}"
    )


def state_under_vmap() -> StateError:
    """For a stateful layer under vmap."""
    return StateError(
        "a StatefulGRU was called under torch.vmap, where one layer would have many states, one for each row of "
        f"vmap. {_STATE_BY_HAND}"
    )


def state_moved_on() -> StateError:
    """For a call that a backward pass repeats."""
    return StateError(
        "a StatefulGRU was called by a backward pass, as torch.utils.checkpoint does to repeat a call. The initial "
        "state of the call is gone, and the gradients would be wrong. Keep the layer outside of the checkpoint "
        f"(recompute=True saves memory as well), or pass `hx`. {_STATE_BY_HAND}"
    )


def state_of_replicas() -> StateError:
    """For the replicas that DataParallel makes for each call."""
    return StateError(
        "a StatefulGRU was found by torch.nn.DataParallel, which copies the model for each call and drops the copies "
        f"with their states. Use DistributedDataParallel, where every process has its own state. {_STATE_BY_HAND}"
    )


def no_option(option: str, tool: str) -> ArgumentError:
    """For a tool that does not support a layer with this option."""
    return ArgumentError(f"{tool} is not possible for a GRU with {option}. Build the layer without it.")


def unknown_backend(name: str, known: Sequence[str]) -> ArgumentError:
    """For the name of a backend that does not exist."""
    return ArgumentError(
        f"there is no backend {name!r}. Known ones: {', '.join(known)}. "
        "Fix the name in use_backend or in the environment variable FASTGRU_BACKEND."
    )


def forced_backend(name: str, reason: str) -> BackendError:
    """For a requested backend that cannot run the call."""
    return BackendError(
        f"backend {name!r} was requested, but it cannot run this call: {reason}. "
        "Do not force a backend, or change the call; fastgru.explain shows which backends can run it."
    )


def no_reset_in_onnx() -> ExportError:
    """For resets in a model that is exported to ONNX."""
    return ExportError(
        "`reset` was passed to a GRU in a model that is being exported, and ONNX's GRU cannot reset states inside a "
        "sequence. Export the model without it, with h_0 as an input; split sequences at the resets, and pass "
        "the pieces as separate sequences, with `lengths`."
    )


def no_packing_in_onnx() -> ExportError:
    """For a PackedSequence in a model that is exported to ONNX."""
    return ExportError(
        "a PackedSequence was passed to a GRU in a model that is being exported, and ONNX has no packed sequences. "
        "Pass the padded tensor and its lengths instead: gru(input, lengths=lengths); they become the node's "
        "sequence_lens."
    )


def old_torch_for_onnx(version: str) -> ExportError:
    """For a version of torch whose exporter does not support ONNX operators."""
    return ExportError(
        f"fastgru.onnx.export needs torch 2.8 or newer, but this is {version}. Run: pip install -U torch"
    )


def too_big_for_onnx(size: int) -> ExportError:
    """For weights that are too large for a single ONNX file."""
    return ExportError(
        f"the model has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GB at most. "
        "Use torch.onnx.export(..., dynamo=True, external_data=True), which writes the weights to a separate file."
    )


def no_module(model: object) -> InputTypeError:
    """For a model that is not a module."""
    return InputTypeError(
        f"`model` is of type {type(model).__name__}. Expected a torch.nn.Module, such as a fastgru.GRU or a model "
        "that contains one."
    )


def no_example(model: object) -> ArgumentError:
    """For a model without an example call."""
    return ArgumentError(
        f"an example call is missing for a {type(model).__name__}. Expected `args` or `kwargs`, as for "
        "torch.onnx.export; only a fastgru.GRU and a fastgru.GRUCell do not need them. Name dynamic sizes in "
        "`dynamic_shapes`."
    )


def no_lengths_of_cell() -> ArgumentError:
    """For lengths of a cell, which has a single step."""
    return ArgumentError(
        "`with_lengths` was given for a GRUCell, which takes a single step. Expected a fastgru.GRU, or no lengths."
    )


def example_and_options() -> ArgumentError:
    """For options of a generated example together with an example."""
    return ArgumentError(
        "`with_h_0` and `with_lengths` were given together with an example call. Expected one of the two: put the "
        "state and the lengths into `args` or `kwargs`, or omit these."
    )


def out_of_memory(size: int) -> OutOfMemoryError:
    """For a call of the core that ran out of memory; `size` is in bytes."""
    return OutOfMemoryError(
        f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {size} bytes. The system has no "
        f"{size / 2**20:,.0f} MiB left for the values that a GRU keeps during a call or for its backward pass. Pass "
        "fewer rows or steps at once, delete graphs and outputs that are no longer needed, or train with "
        "recompute=True, which keeps a third."
    )


def frozen_write() -> FrozenError:
    """For an assignment to `.data` of a frozen parameter, which could not be detected later."""
    return FrozenError(
        "`.data` of a parameter of a frozen layer cannot be set: the layer computes with weights that were packed "
        "when it was frozen. Call unfreeze() on the layer first, and freeze() again after the change."
    )


def frozen_changed() -> FrozenError:
    """For a call of a frozen layer whose parameters were written to."""
    return FrozenError(
        "the parameters of this frozen layer were written to after freeze(), so the packed weights are out of date. "
        "Call unfreeze() before changing weights, and freeze() again afterwards."
    )


def cannot_pack(purpose: str, reason: str) -> FrozenError:
    """For parameters that the core cannot pack."""
    return FrozenError(f"{purpose} needs weights that can be packed, but {reason}. Use the layer without it instead.")


def unknown_weights(weights: object, known: Sequence[str]) -> ArgumentError:
    """For a type that frozen weights cannot be stored as."""
    return ArgumentError(
        f"weights={weights!r} was given. Expected one of {', '.join(map(repr, known))}, or None to keep weights as "
        "they are."
    )


def too_small_to_quantize(purpose: str, input_size: int, hidden_size: int, least: tuple[int, int]) -> FrozenError:
    """For a layer that weights of 8 bits would make slower; `least` are sizes of which one is enough."""
    return FrozenError(
        f"{purpose} with weights='int8' is refused for {input_size} inputs and {hidden_size} hidden units: a layer of "
        f"this size takes longer with it, for any batch. Expected at least {least[0]} inputs or {least[1]} hidden "
        "units. Freeze it without `weights`."
    )


def weights_not_frozen(weights: object) -> ArgumentError:
    """For a type of stored weights without the freezing that stores them."""
    return ArgumentError(
        f"weights={weights!r} was given without freeze=True. Weights are stored in another type only while layers are "
        "frozen: pass both."
    )


def no_stepper(reason: str) -> ArgumentError:
    """For a layer that does not support single steps."""
    return ArgumentError(f"a stepper takes a layer one step at a time, but {reason}.")
