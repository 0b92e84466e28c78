"""CSV tables with one row per frame. For recorded videos the file appears complete or not at all; for a stream it grows
while frames are answered."""

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

# answer: as `answer_text` writes it. object: the object that the answer names, with or without "maybe"; else empty.
COLUMNS = ("video", "frame", "time_s", "answer", "object", "confidence", "likeliest", "familiarity")


class FrameTable:
    """Writes rows to a binary file; without a file, drops them."""

    def __init__(self, file: BinaryIO | None) -> None:
        """Write the heading."""
        self._file = file
        self._write([COLUMNS])

    def add(self, video: str, answers: Iterable[FrameAnswer]) -> None:
        """Write a row for each answer."""
        self._write(_cells(video, answer) for answer in answers)

    @contextmanager
    def whole_video(self) -> Iterator[None]:
        """Remove the rows written in the block if it raises: a video's damage may show only at its end."""
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
    """A table that replaces `path` if the block ends without an error."""
    if path is None:
        yield FrameTable(None)
        return
    with whole_file(path) as file:
        yield FrameTable(file)


@contextmanager
def live_table(path: Path | None) -> Iterator[FrameTable]:
    """A table for a stream, which may never end. It is written directly to `path`, one whole line at a time, so that
    readers can follow it and it holds every answer given, no matter how the stream ends. It replaces an older file; a
    device or a pipe gets the lines as they come."""
    if path is None:
        yield FrameTable(None)
        return
    destination = target(path)
    if not destination.stream:
        destination.path.parent.mkdir(parents=True, exist_ok=True)
    flush_printed()
    with _WholeLines(destination, path) as file:
        yield FrameTable(file)


class _WholeLines(io.FileIO):
    """Unbuffered. A line that can't be written completely, because the disk is full, is removed again; a pipe keeps
    the part."""

    def __init__(self, destination: Target, path: Path) -> None:
        super().__init__(destination.path if destination.descriptor is None else os.dup(destination.descriptor), "w")
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
