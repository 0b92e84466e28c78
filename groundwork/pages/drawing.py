"""How pictures are drawn: in one style, with the same bytes for the same numbers."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from textwrap import wrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, LINE = "#1a1a1a", "#8a2f12"
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # behind a number, so that no line crosses it
LONGEST_NAME = 22  # characters of a name in a picture; the tables have the whole name

# A page 400 px wide shows a picture at three quarters of its size: letters are 11 px high, and 18 on a wide screen.
_WIDTH = 5.0  # inches
_FONT_SIZE = 11
_TITLE_LETTERS = 56  # that fit on a line
_STYLE = {"svg.hashsalt": "orbit", "svg.fonttype": "path", "font.family": "DejaVu Sans"}


@contextmanager
def drawing(*, height: float) -> Iterator[tuple["Axes", io.BytesIO]]:
    """Axes to draw on, `height` inches high, and a buffer that has the picture as SVG when the block ends."""
    with figure_as_svg(width=_WIDTH, height=height, font_size=_FONT_SIZE) as (figure, content):
        yield figure.add_subplot(), content


@contextmanager
def figure_as_svg(*, width: float, height: float, font_size: int = 10) -> Iterator[tuple["Figure", io.BytesIO]]:
    """A figure for several panels, and a buffer that has it as SVG when the block ends. Sizes in inches and points.

    `blocks.Figure` holds its alt text.
    """
    from matplotlib import style  # imported here, so that scoring does not load matplotlib
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE, {"font.size": font_size}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # the font lacks a script; the tables have the name
        figure = Figure(figsize=(width, height), layout="constrained")
        content = io.BytesIO()
        yield figure, content
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})


def add_title(axes: "Axes", text: str, *, color: str = INK) -> None:
    """Put a sentence above a picture, in as many lines as it takes."""
    lines = [line for part in text.split("\n") for line in wrap(part, _TITLE_LETTERS)]
    # The title spans the whole picture: names of any length stand to the left of the axes.
    axes.figure.suptitle("\n".join(lines), x=0.01, ha="left", color=color, fontsize=_FONT_SIZE, parse_math=False)


def shortened(name: str) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
