"""Categories of series: as texts in a table, as numbers for the network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fastgru_recipes import numerals
from fastgru_recipes.errors import DataError
from fastgru_recipes.forecast.series_columns import Categorical
from fastgru_recipes.option_names import named

OTHER = 0  # the code of a category that training did not have


def read(rows: pd.DataFrame, columns: Sequence[Categorical], count: int, where: str) -> NDArray[np.str_]:
    """The categories (T + future rows, C) of a series. Static ones are the same in all rows.

    Args:
        rows: the rows of a series; its index has the line numbers.
        columns: the columns of categories.
        count: the number of rows with values, T.
        where: the file and the series, for messages.

    Raises:
        DataError: for a category that is missing, or a static one that changes.
    """
    found = np.full((len(rows), len(columns)), "", dtype=object)
    for place, (name, known) in enumerate(columns):
        needed = rows[name] if known == "ahead" else rows[name].iloc[:count]
        is_missing = numerals.is_missing(needed)
        if (bad := needed.index[is_missing]).size:
            raise DataError(f"{where}, line {bad[0]}, column {name!r}: the category is missing. Fill it in.")
        texts = _texts(needed)
        if known == "static" and (bad := np.flatnonzero(texts != texts[0])).size:
            raise DataError(
                f"{where}, line {rows.index[bad[0]]}, column {name!r}: the category changes from {texts[0]!r} to "
                f"{texts[bad[0]]!r}, but each series has one. Name the column in {named('covariates')} too if it is "
                f"known up to the present, or in {named('known')} if it is known in advance."
            )
        found[: len(texts), place] = texts
        if known == "static":
            found[:, place] = texts[0]
    return found.astype(str)


def _texts(column: pd.Series) -> NDArray[np.object_]:
    """Categories as texts. Whole numbers have no decimals, which a column gets if some of its values are missing."""
    whole = [int(each) if isinstance(each, float) and each.is_integer() else each for each in column]
    return np.array([str(each).strip() for each in whole], dtype=object)


def learned(columns: Sequence[Categorical], tables: Iterable[NDArray[np.str_]]) -> dict[str, list[str]]:
    """The values of each column in all series, sorted."""
    whole = np.concatenate([*tables])
    return {each.name: sorted(map(str, {*whole[:, place]})) for place, each in enumerate(columns)}


def codes(categories: NDArray[np.str_], known: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """Categories (T, C) as numbers from 1, or 0 for those that training did not have.

    Example:
        >>> import numpy as np
        >>> from fastgru_recipes.forecast.categories import codes
        >>> codes(np.array([["b"], ["a"], ["c"]]), {"letter": ["a", "b"]}).ravel().tolist()
        [2.0, 1.0, 0.0]
    """
    found = np.zeros(categories.shape)
    for place, values in enumerate(known.values()):
        code = {value: number for number, value in enumerate(values, OTHER + 1)}
        found[:, place] = [code.get(each, OTHER) for each in categories[:, place]]
    return found
