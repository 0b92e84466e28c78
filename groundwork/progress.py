"""Progress with rate and time left: one bar on a terminal, else a status line every few seconds."""

import sys
import time
from types import TracebackType
from typing import Self, TextIO

STATUS_EVERY_S = 5.0
BAR_EVERY_S = 0.2
BAR_WIDTH = 24


class Progress:
    """Counts `unit`s up to `total`. Writes to stderr; use as a context manager so that its last line is written.

    A terminal gets one line that is drawn again; anything else gets a line of its own every five seconds:
    `frames: 12000 of 45000, 210 a second, 2 min left`.
    """

    def __init__(self, unit: str, total: int, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self.unit, self.total, self.done = unit, total, 0
        self._quiet = quiet
        self._stream = stream or sys.stderr
        self._bar = self._stream.isatty()
        self._started = self._shown = time.monotonic()
        self._skipped = 0

    def skip(self, count: int) -> None:
        """Count work that an earlier run had done: it does not enter the rate."""
        self.done += count
        self._skipped += count

    def advance(self, count: int = 1, note: str = "") -> None:
        """Count `count` more as done; `note` (a loss, a name) ends the line when one is due."""
        self.done += count
        now = time.monotonic()
        if now - self._shown >= (BAR_EVERY_S if self._bar else STATUS_EVERY_S):
            self._shown = now
            self._show(self._line(now) + (f", {note}" if note else ""))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        elapsed_s = time.monotonic() - self._started
        self._show(f"{self.unit}: {self.done} of {self.total}, {duration(elapsed_s)}")
        if self._bar and not self._quiet:
            self._stream.write("\n")

    def _line(self, now: float) -> str:
        rate = (self.done - self._skipped) / max(now - self._started, 1e-9)
        left = f", {duration((self.total - self.done) / rate)} left" if rate > 0 else ""
        return f"{self.unit}: {self.done} of {self.total}, {rate:.3g} a second{left}"

    def _show(self, line: str) -> None:
        if self._quiet:
            return
        if self._bar:
            filled = BAR_WIDTH * self.done // max(self.total, 1)
            bar = "#" * filled + "." * (BAR_WIDTH - filled)
            self._stream.write(f"\r[{bar}] {line}\x1b[K")
        else:
            self._stream.write(line + "\n")
        self._stream.flush()


def duration(seconds: float) -> str:
    """Plain words for a length of time: `45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
