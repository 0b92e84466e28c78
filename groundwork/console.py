"""How a command prints and stops: control characters are escaped, any encoding and closed streams work, and signals
end the command cleanly.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn, TextIO

from groundwork.pages.cells import printable

LONGEST_LINE = 2000  # characters of one message; the middle of a longer one is left out
_IGNORE_SIGNALS_S = 5.0  # after a first signal, so that a second one does not interrupt the removal of partial files
_STREAMS = ("stdin", "stdout", "stderr")


class Stopped(KeyboardInterrupt):
    """The command was asked to stop, by Ctrl-C or by another signal; `status` is the exit status to return."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def printable_line(text: str) -> str:
    """A message as one line that is safe to print: control characters escaped, a very long one shortened."""
    if len(text) > LONGEST_LINE:
        half = LONGEST_LINE // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return printable(text)


def say(line: str, *, to: TextIO | None = None) -> None:
    """Print one line on standard output or `to`, and flush; control characters are escaped."""
    print(printable_line(line), file=to or sys.stdout, flush=True)


def say_text(text: str, *, to: TextIO | None = None) -> None:
    """Print several lines, with control characters escaped (see `printable`), and a newline at the end."""
    print("\n".join(map(printable, text.removesuffix("\n").split("\n"))), file=to or sys.stdout, flush=True)


@contextmanager
def command_streams() -> Iterator[None]:
    """Prepare the standard streams and the signal handlers for a command that runs in the block.

    A closed stream is replaced by the null device, so that no file the command opens becomes a standard stream.
    Characters that a stream's encoding lacks are escaped. Ctrl-C, SIGTERM and SIGHUP raise `Stopped`; further signals
    are ignored for a few seconds, so that the command can remove partial files.
    """
    for number, name in enumerate(_STREAMS):
        _open_null_if_closed(number, name)
    before = []
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            before.append((stream, stream.errors))
            stream.reconfigure(errors="backslashreplace")
    try:
        with _stopped_by_signals():
            yield
    finally:
        for stream, errors in before:
            with suppress(ValueError, OSError):  # closed in the meantime, or its buffer can't be written
                stream.reconfigure(errors=errors)


def start_in_utf8() -> None:
    """Restart this program in Python's UTF-8 mode if the locale is ASCII-only and that mode is off: otherwise no file
    with a non-ASCII name could be named. Call this before anything else."""
    if os.name == "posix" and sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})


def _open_null_if_closed(number: int, name: str) -> None:
    try:
        os.fstat(number)
    except OSError:
        nowhere = os.open(os.devnull, os.O_RDONLY if number == 0 else os.O_WRONLY)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
        os.set_inheritable(number, True)
    if getattr(sys, name) is None:
        mode = "r" if number == 0 else "w"
        setattr(sys, name, open(number, mode, encoding="utf-8", errors="backslashreplace", closefd=False))  # noqa: SIM115


@contextmanager
def _stopped_by_signals() -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    process, last_s = os.getpid(), -_IGNORE_SIGNALS_S

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal last_s
        if os.getpid() != process:  # a fork of this process, which has no partial files
            _end_by(number)
        if time.monotonic() - last_s >= _IGNORE_SIGNALS_S:
            last_s = time.monotonic()
            raise Stopped(number)

    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, stop)  # an ignored signal stays ignored, as `nohup` wants
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_by(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
