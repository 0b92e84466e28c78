"""Progress of long work, reported to a listener. A library call shows nothing by itself.

with progress_to(StatusLines(sys.stderr)):  # or a function of your own
    extract(raw, out)
"""

import math
import os
import time
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from groundwork.pages.cells import printable

STATUS_EVERY_S = 5.0
BAR_EVERY_S = 0.2
BAR_WIDTH = 24


@dataclass(frozen=True)
class ProgressReport:
    """How far a piece of work is.

    Attributes:
        unit: what is counted, such as `frames`.
        done, total: how many; `skipped` of the done ones were done by an earlier run.
        elapsed_s: seconds since the work began.
        note: such as the latest loss, or a name; "" for none.
        ended: whether this is the last report; an error may have ended the work early.
    """

    unit: str
    done: int
    total: int
    skipped: int
    elapsed_s: float
    note: str
    ended: bool

    def __str__(self) -> str:
        """`frames: 12000 of 45000, 210 a second, 2 min left`; the last report says how long it took."""
        if self.ended:
            return f"{self.unit}: {self.done} of {self.total}, {duration(self.elapsed_s)}"
        rate = (self.done - self.skipped) / max(self.elapsed_s, 1e-9)
        left = f", {duration((self.total - self.done) / rate)} left" if rate > 0 else ""
        note = f", {self.note}" if self.note else ""
        return f"{self.unit}: {self.done} of {self.total}, {rate:.3g} a second{left}{note}"


class ProgressListener(Protocol):
    """Called at each step of the work and once at its end, often, in the thread that does the work.

    An exception that it raises ends the work: that is how to cancel a call.
    """

    def __call__(self, report: ProgressReport, /) -> None:
        """Receive a report."""
        ...


_listener: ContextVar[ProgressListener | None] = ContextVar("progress_listener", default=None)


@contextmanager
def progress_to(listener: ProgressListener | None) -> Iterator[None]:
    """Send progress reports of all work in the block to `listener`; None for silence."""
    before = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(before)


class Progress:
    """Counts `unit`s up to `total` and reports to the listener of `progress_to`. Use it as a context manager."""

    def __init__(self, unit: str, total: int, *, quiet: bool = False) -> None:
        self.unit, self.total, self.done = unit, total, 0
        self._listener = None if quiet else _listener.get()
        self._started_s = time.monotonic()
        self._skipped = 0

    def skip(self, count: int) -> None:
        """Count work that an earlier run did; it is left out of the rate."""
        self.done += count
        self._skipped += count

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done, with a note such as a loss or a name."""
        self.done += count
        self._report(note)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._report("", ended=True)

    def _report(self, note: str, *, ended: bool = False) -> None:
        if self._listener is not None:
            elapsed_s = time.monotonic() - self._started_s
            self._listener(ProgressReport(self.unit, self.done, self.total, self._skipped, elapsed_s, note, ended))


class StatusLines:
    """Progress as text: on a terminal, one line with a bar that is redrawn; anywhere else, a line every five seconds
    and one at the end."""

    def __init__(self, stream: TextIO) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._bar = stream.isatty()
        self._shown_s = -math.inf
        self._drawn = False

    def __call__(self, report: ProgressReport, /) -> None:
        """See ProgressListener."""
        now_s, every_s = time.monotonic(), BAR_EVERY_S if self._bar else STATUS_EVERY_S
        if not report.ended and (report.elapsed_s < every_s or now_s - self._shown_s < every_s):
            return
        self._shown_s = now_s
        if self._bar:
            line = _bar_line(report, self._columns())
            self._stream.write(f"\r{line}\x1b[K" + ("\n" if report.ended else ""))
            self._drawn = not report.ended
        else:
            self._stream.write(f"{printable(str(report))}\n")
        self._stream.flush()

    def _columns(self) -> int | None:
        """The current width of the terminal; None if it is unknown."""
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or None
        except (OSError, ValueError):
            return None

    def clear(self) -> None:
        """Erase the bar, to make room for another line."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._drawn = False


def _bar_line(report: ProgressReport, columns: int | None) -> str:
    """A bar and the report, or the report alone, cut off before the terminal's last column: a longer line would wrap
    and could not be redrawn."""
    filled = BAR_WIDTH * report.done // max(report.total, 1)
    bar, text = "#" * filled + "." * (BAR_WIDTH - filled), printable(str(report))
    if columns is None or BAR_WIDTH + len("[] ") + _cells(text) < columns:
        return f"[{bar}] {text}"
    while text and _cells(text) >= columns:
        text = text[:-1]
    return text


def _cells(text: str) -> int:
    """The number of terminal columns that a text takes: East Asian wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


def duration(seconds: float) -> str:
    """A duration in words: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
