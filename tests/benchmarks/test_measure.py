import operator
import signal
import time
from functools import partial

import cv2
import pytest
import torch

from benchmarks.measure import (
    Comparison,
    Spread,
    cpu_seconds,
    one_core,
    paired_seconds,
    peak_memory_mb,
    seconds_in_turn,
)
from groundwork.errors import DataError

FIVE_MB_OF_X = b"x" * 5_000_000


def test_sides_run_in_turn_after_one_warm_up_each():
    ran = []
    first, second = paired_seconds(partial(ran.append, "A"), partial(ran.append, "B"), repeats=3)
    assert "".join(ran) == "AB" + "ABABAB"
    assert first.repeats == second.repeats == 3
    assert 0 < first.least <= first.median <= first.most


def test_each_side_gets_its_own_seconds(monkeypatch):
    now_s = [0.0]

    def take(seconds):
        now_s[0] += seconds

    monkeypatch.setattr("orbit_lite.costs.measuring.clock_s", lambda _: now_s[0])
    first, second = paired_seconds(partial(take, 2), partial(take, 5), repeats=3)
    assert (first, second) == (Spread(2, 2, 2, 3), Spread(5, 5, 5, 3))


def test_three_sides_run_in_turn_and_are_timed_as_asked():
    ran = []
    works = [partial(ran.append, letter) for letter in "ABC"]
    spreads = seconds_in_turn(works, repeats=2, warm=False, seconds=lambda work: work() or len(ran))
    assert "".join(ran) == "ABCABC"
    assert spreads == [Spread.of([1, 4]), Spread.of([2, 5]), Spread.of([3, 6])]


def test_waiting_takes_no_cpu_seconds(monkeypatch):
    monkeypatch.setattr(time, "process_time", iter([3.0, 5.5]).__next__)
    assert cpu_seconds(lambda: None) == 2.5
    monkeypatch.undo()
    assert cpu_seconds(partial(time.sleep, 0.2)) < 0.1


def test_spread():
    spread = Spread.of([4.0, 1.0, 2.0])
    assert spread == Spread(2.0, 1.0, 4.0, 3)
    assert spread.times(25) == Spread(50.0, 25.0, 100.0, 3)
    assert spread.rate(100) == Spread(50.0, 25.0, 100.0, 3)  # 100 items in 4 s is the lowest rate


def test_ratio_is_the_second_to_the_first():
    first, second = Spread.of([2.0]), Spread.of([5.0])
    assert Comparison("", "time", "s", 1, ("a", first), ("b", second)).ratio == 2.5
    assert Comparison("", "time", "s", 1, ("a", Spread.of([0.0])), ("b", second)).ratio == float("inf")


@pytest.mark.usefixtures("spawned")
def test_peak_memory_is_the_works_own():
    """40 copies of 5 MB, without the 5 MB and the libraries from the preparation, and without this process."""
    ballast = bytearray(600_000_000)  # a new process must not inherit this process's peak
    held = partial(partial, operator.mul, FIVE_MB_OF_X)
    spread = peak_memory_mb(partial(held, 40))
    del ballast
    assert 190 < spread.median < 210  # 200, minus memory that unpickling the 5 MB used and freed before the work
    assert peak_memory_mb(partial(held, 0)).median < 5


def test_a_killed_process_is_one_line():
    with pytest.raises(DataError, match="killed, probably because memory ran out"):
        peak_memory_mb(partial(partial, signal.raise_signal, signal.SIGKILL))


def test_one_core_gives_the_threads_back():
    before = torch.get_num_threads(), cv2.getNumThreads()
    with one_core():
        assert (torch.get_num_threads(), cv2.getNumThreads()) == (1, 1)
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before
