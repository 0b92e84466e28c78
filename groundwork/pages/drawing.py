"""How pictures are drawn: one look, and the same bytes for the same numbers."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, LINE = "#1a1a1a", "#8a2f12"
BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 1.0}  # so that a line crosses no number
LONGEST_NAME = 32  # characters of a name in a picture; the tables have all of it

_WIDTH = 8.0  # inches
_STYLE = {"svg.hashsalt": "orbit", "svg.fonttype": "path", "font.family": "DejaVu Sans"}


@contextmanager
def drawing(*, height: float) -> Iterator[tuple["Axes", io.BytesIO]]:
    """Axes to draw on, `height` inches high; when the block ends, the other has the picture as SVG."""
    with figure_as_svg(width=_WIDTH, height=height) as (figure, content):
        yield figure.add_subplot(), content


@contextmanager
def figure_as_svg(*, width: float, height: float, font_size: int = 10) -> Iterator[tuple["Figure", io.BytesIO]]:
    """A figure for several panels, sizes in inches and points; when the block ends, the other has it as SVG.

    Its alt text stands with it where it is shown: see `blocks.Figure`.
    """
    from matplotlib import style  # here, so that scoring does not wait for matplotlib
    from matplotlib.figure import Figure

    with style.context(["default", _STYLE, {"font.size": font_size}]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")  # a script the font lacks: the tables have the name
        figure = Figure(figsize=(width, height), layout="constrained")
        content = io.BytesIO()
        yield figure, content
        figure.savefig(content, format="svg", metadata={"Date": None, "Creator": None})


def shortened(name: str) -> str:
    """A name that fits beside a picture."""
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"
