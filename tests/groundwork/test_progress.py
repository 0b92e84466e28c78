import io
import itertools

import pytest

from groundwork import progress
from groundwork.progress import Progress, duration


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_no_terminal_gets_lines_without_control_characters(monkeypatch):
    monkeypatch.setattr(progress, "STATUS_EVERY_S", 0.0)
    stream = io.StringIO()
    with Progress("frames", 10, stream=stream) as shown:
        shown.advance(4)
        shown.advance(6)
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("frames: 4 of 10, ")
    assert " left" in lines[0]
    assert lines[-1].startswith("frames: 10 of 10, ")
    assert stream.getvalue().isprintable() or set(stream.getvalue()) - {"\n"} <= set(map(chr, range(32, 127)))


def test_status_lines_are_rare_by_default(monkeypatch):
    clock = itertools.count(step=0.01)
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Progress("frames", 1200, stream=stream) as shown:
        for _ in range(1200):
            shown.advance()
    assert len(stream.getvalue().splitlines()) == 2 + 1  # one every five seconds of twelve, and the last


def test_a_terminal_gets_one_line_drawn_again(monkeypatch):
    monkeypatch.setattr(progress, "BAR_EVERY_S", 0.0)
    stream = Terminal()
    with Progress("frames", 2, stream=stream) as shown:
        shown.advance()
        shown.advance()
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().isascii()  # no box drawing


def test_work_done_before_does_not_enter_the_rate(monkeypatch):
    monkeypatch.setattr(progress, "STATUS_EVERY_S", 0.0)
    clock = iter([0.0, 10.0, 20.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    stream = io.StringIO()
    with Progress("videos", 100, stream=stream) as shown:
        shown.skip(90)
        shown.advance(5)
    assert stream.getvalue().splitlines()[0] == "videos: 95 of 100, 0.5 a second, 10 s left"


@pytest.mark.parametrize(("seconds", "words"), [(45, "45 s"), (720, "12 min"), (12000, "3 h 20 min")])
def test_durations_in_words(seconds, words):
    assert duration(seconds) == words
