"""A row a frame, as CSV, written as frames are answered: of recorded videos whole or not at all, of a stream live."""

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from groundwork.csv_cells import csv_lines
from groundwork.files import whole_file
from groundwork.targets import Target, flush_printed, target
from orbit_lite.personal.answering.answers import FrameAnswer

# answer: as `answer_text` writes it. object: the object that it names, with or without a "maybe"; empty for none.
COLUMNS = ("video", "frame", "time_s", "answer", "object", "confidence", "likeliest", "familiarity")


class FrameTable:
    """Rows for a binary file, or for none: then they are dropped."""

    def __init__(self, file: BinaryIO | None) -> None:
        """Write the heading."""
        self._file = file
        self._write([COLUMNS])

    def add(self, video: str, answers: Iterable[FrameAnswer]) -> None:
        """Write a row for each answer."""
        self._write(_cells(video, answer) for answer in answers)

    @contextmanager
    def whole_video(self) -> Iterator[None]:
        """Take back the rows that the block wrote if it ends with an error: damage may show at a video's end only."""
        start = self._file.tell() if self._file else 0
        try:
            yield
        except BaseException:
            if self._file:
                self._file.seek(start)
                self._file.truncate()
            raise

    def _write(self, rows: Iterable[Sequence[object]]) -> None:
        if self._file:
            self._file.write(csv_lines(rows).encode())


@contextmanager
def whole_table(path: Path | None) -> Iterator[FrameTable]:
    """A table that takes `path`'s place when the block ends without an error."""
    if path is None:
        yield FrameTable(None)
        return
    with whole_file(path) as file:
        yield FrameTable(file)


@contextmanager
def live_table(path: Path | None) -> Iterator[FrameTable]:
    """A table for a stream, which may have no end: written at its place, a line in one go, so that it can be followed
    while it grows, and holds every answer given so far, however the stream ends. It replaces what stood there; a device
    or a pipe gets the lines as they come."""
    if path is None:
        yield FrameTable(None)
        return
    leads = target(path)
    if not leads.stream:
        leads.path.parent.mkdir(parents=True, exist_ok=True)
    flush_printed()
    with _WholeLines(leads, path) as file:
        yield FrameTable(file)


class _WholeLines(io.FileIO):
    """Unbuffered; what could not be written to its end, for the disk is full, is taken back, unless it is a pipe."""

    def __init__(self, leads: Target, path: Path) -> None:
        super().__init__(leads.path if leads.descriptor is None else os.dup(leads.descriptor), "w")
        self._path = path

    def write(self, content: Any) -> int:
        start, left = self.tell() if self.seekable() else None, memoryview(content)
        try:
            while left:
                left = left[super().write(left) :]
        except OSError as error:
            if start is not None:
                self.truncate(start)
            error.filename = str(self._path)
            raise
        return len(content)


def _cells(video: str, answer: FrameAnswer) -> list[object]:
    confidence, familiarity = f"{answer.confidence:.4f}", f"{answer.familiarity:.4f}"
    answered = [answer.text, answer.object if answer.known else "", confidence, answer.likeliest, familiarity]
    return [video, answer.frame, f"{answer.time_s:.3f}", *answered]
