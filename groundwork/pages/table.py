"""A table before any markup; `printing` turns it into text, Markdown, HTML and CSV."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from groundwork.pages.cells import MISSING, printable, shown

Side = Literal["left", "right"]

_NUMBER = re.compile(r"[+-]?[0-9]+(,[0-9]{3})*(\.[0-9]+)?")


@dataclass(frozen=True)
class Column:
    """One column of a table.

    Attributes:
        heading: the text above it.
        shown: turns a value into text. A CSV file has the value itself.
        side: how its cells are aligned; None: numbers to the right, words to the left.
        name: its heading in a CSV file; "" if that is the same.
    """

    heading: str
    shown: Callable[[Any], str] = shown
    side: Side | None = None
    name: str = ""


Columns = tuple[str | Column, ...]


@dataclass(frozen=True)
class Table:
    """A table of values; the first column names the row.

    Names that someone else chose may be passed as they are: control characters are escaped, see `printable`.

    Attributes:
        caption: a description of the table.
        columns: one for each value of a row; a string is the heading of a column whose values are shown as they are.
        rows: the values.
        ends_in_total: whether the last row summarizes all others.
        shaded_from: from this column on, the cells are percentages, which a page may shade by their value; the shade
            adds nothing to the number.
        confusion: whether these cells are a confusion matrix: its diagonal gets another color than the errors.

    Raises:
        ValueError: if a row has more or fewer values than there are columns.
    """

    caption: str
    columns: Columns
    rows: tuple[tuple[object, ...], ...]
    ends_in_total: bool = False
    shaded_from: int | None = None
    confusion: bool = False

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{self.caption}: {len(row)} values in a row, {len(self.columns)} columns: {row}")

    @cached_property
    def heads(self) -> tuple[Column, ...]:
        """The columns."""
        return tuple(Column(column) if isinstance(column, str) else column for column in self.columns)

    @cached_property
    def headings(self) -> tuple[str, ...]:
        """The text above the columns."""
        return tuple(printable(column.heading) for column in self.heads)

    @cached_property
    def cells(self) -> tuple[tuple[str, ...], ...]:
        """The rows as text."""
        return tuple(
            tuple(printable(column.shown(value)) for column, value in zip(self.heads, row, strict=True))
            for row in self.rows
        )

    def is_same(self, row: Sequence[str], place: int) -> bool:
        """Whether a cell is on the diagonal of a confusion matrix."""
        return self.confusion and self.headings[place] == row[0]

    @cached_property
    def to_the_right(self) -> tuple[bool, ...]:
        """Whether each column is aligned to the right: as its `side` says, or if all cells are numbers or `-`, and not
        all are `-`."""
        return tuple(
            _all_numbers({row[place] for row in self.cells}) if column.side is None else column.side == "right"
            for place, column in enumerate(self.heads)
        )


def _all_numbers(cells: set[str]) -> bool:
    known = cells - {MISSING}
    return bool(known) and all(map(_NUMBER.fullmatch, known))
