"""What to do instead of operations that the runtime does not have."""

from __future__ import annotations

_MASK = (
    "Multiply by a mask of numbers, (batch, steps, 1) and 1 where a value counts, which is an input of the model. For "
    "the ends of sequences pass `lengths=` to a fastgru.GRU, for new beginnings within them `reset=`."
)
_LAST = (
    "The last step of each sequence is y[:, -1], or h_n[-1] of its layer: also of sequences with other ends, if a "
    "fastgru.GRU gets them as `lengths=`."
)
FIRST_STEP = (
    "The output of the first step alone is what `model.step` of the saved model returns; the last state of a second "
    "direction, which ends there, is h_n[-1]. The last step is y[:, -1]."
)
SOME_STEPS = (
    "Cut steps off before the call. For the ends of sequences pass `lengths=` to a fastgru.GRU, for new beginnings "
    "`reset=`; the last step is y[:, -1] or h_n[-1]."
)
NUMBERS = (
    "Give it to the model as numbers (a float tensor) with an axis of features: a mask has the shape (batch, steps, 1)."
)
_REMEDIES = {
    **dict.fromkeys(
        ("where", "masked_fill", "masked_fill_", "masked_scatter", "eq", "ne", "lt", "le", "gt", "ge"), _MASK
    ),
    **dict.fromkeys(("index", "gather", "arange", "index_select", "take_along_dim"), _LAST),
    "flip": "A layer with bidirectional=True goes through the steps backwards too.",
}


def advice(name: str) -> tuple[str, ...]:
    """A remedy for an operation such as ``aten.where``; empty if there is none but to cut the model."""
    remedy = _REMEDIES.get(name.removeprefix("aten."))
    return () if remedy is None else (remedy,)
