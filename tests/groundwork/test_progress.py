import io
import itertools
import os
import struct
import threading

import pytest

from groundwork import progress
from groundwork.progress import Progress, ProgressReport, StatusLines, duration, progress_to


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_nothing_is_shown_without_a_listener(capfd):
    with Progress("frames", 2) as shown:
        shown.advance(2)
    assert capfd.readouterr() == ("", "")


def test_a_listener_gets_every_step_and_the_end():
    found: list[ProgressReport] = []
    with progress_to(found.append):
        with Progress("frames", 10) as shown:
            shown.skip(3)
            shown.advance(4, note="loss 0.5")
            shown.advance(3)
        with Progress("others", 1, quiet=True) as hidden:
            hidden.advance()
    assert [(step.unit, step.done, step.total, step.skipped, step.note, step.ended) for step in found] == [
        ("frames", 7, 10, 3, "loss 0.5", False),
        ("frames", 10, 10, 3, "", False),
        ("frames", 10, 10, 3, "", True),
    ]
    with Progress("frames", 10) as shown:
        shown.advance()
    assert len(found) == 3  # the block has ended


def test_interrupted_work_is_reported_as_ended():
    found: list[ProgressReport] = []
    with pytest.raises(ZeroDivisionError), progress_to(found.append), Progress("frames", 10):
        raise ZeroDivisionError
    assert [(step.done, step.ended) for step in found] == [(0, True)]


def test_a_listener_cancels_by_raising():
    def cancel(report: ProgressReport) -> None:
        if report.done == 2 and not report.ended:
            raise KeyboardInterrupt

    done = 0
    with pytest.raises(KeyboardInterrupt), progress_to(cancel), Progress("frames", 10) as shown:
        for _ in range(10):
            done += 1
            shown.advance()
    assert done == 2


def test_each_thread_has_its_own_listener():
    """Two users of a server do not see each other's progress."""
    seen: dict[str, list[str]] = {"a": [], "b": []}
    together = threading.Barrier(2, timeout=30)

    def work(name: str) -> None:
        with progress_to(lambda step: seen[name].append(step.unit)), Progress(name, 1) as shown:
            together.wait()
            shown.advance()

    threads = [threading.Thread(target=work, args=(name,)) for name in seen]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {"a": ["a", "a"], "b": ["b", "b"]}


def test_output_that_is_not_a_terminal_gets_lines_without_control_characters(monkeypatch):
    monkeypatch.setattr(progress, "STATUS_EVERY_S", 0.0)
    stream = io.StringIO()
    with progress_to(StatusLines(stream)), Progress("frames", 10) as shown:
        shown.advance(4)
        shown.advance(6)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("frames: 4 of 10, ")
    assert " left" in lines[0]
    assert lines[-1].startswith("frames: 10 of 10, ")
    assert stream.getvalue().isprintable() or set(stream.getvalue()) - {"\n"} <= set(map(chr, range(32, 127)))


def test_status_lines_are_rare_by_default(monkeypatch):
    clock = itertools.count(step=0.005)  # read twice per step: by the work and by the listener
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with progress_to(StatusLines(stream)), Progress("frames", 1200) as shown:
        for _ in range(1200):
            shown.advance()
    assert len(stream.getvalue().splitlines()) == 2 + 1  # one every five seconds in twelve, and the last


def test_a_terminal_gets_one_line_that_is_redrawn(monkeypatch):
    monkeypatch.setattr(progress, "BAR_EVERY_S", 0.0)
    stream = Terminal()
    with progress_to(StatusLines(stream)), Progress("frames", 2) as shown:
        shown.advance()
        shown.advance()
    assert stream.getvalue().count("\r") == 3
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()  # no box drawing


@pytest.mark.parametrize(("columns", "has_bar"), [(120, True), (60, False), (20, False)])
def test_the_line_is_shorter_than_the_terminal_is_wide(monkeypatch, columns, has_bar):
    termios = pytest.importorskip("termios", reason="no POSIX terminals on this system")
    import fcntl
    import pty

    monkeypatch.setattr(progress, "BAR_EVERY_S", 0.0)
    reader, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(terminal, "w") as stream, progress_to(StatusLines(stream)), Progress("frames", 2) as shown:
        shown.advance(note="a loss of 0.25 for user P177")
        shown.advance(note="a name in wide letters: \N{HIRAGANA LETTER A}\N{HIRAGANA LETTER A}")
        written = b""
        while written.count(b"\x1b[K") < 2:  # a terminal may deliver the text in several pieces
            written += os.read(reader, 10_000)
    os.close(reader)
    text = written.decode()
    lines = [line for line in text.replace("\x1b[K", "").splitlines() if line]
    assert len(lines) == 2
    wide = text.count("\N{HIRAGANA LETTER A}")
    assert max(map(len, lines)) + wide < columns
    assert all(("[" in line) == has_bar for line in lines)
    assert all("frames: " in line for line in lines)


def test_another_line_does_not_overwrite_the_bar(monkeypatch):
    monkeypatch.setattr(progress, "BAR_EVERY_S", 0.0)
    stream = Terminal()
    status = StatusLines(stream)
    with progress_to(status), Progress("frames", 2) as shown:
        status.clear()
        assert stream.getvalue() == ""  # there is no bar yet
        shown.advance()
        status.clear()
    assert "\r\x1b[K" in stream.getvalue()


def test_work_of_an_earlier_run_is_left_out_of_the_rate(monkeypatch):
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    found: list[ProgressReport] = []
    with progress_to(found.append), Progress("videos", 100) as shown:
        shown.skip(90)
        shown.advance(5)
    assert str(found[0]) == "videos: 95 of 100, 0.5 a second, 10 s left"
    assert str(found[1]) == "videos: 95 of 100, 20 s"


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (720, "12 min"), (12000, "3 h 20 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
