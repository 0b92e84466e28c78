"""How a command line shows the kit's log messages. A library call only logs, and shows nothing.

Each floor has one logger with its name. Levels: debug for details, info for the stages of long work, warning for what a
user may want to look at, error for one item that failed while the others succeeded.
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
    """How much a command line shows besides its results; the value is the lowest `logging` level shown."""

    QUIET = logging.ERROR
    NORMAL = logging.INFO
    VERBOSE = logging.DEBUG


def report_failed(logger: logging.Logger, what: str, error: Exception | None) -> None:
    """Log that one of several items failed; `what` names it and says why. The traceback is logged as a detail."""
    logger.error("failed: %s", what)
    if error is not None:
        logger.debug("traceback of that error:", exc_info=error)


@contextmanager
def reports_shown(verbosity: Verbosity = Verbosity.NORMAL) -> Iterator[None]:
    """Show the floors' log messages and progress on stderr while the block runs: plain lines, without time or level.

    With VERBOSE, a message about an exception also shows its traceback. Afterwards the loggers are restored.
    """
    status = StatusLines(sys.stderr)
    handler = _Lines(status)
    loggers = [logging.getLogger(floor) for floor in FLOORS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(verbosity.value)
        logger.propagate = False  # if a package configures the root logger, each line would appear twice
    try:
        with progress_to(None if verbosity is Verbosity.QUIET else status):
            yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _Lines(logging.StreamHandler):  # type: ignore[type-arg]  # not subscriptable when it runs
    """Plain lines on stderr, with control characters escaped; a progress bar is erased first."""

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
