"""Options of recipes that say how files are written."""

from __future__ import annotations

from dataclasses import dataclass

from fastgru_recipes.numerals import Decimal
from fastgru_recipes.read_table import TableFormat
from fastgru_recipes.recipe import option


@dataclass(frozen=True, kw_only=True)
class TextOptions:
    """The option of recipes that read texts."""

    encoding: str = option("utf-8", "Encoding of the files, such as utf-8, cp1252 (Western Windows) or utf-16.")


@dataclass(frozen=True, kw_only=True)
class TableOptions(TextOptions):
    """The options of recipes that read tables."""

    separator: str = option("", "Separator of columns, such as ';', tab or space. Default: found from the file.")
    decimal: Decimal = option(
        "auto", "Decimal separator: a comma, as in 1.234,5 and 1 234,5, or a point. Default: a point, if not in doubt."
    )
    sheet: str = option("", "Sheet of an Excel file, by name or by number from 1. Default: the only one.")

    @property
    def table_format(self) -> TableFormat:
        """The format of tables."""
        return TableFormat(self.separator, self.decimal, self.encoding, self.sheet)
