"""What all plots share: titles, letters of any script, and writing."""

from __future__ import annotations

import textwrap
import warnings
from pathlib import Path

from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from fastgru.atomic_files import atomic_write

# Matplotlib's own font has no Chinese, Japanese or Korean; the first of these that is installed has.
FONTS = (
    *("DejaVu Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei"),
    *("WenQuanYi Micro Hei", "Microsoft YaHei", "SimHei", "PingFang SC", "Hiragino Sans", "Arial Unicode MS"),
)
LETTERS_PER_INCH = 13  # of a title
SEEN = {" ": "␣", "\n": "⏎", "\t": "⇥"}  # letters that would not be seen
LONGEST_NAME = 24  # letters of a label or series on an axis


def titled(figure: Figure, title: str) -> Figure:
    r"""The figure with a title, in several lines if it is long. Call it last: the width must be final.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from fastgru_recipes.plots.figures import titled
        >>> titled(Figure(figsize=(2, 2)), "losses of each epoch, and the one kept").get_suptitle()
        'losses of each epoch, and\nthe one kept'
    """
    width = max(20, int(figure.get_figwidth() * LETTERS_PER_INCH))
    figure.suptitle("\n".join(textwrap.wrap(title, width)), fontsize="medium")
    return figure


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """A legend of the lines of `axes`, below all axes of the figure."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, ncols=columns)


def short(name: str) -> str:
    """A name that is not longer than an axis has room for."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def visible(token: str) -> str:
    """A token with signs for spaces and ends of lines."""
    return "".join(SEEN.get(letter, letter) for letter in token)


def save(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG, atomically. Letters without a font are drawn as boxes, and $a$ is not a formula."""
    path.parent.mkdir(parents=True, exist_ok=True)
    installed = set(font_manager.get_font_names())
    for text in figure.findobj(Text):
        text.set_fontfamily([name for name in FONTS if name in installed])
        text.set_parse_math(False)
    with atomic_write(path) as partial, warnings.catch_warnings():
        for words in ("Glyph .* missing from", "constrained_layout not applied"):  # the latter if there is no room
            warnings.filterwarnings("ignore", message=words)
        figure.savefig(partial, dpi=120)
