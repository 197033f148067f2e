"""Several answers for each row, the most probable one first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastgru.errors import ArgumentError
from fastgru_recipes import read_table
from fastgru_recipes.option_names import given


def ranked(
    keys: pd.DataFrame | None, names: Sequence[Any], shares: NDArray[Any], best: int, answer: str
) -> pd.DataFrame:
    """The `best` answers of each row with their ranks and probabilities.

    Args:
        keys: (N, ...), what tells the rows apart.
        names: the K answers.
        shares: (N, K), their probabilities.
        best: how many of them.
        answer: the column of answers.

    Raises:
        ArgumentError: for more answers than there are.

    Example:
        >>> import numpy as np
        >>> from fastgru_recipes.ranked import ranked
        >>> ranked(None, ["a", "b"], np.array([[0.25, 0.75]]), 2, "label").to_dict("list")
        {'rank': [1, 2], 'label': ['b', 'a'], 'probability': [0.75, 0.25]}
    """
    if best > len(names):
        raise ArgumentError(
            f"{given('best', best)} is more than the {len(names)} values of {answer!r} that were learned."
        )
    order = np.argsort(-shares, axis=1, kind="stable")[:, :best]
    found = {
        "rank": np.tile(np.arange(1, best + 1), len(shares)),
        answer: [names[index] for index in order.ravel().tolist()],
        "probability": np.take_along_axis(shares, order, 1).ravel(),
    }
    repeated = None if keys is None else keys.loc[keys.index.repeat(best)]
    return read_table.beside(repeated, pd.DataFrame(found))
