"""What a command line prints: names and messages that steer no terminal, in whatever encoding it has, on streams that
may be closed; and how a command stops when it is asked to.
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

LONGEST_LINE = 2000  # characters of one message: the middle of a longer one is left out
_AGAIN_S = 5.0  # a second signal that comes earlier does not disturb what the first one began: taking away what is half
_STREAMS = ("stdin", "stdout", "stderr")


class Stopped(KeyboardInterrupt):
    """The command was asked to stop, by Ctrl-C or by another signal; `status` is the exit status that says so."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.status = 128 + number


def printable_line(text: str) -> str:
    """A message with names in it on one line, fit for a terminal, its middle left out if it is very long."""
    if len(text) > LONGEST_LINE:
        half = LONGEST_LINE // 2
        text = f"{text[:half]} ... {text[-half:]}"
    return printable(text)


def say(line: str, *, to: TextIO | None = None) -> None:
    """Print one line at once, on standard output or `to`: names in it may hold anything."""
    print(printable_line(line), file=to or sys.stdout, flush=True)


def say_text(text: str, *, to: TextIO | None = None) -> None:
    """Print several lines, with control characters escaped (see `printable`), and a newline at the end."""
    print("\n".join(map(printable, text.removesuffix("\n").split("\n"))), file=to or sys.stdout, flush=True)


@contextmanager
def command_streams() -> Iterator[None]:
    """Let a command run while the block lasts, whatever its standard streams are, and stop when it is asked to.

    A stream that is closed leads nowhere: the work goes on, and no file that it opens becomes a standard stream. A name
    that a stream's encoding does not have is spelled out. Ctrl-C, SIGTERM and SIGHUP raise `Stopped`, once: what comes
    in the next seconds does not keep the command from taking away what is half.
    """
    for number, name in enumerate(_STREAMS):
        _lead_nowhere_if_closed(number, name)
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
            with suppress(ValueError, OSError):  # closed meanwhile, or what it holds can't be written
                stream.reconfigure(errors=errors)


def start_in_utf8() -> None:
    """Start this program again in Python's UTF-8 mode where it runs without: in a locale of ASCII alone, with that mode
    turned off, no file whose name is not ASCII could be named. To be called before anything else."""
    if os.name == "posix" and sys.getfilesystemencoding() == "ascii" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], {**os.environ, "PYTHONUTF8": "1"})


def _lead_nowhere_if_closed(number: int, name: str) -> None:
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
    if threading.current_thread() is not threading.main_thread():  # the only one that may set handlers
        yield
        return
    process, last_s = os.getpid(), -_AGAIN_S

    def stop(number: int, _: FrameType | None) -> None:
        nonlocal last_s
        if os.getpid() != process:  # a copy of this process, which has nothing to take away
            _end_by(number)
        if time.monotonic() - last_s >= _AGAIN_S:
            last_s = time.monotonic()
            raise Stopped(number)

    before: dict[int, Any] = {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            before[number] = signal.signal(number, stop)  # one that is ignored stays so, as `nohup` wants it
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_by(number: int) -> NoReturn:
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(128 + number)
