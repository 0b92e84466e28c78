"""A table of strings, before any markup: the same cells become plain text, Markdown and HTML."""

import re
from dataclasses import dataclass

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")


@dataclass(frozen=True)
class Table:
    """A table of plain strings. The first column names the row.

    `ends_in_total` if the last row is of all others. A page may shade the cells from column `shaded_from` on, which
    hold percentages, by their value: the shade says nothing that the number doesn't.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    ends_in_total: bool = False
    shaded_from: int | None = None

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Whether each column holds nothing but numbers, and `-` where there is none."""
        cells = [{row[place] for row in self.rows} - {"-"} for place in range(len(self.columns))]
        return tuple(bool(own) and all(map(_NUMBER.fullmatch, own)) for own in cells)
