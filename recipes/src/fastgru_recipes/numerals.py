"""Numbers as spreadsheets of many countries write them: 1234.5, 1.234,5, 1 234,5, 1'234.5, 1,234.50."""

from __future__ import annotations

import re
from typing import Literal

import numpy as np
import pandas as pd
from pandas.api.types import is_numeric_dtype

Decimal = Literal[".", ","]
SPACES = " \u00a0\u2009\u202f"  # also the thin and the non-breaking ones that French spreadsheets write
MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")  # in small letters
MINUS = "\u2212"  # a typographic minus
GROUPED = r"[+-]?\d{{1,3}}(?P<mark>[{marks}])\d{{3}}(?:(?P=mark)\d{{3}})*(?:{point}\d*)?"
BOTH = re.compile(r"[+-]?\d{1,3}(,\d{3})+\.\d+")
PLAIN = r"[+-]?(?:\d+(?:{point}\d*)?|{point}\d+)(?:[eE][+-]?\d+)?"


def parsed(column: pd.Series, decimal: Decimal) -> pd.Series:
    r"""A column of texts with the numbers in it as floats. All other values stay as they are.

    Thousands may be grouped by spaces or apostrophes; by points if the decimal separator is a comma. If it is a point,
    commas group thousands only if some number of the column has both, because 1,234 alone may be either.

    Args:
        column: (N,), of any dtype.
        decimal: the decimal separator, "." or ",".

    Returns:
        A column of float64 if all values are numbers or missing, and of objects otherwise.

    Example:
        >>> import pandas as pd
        >>> from fastgru_recipes.numerals import parsed
        >>> parsed(pd.Series(["1.234,5", "1\u202f234,5", "-0,5", "7"]), ",").tolist()
        [1234.5, 1234.5, -0.5, 7.0]
        >>> parsed(pd.Series(["1,234.50", "999", "n/a"]), ".").tolist()
        [1234.5, 999.0, 'n/a']
    """
    if is_numeric_dtype(column):
        return column
    texts = [str(value).strip(SPACES).replace(MINUS, "-") for value in column]
    marks = f"{SPACES}'\u2019"
    if decimal == ",":
        marks += "."
    elif any(BOTH.fullmatch(text) for text in texts):
        marks += ","
    written = re.compile("|".join(form.format(marks=marks, point=re.escape(decimal)) for form in (GROUPED, PLAIN)))
    is_number = np.array([bool(written.fullmatch(text)) for text in texts], bool)
    bare = str.maketrans(decimal, ".", marks)
    numbers = [float(text.translate(bare)) if fits else np.nan for text, fits in zip(texts, is_number, strict=True)]
    found = pd.Series(numbers, column.index, dtype="float64", name=column.name)
    if (column.isna() | is_number).all():
        return found
    return found.astype(object).where(is_number, column.astype(object))


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
        ' If its decimal separator is a comma, give that (--decimal ,).'
    """
    if isinstance(text, str) and "," in text and is_numeric_dtype(parsed(pd.Series([text]), ",")):
        return " If its decimal separator is a comma, give that (--decimal ,)."
    return ""
