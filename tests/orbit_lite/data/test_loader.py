import os
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch

from data_prep.tree.index import open_index
from eval.formats.records import Task, VideoPlan
from groundwork.errors import DataError
from orbit_lite.data.frames import open_frames
from orbit_lite.data.loader import FrameJob, ReadFrames, ReadTask, read_ahead, trailing_clips
from orbit_lite.data.tasks import TaskSampler
from orbit_lite.training.experiment import load_experiment
from orbit_lite.training.tasks import ChosenTasks, TrainingTasks

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def training(pocket_frames):
    index = open_index(pocket_frames)
    sampler = TaskSampler(index, load_experiment("pocket").tasks, split="train", seed=3)
    return ChosenTasks(TrainingTasks(sampler), range(26, 30)), ReadTask(open_frames(index))


def test_more_workers_than_cores_print_no_warning(training, monkeypatch):
    """PyTorch's would appear on the screen, twice, in several lines."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    tasks, read = training
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(list(read_ahead(tasks, read, workers=2))) == 4


@pytest.mark.usefixtures("spawned")
def test_pixels_do_not_depend_on_workers(training):
    tasks, read = training
    alone = list(read_ahead(tasks, read, workers=0))
    assert len(alone) == len(tasks) == 4  # of 3 users * 10 tasks
    for mine, theirs in zip(alone, read_ahead(tasks, read, workers=2), strict=True):
        assert mine.way == theirs.way
        for name in ("support", "support_labels", "query", "query_labels"):
            assert torch.equal(getattr(mine, name), getattr(theirs, name))


def test_pixels_are_uint8_and_labels_fit(training):
    tasks, read = training
    for task, pixels in zip(tasks, read_ahead(tasks, read, workers=0), strict=True):
        assert pixels.support.dtype == pixels.query.dtype == torch.uint8
        assert pixels.support.shape == (sum(len(plan.frames) for plan in task.support), 3, 224, 224)
        assert len(pixels.query) == len(pixels.query_labels) == sum(len(plan.frames) for plan in task.query)
        assert set(pixels.support_labels.tolist()) == set(range(task.way))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_pixels_are_pinned_if_asked_and_laid_out_as_they_were(training):
    tasks, read = training
    for mine, theirs in zip(
        read_ahead(tasks, read, workers=0), read_ahead(tasks, read, workers=2, pin=True), strict=True
    ):
        for name in ("support", "query"):
            assert getattr(theirs, name).is_pinned() and torch.equal(getattr(mine, name), getattr(theirs, name))
            assert getattr(theirs, name).is_contiguous(memory_format=torch.channels_last)


def test_clips_hold_the_planned_frames(pocket_frames):
    index = open_index(pocket_frames)
    source = open_frames(index)
    video = index.rows[0].video
    plan = (VideoPlan(video, 0, (5, 6, 7, 20, 21, 22)),)
    task = Task("P", 0, ("bag", "cup"), plan, (VideoPlan(video, 1, (1, 9)),), clip_length=3)
    pixels = ReadTask(source)(task)
    expected = torch.from_numpy(source.read(video, range(1, 23))).permute(0, 3, 1, 2)
    assert pixels.support.shape == (2, 3, 3, 224, 224)
    assert torch.equal(pixels.support[1], expected[[19, 20, 21]])
    assert torch.equal(pixels.query[0], expected[[0, 0, 0]])  # the first frame repeated at the start
    assert torch.equal(pixels.query[1], expected[[6, 7, 8]])
    assert pixels.support_labels.tolist() == [0, 0]
    assert pixels.query_labels.tolist() == [1, 1]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_readers_error_is_its_own_line(pocket_frames, workers):
    read = ReadFrames(open_frames(open_index(pocket_frames)))
    with pytest.raises(DataError, match=r"^[^\n]*no video 'nothing'[^\n]*$"):
        list(read_ahead([FrameJob("nothing", (1,))], read, workers=workers))


ORPHANS = """
import os, signal, time
from pathlib import Path
from orbit_lite.data.loader import read_ahead

class Read:
    def __call__(self, job):
        return job
    def __setstate__(self, state):
        parent = os.getppid()
        os.kill(parent, signal.SIGKILL)
        while os.getppid() == parent:
            time.sleep(0.01)

if __name__ == "__main__":
    Read.__getstate__ = lambda self: {"pickled": True}
    list(read_ahead([1, 2], Read(), workers=1))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_worker_whose_parent_dies_while_it_starts_ends_too(tmp_path):
    script = tmp_path / "orphans.py"
    script.write_text(ORPHANS)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(script)]
    # until both have closed it
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == -signal.SIGKILL and "Traceback" not in done.stderr


def test_trailing_clips_never_look_ahead():
    clips = trailing_clips([1, 5, 40], 8)
    assert [clips[i : i + 8] for i in (0, 8, 16)] == [[1] * 8, [1, 1, 1, 1, 2, 3, 4, 5], list(range(33, 41))]


def test_images_that_go_through_pipes_are_the_same(training, monkeypatch):
    """As with little shared memory, see SMALL_SHARED_MEMORY_BYTES."""
    from orbit_lite.data import loader

    tasks, read = training
    monkeypatch.setattr(loader, "_has_small_shared_memory", lambda: True)
    for through_pipe, usual in zip(read_ahead(tasks, read, workers=1), read_ahead(tasks, read, workers=0), strict=True):
        for name in ("support", "support_labels", "query", "query_labels"):
            assert torch.equal(getattr(through_pipe, name), getattr(usual, name))


def test_one_job_is_read_ahead_and_no_more():
    begun: list[int] = []

    def read(job: int) -> int:
        begun.append(job)
        return 10 * job

    found = read_ahead(range(4), read, workers=0)
    assert next(found) == 0
    assert next(found) == 10
    found.close()
    assert begun in ([0, 1], [0, 1, 2])


def test_some_jobs_are_read_at_once_and_nothing_while_the_caller_computes():
    begun: list[int] = []

    def read(job: int) -> int:
        begun.append(job)
        return 10 * job

    found = read_ahead(range(5), read, workers=0, at_once=2)
    assert begun == []
    for given in range(5):
        assert next(found) == 10 * given
        assert sorted(begun) == list(range(min(given + 2 - given % 2, 5)))
    assert list(found) == []


@pytest.mark.parametrize("at_once", [0, 2, 3])
def test_an_error_comes_at_its_job_and_not_before(at_once):
    def read(job: int) -> int:
        if job == 2:
            raise DataError("frame 2 is damaged")
        return job

    found = read_ahead(range(4), read, workers=0, at_once=at_once)
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(DataError, match="frame 2 is damaged"):
        next(found)


def test_threads_read_a_packed_tree_at_once(pocket_frames, tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    from data_prep.making.pack import pack
    from data_prep.tree.index import open_index
    from orbit_lite.data.frames import open_frames

    pack(pocket_frames, tmp_path / "packed")
    index = open_index(tmp_path / "packed")
    source, loose = open_frames(index), open_frames(open_index(pocket_frames))
    videos = [row.video for row in index.rows][:12]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda video: source.read(video, range(1, 9)), videos * 3))
    for pictures, video in zip(found, videos * 3, strict=True):
        assert (pictures == loose.read(video, range(1, 9))).all()
