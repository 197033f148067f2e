"""How much each example of `classify` counts in the loss: by its label, and by a weight of its own."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from fastgru.errors import ArgumentError
from fastgru_recipes.classify.read_labelled import Label, Labelled
from fastgru_recipes.errors import DataError
from fastgru_recipes.option_names import given as shown
from fastgru_recipes.option_names import named

BALANCED = "balanced"
EXAMPLE = {"cat": 2.0}


def as_option(given: object) -> str:
    """The option `class_weight` as a text: "", "balanced", or a JSON object of labels and weights.

    Raises:
        ArgumentError: for anything else, and for weights that are not positive numbers.
    """
    if given is None or given in ("", BALANCED):
        return str(given or "")
    try:
        weights = json.loads(given) if isinstance(given, str) else given
    except ValueError:
        weights = None
    if not isinstance(weights, Mapping):
        raise ArgumentError(
            f"{shown('class_weight', given)} is neither balanced nor labels with weights. Give them as in "
            f"{shown('class_weight', EXAMPLE)}."
        )
    for label, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 < weight < math.inf:
            raise ArgumentError(
                f"{named('class_weight')} gives label {label!r} the weight {weight!r}. Give a positive number."
            )
    return json.dumps({str(label): float(weight) for label, weight in weights.items()}, ensure_ascii=False)


def of_labels(option: str, data: Labelled, labels: Sequence[Label]) -> list[float]:
    """The weight of each label, in the order of `labels`. The examples of the data have the mean weight 1.

    "balanced" gives N / (K * n_k), as in scikit-learn. Labels that a dict leaves out have weight 1 in it.

    Raises:
        DataError: if a dict names a label that the data do not have.
    """
    counts = Counter(data.labels or ())
    if option == BALANCED:
        return [counts.total() / (len(labels) * counts[label]) for label in labels]
    given: dict[str, Any] = json.loads(option)
    names = [str(label) for label in labels]
    if unknown := [name for name in given if name not in names]:
        raise DataError(
            f"{named('class_weight')} names label {unknown[0]!r}, which is not in the data: {', '.join(names)}."
        )
    weights = [given.get(name, 1.0) for name in names]
    mean = sum(weight * counts[label] for weight, label in zip(weights, labels, strict=True)) / counts.total()
    return [weight / mean for weight in weights]
