"""Numbers as spreadsheets of many countries write them: 1234.5, 1.234,5, 1 234,5, 1'234.5, 1,234.50."""

from __future__ import annotations

import operator
import re
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

from fastgru_recipes.option_names import given

Decimal = Literal["auto", ".", ","]  # "auto" is a point where that is not in doubt
SPACES = " \u00a0\u2009\u202f"  # also the thin and the non-breaking ones that French spreadsheets write
MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")  # in small letters
MINUS = "\u2212"  # a typographic minus
GROUPED = r"[+-]?\d{{1,3}}(?P<mark>[{marks}])\d{{3}}(?:(?P=mark)\d{{3}})*(?:{point}\d*)?"
BOTH = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+")
PLAIN = r"[+-]?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"
# 5 %, 5kg, $5.50: a number with a few other characters before or after it.
WITH_UNIT = re.compile(r"[^\d\s.,'\-]{1,4} ?-?\d[\d.,' ]*|-?\d[\d.,' ]*[^\d\s.,'\-]{1,6}")


def parsed(column: pd.Series, decimal: Decimal) -> pd.Series:
    r"""A column of texts with the numbers in it as floats. All other values stay as they are.

    Thousands may be grouped by spaces or apostrophes; by points if the decimal separator is a comma, and by commas if
    it is a point. With "auto" commas do so only if some number of the column has both: 1,234 alone may be either.

    Args:
        column: (N,), of any dtype.
        decimal: the decimal separator.

    Returns:
        A column of float64 if all values are numbers or missing, and of objects otherwise.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.numerals import parsed
        >>> parsed(pd.Series(["1.234,5", "1\u202f234,5", "-0,5", "7"]), ",").tolist()
        [1234.5, 1234.5, -0.5, 7.0]
        >>> parsed(pd.Series(["1,234.50", "999", "n/a"]), "auto").tolist()
        [1234.5, 999.0, 'n/a']
    """
    if is_numeric_dtype(column):
        return column
    texts = [str(value).strip(SPACES).replace(MINUS, "-") for value in column]
    marks = f"{SPACES}'\u2019"
    if decimal == ",":
        marks += "."
    elif decimal == "." or any(BOTH.fullmatch(text) for text in texts):
        marks += ","
    point = "," if decimal == "," else "."
    written = re.compile("|".join(form.format(marks=marks, point=re.escape(point)) for form in (GROUPED, PLAIN)))
    is_number = np.array([bool(written.fullmatch(text)) for text in texts], bool)
    bare = str.maketrans(point, ".", marks)
    numbers = [float(text.translate(bare)) if fits else np.nan for text, fits in zip(texts, is_number, strict=True)]
    found = pd.Series(numbers, column.index, dtype="float64", name=column.name)
    if (column.isna() | is_number).all():
        return found
    return found.astype(object).where(is_number, column.astype(object))


def in_doubt(column: pd.Series, may_be_fixed: bool) -> int | None:
    """The place of a number in which a point may group thousands as well as separate decimals; None if there is none.

    That is so if each number of a column has at most three digits, or three after a point as well, such as 987 and
    1.234. Numbers that all have three decimals are not in doubt if `may_be_fixed`, nor is a column with 0.123.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.numerals import in_doubt
        >>> in_doubt(pd.Series(["987", "1.234"]), True), in_doubt(pd.Series(["0.987", "1.234"]), True)
        (1, None)
    """
    texts = [str(value).strip(SPACES).replace(MINUS, "-") for value in column[column.notna()]]
    with_point = [bool(re.fullmatch(r"[+-]?[1-9]\d{0,2}\.\d{3}", text)) for text in texts]
    whole = [bool(re.fullmatch(r"[+-]?\d{1,3}", text)) for text in texts]
    if not any(with_point) or not all(map(operator.or_, with_point, whole)) or (may_be_fixed and not any(whole)):
        return None
    return int(np.flatnonzero(column.notna())[with_point.index(True)])


def is_missing(column: pd.Series) -> pd.Series:
    """Which values of a column of numbers are missing: those that pandas has no value for, and texts that say so.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.numerals import is_missing
        >>> is_missing(pd.Series([1.0, None, "N/A", "x"])).tolist()
        [False, True, True, False]
    """
    said = [isinstance(value, str) and value.strip(SPACES).casefold() in MISSING for value in column]
    return column.isna() | pd.Series(said, column.index, dtype=bool)


def remedy(text: object) -> str:
    """What to do about a text that is not a number: a sentence with a space before it, or "".

    Example:
        >>> from fastgru_recipes.numerals import remedy
        >>> remedy("1.234,5")
        " If its decimal separator is a comma, give that: decimal=','."
    """
    if isinstance(text, str) and "," in text and is_numeric_dtype(parsed(pd.Series([text]), ",")):
        return f" If its decimal separator is a comma, give that: {given('decimal', ',')}."
    if isinstance(text, str) and WITH_UNIT.fullmatch(text.strip()):
        return " Write the number alone, without a unit."
    return ""
