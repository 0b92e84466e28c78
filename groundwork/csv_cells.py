"""CSV that is safe to open in a spreadsheet: text that looks like a formula is escaped, and unescaped when read.

A spreadsheet takes `=HYPERLINK(...)` for a formula wherever it comes from, and also text that begins with + - @ or a
tab. As OWASP recommends (CSV injection), such a cell gets an apostrophe in front. Text that already has apostrophes
before such a character gets one more, so that `plain_cell` restores every cell. Numbers are not changed.
"""

import csv
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")  # noqa: RUF001  # some spreadsheets narrow the wide characters
_GUARDED = re.compile(rf"'{_FORMULA.pattern}")
_BYTE_ORDER_MARK = "\ufeff"
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|[+-]?(inf|nan)")


def safe_cell(value: object) -> object:
    """A value to write into a cell: text that a spreadsheet would compute gets an apostrophe in front."""
    if isinstance(value, str) and _FORMULA.match(value) and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def plain_cell(text: str) -> str:
    """The text that `safe_cell` was given."""
    return text[1:] if _GUARDED.match(text) else text


def csv_lines(rows: Iterable[Sequence[object]]) -> str:
    """Lines of CSV that end in a plain newline on every system; None gives an empty cell."""
    lines = _Lines()
    csv.writer(lines).writerows([safe_cell(value) for value in row] for row in rows)
    return "".join(lines.written)


class _Lines:
    """Collects the lines of a csv.writer, which quotes a cell with a \\r only if its lines end in \\r\\n."""

    def __init__(self) -> None:
        self.written: list[str] = []

    def write(self, line: str) -> None:
        self.written.append(line.removesuffix("\r\n") + "\n")


class CsvRows:
    """Iterates over the rows of CSV lines and restores each cell that `csv_lines` escaped.

    Iterating raises csv.Error if the text is not CSV.
    """

    def __init__(self, lines: Iterable[str], *, strict: bool = False) -> None:
        """`strict`: a quote in the wrong place is an error."""
        self._rows = csv.reader(lines, strict=strict)

    @property
    def line_num(self) -> int:
        """Number of lines read so far."""
        return self._rows.line_num

    def __iter__(self) -> Iterator[list[str]]:
        return self

    def __next__(self) -> list[str]:
        return [plain_cell(cell) for cell in next(self._rows)]


@contextmanager
def open_csv(path: Path, *, strict: bool = False, any_bytes: bool = False) -> Iterator[CsvRows]:
    """Open a CSV file in UTF-8, with or without the byte order mark that spreadsheets write.

    Args:
        path: the file.
        strict: see CsvRows.
        any_bytes: bytes that are not UTF-8 are kept as surrogates; otherwise they raise UnicodeDecodeError.
    """
    with open_csv_text(path, any_bytes=any_bytes) as file:
        yield CsvRows(file, strict=strict)


def open_csv_text(path: Path, *, any_bytes: bool = False) -> TextIO:
    """Open a CSV file as text after its byte order mark; see `open_csv`."""
    file = path.open(newline="", encoding="utf-8", errors="surrogateescape" if any_bytes else "strict")
    try:
        if file.read(1) != _BYTE_ORDER_MARK:
            file.seek(0)
    except UnicodeDecodeError:
        file.close()
        raise
    return file
