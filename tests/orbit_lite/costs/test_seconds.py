"""Seconds to personalize: measured alone, one support set at a time, and kept when a run is interrupted."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from eval.formats.records import Task, VideoPlan
from groundwork.errors import DataError
from orbit_lite.costs import measuring
from orbit_lite.costs import seconds as timing
from orbit_lite.costs.seconds import TaskSeconds, measured_on, time_personalizing
from orbit_lite.models.recognizer import Recognizer, build_recognizer

SMALL_PX = 32
READING_S, PERSONALIZING_S = 100.0, 3.0


class Clock:
    """A clock that only advances when told to."""

    def __init__(self):
        self.now_s = 0.0

    def perf_counter(self):
        return self.now_s


class BlackFrames:
    """A slow source of black frames."""

    least_workers = 0

    def __init__(self, clock):
        self.clock = clock

    def read(self, video, frames):
        self.clock.now_s += READING_S
        return np.zeros((len(frames), SMALL_PX, SMALL_PX, 3), np.uint8)


class Timed(Recognizer):
    """Takes three seconds to personalize, one more each time, and records the number of images."""

    def __init__(self, clock, **parts):
        super().__init__(**parts)
        self.clock, self.sets = clock, []

    def personalize(self, images, labels, **options):
        self.clock.now_s += PERSONALIZING_S + len(self.sets)
        self.sets.append(len(images))
        return super().personalize(images, labels, **options)


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(measuring, "time", clock)
    return clock


@pytest.fixture
def recognizer(clock):
    usual = build_recognizer("protonets", "tiny", weights="random", frame_size_px=SMALL_PX)
    return Timed(clock, extractor=usual.extractor, head=usual.head, learner=usual.learner)


def task(user, number, frames=(1, 31)):
    support = tuple(VideoPlan(f"{user}--{name}--clean--a", label, frames) for label, name in enumerate("ab"))
    return Task(user, number, ("a", "b"), support, (VideoPlan(f"{user}--a--clutter--a", 0, (1,)),))


TASKS = [task("P1", 0), task("P1", 1), task("P2, jr", 0), task("P2, jr", 1, frames=(1, 2, 3))]


def test_each_distinct_support_set_is_measured_once_and_reading_is_not(tmp_path, recognizer, clock):
    path = tmp_path / "seconds.csv"
    found = time_personalizing(recognizer, TASKS, BlackFrames(clock), path, quiet=True)
    assert recognizer.sets == [2, 4, 4, 6]  # one image per class to warm up, then three support sets
    assert [(row.user, row.task) for row in found] == [(task.user, task.task) for task in TASKS]
    assert [row.seconds for row in found] == [4.0, 4.0, 5.0, 6.0]  # 3 s, plus 1 s each time
    assert {(row.device, row.threads) for row in found} == {("cpu", torch.get_num_threads())}
    assert path.read_text().splitlines()[0] == "user,task,seconds,device,threads"
    assert timing._read(path) == found


def test_measurements_from_before_an_interruption_are_not_repeated(tmp_path, recognizer, clock):
    path = tmp_path / "seconds.csv"
    measured = time_personalizing(recognizer, TASKS[:2], BlackFrames(clock), path, quiet=True)

    class Ends(BlackFrames):
        def read(self, video, frames):
            if len(frames) == 3:
                raise KeyboardInterrupt
            return super().read(video, frames)

    with pytest.raises(KeyboardInterrupt):
        time_personalizing(recognizer, TASKS, Ends(clock), path, quiet=True)
    kept = timing._read(path)
    assert kept[:2] == measured
    assert len(kept) == 3
    recognizer.sets.clear()
    found = time_personalizing(recognizer, TASKS, BlackFrames(clock), path, quiet=True)
    assert recognizer.sets == [2, 6]  # the warm-up, and the rest
    assert found[:3] == kept
    assert time_personalizing(recognizer, TASKS, BlackFrames(clock), path, quiet=True) == found
    assert recognizer.sets == [2, 6]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"user,task\nP1,0\n",
        b"user,task,seconds,device,threads\nP1,0,nan,cpu,2\n",
        b"user,task,seconds,device,threads\nP1,0,-1,cpu,2\n",
        b"user,task,seconds,device,threads\nP1,0,1.5,cpu\n",
        b"user,task,seconds,device,threads\nP1,one,1.5,cpu,2\n",
        b"\xff\xfe\x00",
    ],
)
def test_an_invalid_file_is_one_line(tmp_path, recognizer, clock, content):
    path = tmp_path / "seconds.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"seconds\.csv: not a file of measured seconds written by this kit; delete it"):
        time_personalizing(recognizer, TASKS, BlackFrames(clock), path, quiet=True)
    assert path.read_bytes() == content


def test_the_measuring_machine_is_named():
    row = TaskSeconds("P1", 0, 1.0, "cpu", 2)
    assert measured_on([row, row]) == "cpu, 2 CPU threads"
    gpu = replace(row, device="A GPU", threads=1)
    assert measured_on([row, gpu, row]) == "cpu, 2 CPU threads and A GPU, 1 CPU thread"
