"""Intended differences between ours and the other side, with reasons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from doors.registry import ENTRANCES
from doors.sides import REFERENCE
from fastgru import errors


class Exemption(NamedTuple):
    """A difference that is meant.

    Attributes:
        reason: where it is promised, or why it cannot be otherwise.
        covers: of the draw, our outcome and theirs, whether this is such a difference.
    """

    reason: str
    covers: Callable[[Any, Any, Any], bool]


def exemption(draw: Any, ours: Any, theirs: Any) -> str | None:
    """The reason why these outcomes may differ, or None."""
    return next((one.reason for one in EXEMPTIONS if one.covers(draw, ours, theirs)), None)


def _noted(draw: Any, *words: str) -> bool:
    return any(word in note for word in words for note in draw.notes)


def _says_so(ours: Any) -> bool:
    return isinstance(ours.error, errors.FastGRUError)


def _refuses(draw: Any, ours: Any, theirs: Any) -> bool:
    is_one = draw.name.entrance in ("frozen", "stepper")
    return is_one and isinstance(ours.error, (errors.FrozenError, errors.ArgumentError))


def _is_packed_sooner(draw: Any, ours: Any, theirs: Any) -> bool:
    is_one = draw.name.entrance in ("frozen", "stepper") and _noted(draw, "weight=")
    return is_one and "its data is not allocated yet" in str(ours.error) and theirs.error is not None


def _is_a_step(draw: Any, ours: Any, theirs: Any) -> bool:
    return draw.name.entrance == "stepper" and _says_so(ours) and _noted(draw, "x=", "h_0=")


def _is_torchs_stumble(draw: Any, ours: Any, theirs: Any) -> bool:
    stumbles = (IndexError, NotImplementedError, AttributeError, RecursionError)
    words = (
        "failed to unpack",
        "only one element tensors",
        "invalid combination of arguments",
        "NestedTensor",
        "Nested tensor",
        "weak reference",
        "RNN input dtype (float",  # NumPy's
        "weight dtype (float",
    )
    is_one = isinstance(theirs.error, stumbles) or any(word in str(theirs.error) for word in words)
    return is_one and _says_so(ours)


def _is_of_a_bias(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "of bias") and theirs.error is None and _says_so(ours)


def _is_an_operators(draw: Any, ours: Any, theirs: Any) -> bool:
    is_operator = "operator" in draw.name.entrance or draw.name.entrance == "side_by_side"
    words = ("fastgru::", "modified by an inplace operation")  # by the schema; by autograd, which keeps its output
    is_torchs = isinstance(ours.error, (NotImplementedError, AssertionError)) or any(
        w in str(ours.error) for w in words
    )
    return is_operator and (_says_so(ours) or is_torchs or _noted(draw, "of_meta", "masked", "reset=none"))


def _is_beyond_the_reference(draw: Any, ours: Any, theirs: Any) -> bool:
    is_torchs = theirs.error is not None and not _says_so(theirs)
    has_memory = not _noted(draw, "freed", "storage", "resized")
    return ENTRANCES[draw.name.entrance].other == REFERENCE and ours.error is None and is_torchs and has_memory


def _casts(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "ambient autocast")


def _takes_more(draw: Any, ours: Any, theirs: Any) -> bool:
    """No steps, jagged tensors: sizes that torch's layer refuses."""
    is_empty = "sequence length to be larger than 0" in str(theirs.error)
    return ours.error is None and (is_empty or _noted(draw, "size_of_zero", "nothing_at_all", "jagged"))


def _contradicts_itself(draw: Any, ours: Any, theirs: Any) -> bool:
    is_first = theirs.error is None or "`batch_sizes`" in str(
        ours.error
    )  # torch may stumble later, in its backward pass
    return _noted(draw, "batch_sizes=", "data=one_size") and is_first and _says_so(ours)


def _is_read_without_strides(draw: Any, ours: Any, theirs: Any) -> bool:
    kinds = ("gaps", "one_number", "expanded", "negated_view")
    return _noted(draw, *(f"batch_sizes={kind}" for kind in kinds)) and ours.error is None


def _is_no_dense_tensor(draw: Any, ours: Any, theirs: Any) -> bool:
    is_one = _noted(draw, "sparse", "mkldnn", "quantized", "nested", "jagged", "functional_wrapper")
    is_told = _says_so(ours) or isinstance(ours.error, RuntimeError)
    return is_one and (is_told or ours.error is None) and "Internal error" not in str(ours.error)


def _is_of_another_class(draw: Any, ours: Any, theirs: Any) -> bool:
    is_one = _noted(draw, "wrapper_subclass", "masked", "fake", "subclass_watching")
    is_other = theirs.error is not None or any(isinstance(found, str) for found in theirs.found.values())
    return is_one and ours.error is None and is_other


def _is_on_meta(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "of_meta", "ambient device meta") and _says_so(ours)


def _is_a_wreck(draw: Any, ours: Any, theirs: Any) -> bool:
    return (
        _noted(draw, "leaked_", "masked", "lookalike", "class_itself")
        and ours.error is not None
        and theirs.error is not None
    )


def _has_its_own_word(draw: Any, ours: Any, theirs: Any) -> bool:
    return "takes part in nothing" in str(ours.error)


def _is_of_the_hook(draw: Any, ours: Any, theirs: Any) -> bool:
    fails = ours.error is not None and (theirs.error is not None or "numpy" in str(ours.error))
    return _noted(draw, "ambient saved as NumPy") and fails  # torch's layer does not save its biases


def _is_beyond_the_hook(draw: Any, ours: Any, theirs: Any) -> bool:
    words = (
        "unsupported ScalarType BFloat16",
        "numpy() on Tensor that has negative bit",
        "convert a ZeroTensor to numpy",
    )
    is_refused = any(word in str(theirs.error) for word in words)  # ours saves in float32, and what it has read
    return _noted(draw, "ambient saved as NumPy") and is_refused and ours.error is None


def _is_uninitialized(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "uninitialized_parameter") and theirs.error is not None and "uninitialized" in str(ours.error)


def _keeps_inference_tensors(draw: Any, ours: Any, theirs: Any) -> bool:
    is_reference = ENTRANCES[draw.name.entrance].other == REFERENCE
    return is_reference and "Inference tensors cannot be saved" in str(ours.error)


def _keeps_another_copy(draw: Any, ours: Any, theirs: Any) -> bool:
    is_reference = ENTRANCES[draw.name.entrance].other == REFERENCE
    words = ("modified by an inplace operation", "has been modified inplace")
    return is_reference and any(word in str(ours.error) for word in words)


def _is_saved_without_a_count(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "ambient saved") and _noted(draw, "written", "one_of_unbound")


def _survives(draw: Any, ours: Any, theirs: Any) -> bool:
    words = (
        "modified by an inplace operation",
        "Inference tensors cannot be saved",
        "Unbind is a view and its base or another view of its base has been modified inplace",
    )
    return ours.error is None and any(word in str(theirs.error) for word in words)


def _is_outside_its_transform(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "=leaked_") and isinstance(ours.error, RuntimeError)


def _is_a_tangent_elsewhere(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "tangent=") and "is not on the expected device" in str(theirs.error)


def _is_a_second_derivative(draw: Any, ours: Any, theirs: Any) -> bool:
    words = ("modified by an inplace operation", "has been modified inplace")
    is_refused = any(word in str(ours.error) for word in words)
    return _noted(draw, "backward by second") and (is_refused or _noted(draw, "ambient saved"))


def _is_elsewhere(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(
        draw, "lengths=wrapper_subclass", "weight=wrapper_subclass", "gradient=wrapper_subclass"
    ) and _says_so(ours)


def _has_no_values(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "empty_storage_of_meta")


def _is_fake(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "=fake") and ours.error is not None and theirs.error is not None


def _is_asserted_by_torch(draw: Any, ours: Any, theirs: Any) -> bool:
    words = ("INTERNAL ASSERT FAILED", "Cannot set version_counter")
    return _noted(draw, "wrapper_subclass") and any(word in str(ours.error) for word in words)


def _is_a_bias_of_inference(draw: Any, ours: Any, theirs: Any) -> bool:
    is_refused = "Inference tensors cannot be saved" in str(ours.error)
    return _noted(draw, "weight=inference_tensor") and (is_refused or ours.error is None)


def _has_no_counter(draw: Any, ours: Any, theirs: Any) -> bool:
    return _noted(draw, "ambient") and "do not track version counter" in str(ours.error)


def _is_wrapped_carelessly(draw: Any, ours: Any, theirs: Any) -> bool:
    words = ("Mismatch in shape", "invalid gradient", "is not allocated yet")
    return _noted(draw, "wrapper_subclass") and any(word in str(ours.error) for word in words)


def _meets_infinity(draw: Any, ours: Any, theirs: Any) -> bool:
    is_half = any(getattr(found, "itemsize", 0) == 2 for found in theirs.found.values())
    return _noted(draw, "with_inf") and is_half and ours.error is None and theirs.error is None


EXEMPTIONS: list[Exemption] = [
    Exemption(
        "torch rounds states of 16 bits between operators; one that becomes zero makes NaN of an infinite weight",
        _meets_infinity,
    ),
    Exemption("frozen layers and steppers refuse what they cannot pack or watch: docs/streaming.md", _refuses),
    Exemption("weights are read when they are packed, before the mistakes of later calls", _is_packed_sooner),
    Exemption("a step of a stream has words of its own for what does not fit", _is_a_step),
    Exemption("torch stumbles in its own operators; ours says what is wrong with the argument", _is_torchs_stumble),
    Exemption("torch promotes and broadcasts biases of other types and sizes; ours names the wrong one", _is_of_a_bias),
    Exemption("an operator takes less than the layer, and torch's schema is asked before ours", _is_an_operators),
    Exemption(
        "torch's operators cannot take this step by step; our core or torch's layer can", _is_beyond_the_reference
    ),
    Exemption("under autocast ours gives what torch.nn.Linear gives: docs/compatibility.md", _casts),
    Exemption("ours takes no steps and jagged tensors: docs/compatibility.md", _takes_more),
    Exemption("ours refuses batch sizes that contradict the data; torch computes with a part", _contradicts_itself),
    Exemption("torch reads batch sizes as if they were dense; ours reads what they say", _is_read_without_strides),
    Exemption(
        "which operators torch has for other layouts is torch's matter; ours takes or refuses", _is_no_dense_tensor
    ),
    Exemption("results of a call that the core serves are plain tensors", _is_of_another_class),
    Exemption("torch gives results on the meta device when a weight lies there; ours names it", _is_on_meta),
    Exemption(
        "both fail inside torch, on a tensor outside its transform or of a class with few operators", _is_a_wreck
    ),
    Exemption("the class of the argument refuses", _has_its_own_word),
    Exemption("the hook of the case itself fails", _is_of_the_hook),
    Exemption("NumPy has no bfloat16 and nothing lazily negated, which torch's layer saves", _is_beyond_the_hook),
    Exemption(
        "both say that the parameter is uninitialized, ours by torch's question for its shape", _is_uninitialized
    ),
    Exemption(
        "torch keeps no inference tensors for a backward pass; the reference needs fewer", _keeps_inference_tensors
    ),
    Exemption("as torch's layer, ours keeps its input as it is; the reference keeps copies", _keeps_another_copy),
    Exemption("behind a hook torch counts no writes: its layer computes with them too", _is_saved_without_a_count),
    Exemption(
        "ours may survive what torch's layer does not, as it keeps another copy, with right gradients", _survives
    ),
    Exemption("second derivatives start from the inputs, which must be as they were", _is_a_second_derivative),
    Exemption("what has its values elsewhere is no length, and no weight of models side by side", _is_elsewhere),
    Exemption("a wrapper outside of its transform is refused; torch may go on", _is_outside_its_transform),
    Exemption("of a tangent on another device torch's operators ask each, ours none", _is_a_tangent_elsewhere),
    Exemption("memory that nobody has written to holds any values", _has_no_values),
    Exemption("fake tensors where values are needed: torch's own error on both sides", _is_fake),
    Exemption("torch's assertion on a tensor without memory of its own", _is_asserted_by_torch),
    Exemption("a second derivative needs all weights, and torch keeps no inference tensors", _is_a_bias_of_inference),
    Exemption("a mode that counts writes, and tensors that have no count: torch refuses its own", _has_no_counter),
    Exemption(
        "a wrapper that reports sizes from before a transposition; torch's layer dies too", _is_wrapped_carelessly
    ),
]
