"""CSV that people open in a spreadsheet: a name that begins as a formula does is written as text, and read as it was.

A spreadsheet takes `=HYPERLINK(...)` for a formula wherever it comes from, and so what begins with + - @ or a tab. As
OWASP says (CSV injection), such a cell gets an apostrophe before it. One that has apostrophes before such a beginning
gets one more, so that `plain_cell` gives every cell back. Numbers are no formulas and stay.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001  # the wide ones, too: some spreadsheets narrow them
_GUARDED = re.compile(rf"'{_FORMULA.pattern}")
_MARK = "\ufeff"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)")


def safe_cell(value: object) -> object:
    """A value as a cell has it: text that a spreadsheet would compute gets an apostrophe before it."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def plain_cell(text: str) -> str:
    """The text that `safe_cell` made a cell of."""
    return text[1:] if _GUARDED.match(text) else text


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV, ending in a newline alone on every system; None gives an empty cell."""
    lines = _Lines()
    csv.writer(lines).writerows([safe_cell(value) for value in row] for row in rows)
    return "".join(lines.written)


class _Lines:
    """Takes lines from a writer that ends them in \\r\\n: only then does it put a cell with a \\r into quotes."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix("\r\n") + "\n")


class CsvRows:
    """The rows of lines of CSV, each cell as it was given to `csv_lines`; `line_num` lines have been read so far.

    Iterating raises csv.Error where the text is no CSV.
    """

    def __init__(self, lines: Iterable[str], *, strict: bool = False) -> None:
        """`strict`: quotes in the wrong place are errors."""
        self._rows = csv.reader(lines, strict=strict)

    @property
    def line_num(self) -> int:
        """Lines read so far."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return [plain_cell(cell) for cell in next(self._rows)]


@contextmanager
def open_csv(path: Path, *, strict: bool = False, any_bytes: bool = False) -> Iterator[CsvRows]:
    """Open a CSV file in UTF-8, with or without the mark that spreadsheets put at its beginning.

    Args:
        path: the file.
        strict: see CsvRows.
        any_bytes: bytes that are no UTF-8 are kept, as surrogates; else they raise UnicodeDecodeError.
    """
    with open_csv_text(path, any_bytes=any_bytes) as file:
        yield CsvRows(file, strict=strict)


def open_csv_text(path: Path, *, any_bytes: bool = False) -> TextIO:
    """The text of a CSV file behind the mark, see `open_csv`."""
    file = path.open(newline="", encoding="utf-8", errors="surrogateescape" if any_bytes else "strict")
    try:
        if file.read(1) != _MARK:
            file.seek(0)
    except UnicodeDecodeError:
        file.close()
        raise
    return file
