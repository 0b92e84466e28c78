"""What a command line shows of the kit's reports. A library call reports to `logging` alone, and shows nothing.

Each floor has one logger, of its name: debug for details, info for the stages of long work, warning for what a user may
want to look at, error for what failed while the rest was done.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum

from groundwork.console import printable_line
from groundwork.progress import StatusLines, progress_to

FLOORS = ("groundwork", "data_prep", "orbit_lite", "eval")


class Verbosity(Enum):
    """How much a command line shows beside its results; the value is the lowest level of `logging`."""

    QUIET = logging.ERROR
    NORMAL = logging.INFO
    VERBOSE = logging.DEBUG


def report_failed(logger: logging.Logger, what: str, error: Exception | None) -> None:
    """Report that one of several items failed; `what` names it and says why. Where the error comes from is a detail."""
    logger.error("failed: %s", what)
    if error is not None:
        logger.debug("where that comes from:", exc_info=error)


@contextmanager
def reports_shown(verbosity: Verbosity = Verbosity.NORMAL) -> Iterator[None]:
    """Show the floors' reports and progress on stderr while the block runs: plain lines, without time or level.

    Where a line came from an exception, and VERBOSE is asked for, its traceback is shown, too. Afterwards the loggers
    are as they were.
    """
    status = StatusLines(sys.stderr)
    handler = _Lines(status)
    loggers = [logging.getLogger(floor) for floor in FLOORS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(verbosity.value)
        logger.propagate = False  # a package that configures the root logger would have each line shown twice
    try:
        with progress_to(None if verbosity is Verbosity.QUIET else status):
            yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Plain lines on stderr, names in them spelled out; a progress bar that stands there makes room."""

    def __init__(self, status: StatusLines) -> None:
        super().__init__(sys.stderr)
        self._status = status

    def emit(self, record: logging.LogRecord) -> None:
        self._status.clear()
        super().emit(record)

    def format(self, record: logging.LogRecord) -> str:
        said = logging.makeLogRecord({"msg": printable_line(record.getMessage())})
        said.exc_info, said.exc_text = record.exc_info, record.exc_text
        return super().format(said)
