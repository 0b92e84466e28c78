import logging
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork.errors import DataError
from groundwork.progress import Progress
from groundwork.reporting import FLOORS, Verbosity, report_failed, reports_shown

ROOT = Path(__file__).resolve().parents[2]
LOG = logging.getLogger("data_prep")


def report_everything() -> None:
    LOG.debug("a detail")
    LOG.info("a stage: %d of %d", 1, 2)
    LOG.warning("note: to look at")
    report_failed(LOG, "one video", DataError("cut off"))
    with Progress("frames", 1) as shown:
        shown.advance()


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        (Verbosity.QUIET, ["failed: one video"]),
        (Verbosity.NORMAL, ["a stage: 1 of 2", "note: to look at", "failed: one video", "frames: 1 of 1, 0 s"]),
    ],
)
def test_plain_lines_on_stderr(capsys, verbosity, expected):
    with reports_shown(verbosity):
        report_everything()
    assert capsys.readouterr() == ("", "".join(f"{line}\n" for line in expected))


def test_verbose_shows_details_and_tracebacks(capsys):
    def fail() -> None:
        raise DataError("cut off")

    with reports_shown(Verbosity.VERBOSE):
        report_everything()
        try:
            fail()
        except DataError as error:
            report_failed(LOG, "a.mp4: cut off", error)
    shown = capsys.readouterr().err
    assert shown.startswith("a detail\n")
    assert "Traceback" in shown and "in fail" in shown


def test_the_loggers_are_restored(capsys):
    def state() -> list[tuple[int, bool, list[logging.Handler]]]:
        loggers = [logging.getLogger(name) for name in ("", *FLOORS)]
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    before = state()
    with pytest.raises(ZeroDivisionError), reports_shown(Verbosity.VERBOSE):
        raise ZeroDivisionError
    assert state() == before
    with reports_shown():
        LOG.info("once")
    with reports_shown():
        LOG.info("twice")
    assert capsys.readouterr().err == "once\ntwice\n"


@pytest.mark.parametrize("floor", FLOORS)
def test_a_library_is_silent_unless_the_program_asks(floor):
    """Without a handler of the kit's own, Python would print warnings on stderr."""
    code = f"import logging, {floor}\nlogging.getLogger({floor!r}).error('failed: x')\n"
    silent = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (silent.stdout, silent.stderr) == ("", "")
    asked = code.replace("\n", "\nlogging.basicConfig()\n", 1)
    shown = subprocess.run([sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stderr == f"ERROR:{floor}:failed: x\n"
