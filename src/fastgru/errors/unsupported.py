"""What cannot be done with a layer: extras, backends, exporting, freezing, other tools."""

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
    "Use fastgru.GRU with the state in and out: output, h_n = gru(input, h_n). "
    "It takes the same parameters: gru.load_state_dict(stateful.state_dict())."
)


def slow_path(reasons: dict[str, str | None]) -> SlowPathWarning:
    """For a call that only the reference takes."""
    told = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if reason is not None)
    return SlowPathWarning(
        "This call runs on the reference, step by step in torch's operators: right, but slow. The others refuse. "
        f"{told}. This is said once for each reason."
    )


def not_quantized(name: str) -> UserWarning:
    """For a layer of ours that torch's dynamic quantization passes by."""
    return UserWarning(
        f"torch.ao.quantization goes by exact types and leaves fastgru.{name} as it is. Quantize inside "
        "`with fastgru.patch():`, or call fastgru.restore_gru(model) first."
    )


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtra:
    """For `package`, which `purpose` needs and the extra `extra` installs."""
    return not_installed(package, f"fastgru[{extra}]", purpose)


def not_installed(package: str, requirement: str, purpose: str) -> MissingExtra:
    """For `package`, which `purpose` needs and comes with `requirement`, such as fastgru-recipes."""
    command = f"pip install {shlex.quote(requirement)}"
    return MissingExtra(f"{purpose} needs {package}, which is not installed. Run: {command}")


def no_samples(what: str, hint: str) -> ArgumentError:
    """For what has no per-sample gradients; `hint` is what to do instead."""
    return ArgumentError(f"fastgru has no per-sample gradients for {what}. {hint}.")


def no_state_of_both_directions() -> ArgumentError:
    """For a stateful layer with a second direction."""
    return ArgumentError(
        "a StatefulGRU cannot be bidirectional: its second direction begins at an end that the next call moves. "
        "Use fastgru.GRU on whole sequences."
    )


def carried_state(shape: Sequence[int], error: Exception) -> ShapeError:
    """For a call that does not fit the state of the call before it."""
    return ShapeError(f"{error} The state carried from the call before is {tuple(shape)}; call reset_state() first.")


def no_such_state(got: Sequence[int], expected: str) -> ShapeError:
    """For a tensor set as the state of a layer that has states of other sizes."""
    return ShapeError(
        f"`state` was set to a tensor of shape {tuple(got)}. Expected {expected}, or the same without B for sequences "
        "without a batch. Set what was read from `state`, or None to start anew."
    )


def captured_state(tool: str) -> ExportError:
    """For a stateful layer in a program that is being exported, scripted or traced."""
    return ExportError(
        f"a StatefulGRU was found by {tool}, and the program that is made would not carry its state from call to call. "
        f"{_STATE_BY_HAND}"
    )


def state_under_vmap() -> StateError:
    """For a stateful layer under vmap."""
    return StateError(
        "a StatefulGRU was called under torch.vmap, where one layer would have many states, one for each row that "
        f"vmap takes apart. {_STATE_BY_HAND}"
    )


def state_moved_on() -> StateError:
    """For a call that a backward pass makes again."""
    return StateError(
        "a StatefulGRU was called by a backward pass, as torch.utils.checkpoint does to compute a call again. The "
        "state that the call began with is gone, and the gradients would be wrong. Keep the layer outside of it "
        f"(recompute=True saves memory as well), or pass `hx`. {_STATE_BY_HAND}"
    )


def state_of_replicas() -> StateError:
    """For the copies that DataParallel makes for each call."""
    return StateError(
        "a StatefulGRU was found by torch.nn.DataParallel, which copies the model for each call and drops the copies "
        f"with their states. Use DistributedDataParallel, where every process has its own state. {_STATE_BY_HAND}"
    )


def no_option(option: str, tool: str) -> ArgumentError:
    """For something that a layer with this option cannot do."""
    return ArgumentError(f"{tool} is not possible for a GRU with {option}. Build the layer without it.")


def unknown_backend(name: str, known: Sequence[str]) -> ArgumentError:
    """For the name of a backend that does not exist."""
    return ArgumentError(
        f"there is no backend {name!r}. Known ones: {', '.join(known)}. "
        "Fix the name in use_backend or in the environment variable FASTGRU_BACKEND."
    )


def forced_backend(name: str, reason: str) -> BackendError:
    """For a backend that was asked for and refuses."""
    return BackendError(
        f"backend {name!r} was asked for, but cannot serve this call: {reason}. "
        "Leave the choice open, or change the call; fastgru.explain tells which backends can."
    )


def no_reset_in_onnx() -> ExportError:
    """Resets in a model that becomes ONNX."""
    return ExportError(
        "`reset` was passed to a GRU in a model that is being exported, and ONNX's GRU puts no states back inside a "
        "sequence. Export the model without it, with h_0 as an input; cut sequences where they start anew, and pass "
        "the pieces as sequences of their own, with `lengths`."
    )


def no_packing_in_onnx() -> ExportError:
    """A PackedSequence in a model that becomes ONNX."""
    return ExportError(
        "a PackedSequence was passed to a GRU in a model that is being exported, and ONNX has no packed sequences. "
        "Pass the padded tensor and its lengths instead: gru(input, lengths=lengths); they become the node's "
        "sequence_lens."
    )


def old_torch_for_onnx(version: str) -> ExportError:
    """For a torch whose exporter takes no operators of ONNX."""
    return ExportError(f"fastgru.onnx.export needs torch 2.8 or newer, this is {version}. Run: pip install -U torch")


def too_big_for_onnx(size: int) -> ExportError:
    """For weights that no single ONNX file holds."""
    return ExportError(
        f"the model has {size / 1e9:.1f} GB of weights, and an ONNX file holds 2 GB at most. "
        "Use torch.onnx.export(..., dynamo=True, external_data=True), which writes the weights beside the file."
    )


def no_module(model: object) -> InputTypeError:
    """For a model that is none."""
    return InputTypeError(
        f"`model` is of type {type(model).__name__}. Expected a torch.nn.Module, such as a fastgru.GRU or a model "
        "that contains one."
    )


def no_example(model: object) -> ArgumentError:
    """For a model whose inputs nobody can guess."""
    return ArgumentError(
        f"an example call is missing for a {type(model).__name__}. Expected `args` or `kwargs`, as for "
        "torch.onnx.export; only a fastgru.GRU and a fastgru.GRUCell go without. Name the free sizes in "
        "`dynamic_shapes`."
    )


def no_lengths_of_cell() -> ArgumentError:
    """For lengths of what has no steps."""
    return ArgumentError(
        "`with_lengths` was asked for with a GRUCell, which takes a single step. Expected a fastgru.GRU, or no lengths."
    )


def example_and_options() -> ArgumentError:
    """For options of a made example beside an example."""
    return ArgumentError(
        "`with_h_0` and `with_lengths` came together with an example call. Expected one of the two: put the state "
        "and the lengths into `args` or `kwargs`, or leave these out."
    )


def out_of_memory(size: int) -> OutOfMemoryError:
    """For a call of the core that got no memory; `size` is in bytes."""
    return OutOfMemoryError(
        f"DefaultCPUAllocator: can't allocate memory: you tried to allocate {size} bytes. The system has no "
        f"{size / 2**20:,.0f} MiB left for what a GRU keeps during a call or for its backward pass. Pass fewer rows or "
        "steps at once, let go of graphs and outputs that are not used any more, or train with recompute=True, which "
        "keeps a third."
    )


def frozen_write() -> FrozenError:
    """Setting `.data` of a frozen parameter, which would leave no trace."""
    return FrozenError(
        "`.data` of a parameter of a frozen layer was about to be set. The layer computes with weights packed "
        "when it was frozen. Call unfreeze() on the layer first, and freeze() again after the change."
    )


def frozen_changed() -> FrozenError:
    """A call of a frozen layer whose parameters were written to."""
    return FrozenError(
        "the parameters of this frozen layer were written to after freeze(), so the packed weights are out of date. "
        "Call unfreeze() before changing weights, and freeze() again when they stay."
    )


def cannot_pack(purpose: str, reason: str) -> FrozenError:
    """Parameters that the core does not pack."""
    return FrozenError(f"{purpose} needs weights that can be packed, but {reason}. Use the layer as it is instead.")


def no_stepper(reason: str) -> ArgumentError:
    """A layer that cannot go step by step."""
    return ArgumentError(f"a stepper takes a layer one step at a time, but {reason}.")
