"""Reading a video's frames: the same from a file and from a folder, in another process that does not need torch."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_prep.video.frames import read_frames
from data_prep.workers.stream import StreamWorker
from groundwork.errors import DataError
from orbit_lite.personal.answering.reading import BATCH_FRAMES, VideoJob, batches_in_worker, read_batches

ROOT = Path(__file__).parents[4]


@pytest.fixture
def folder_of(pocket_raw, pocket_frames):
    """A raw video's folder in the frame tree."""
    return lambda video: pocket_frames / video.relative_to(pocket_raw).with_suffix("")


@pytest.fixture
def clutter(alice):
    return sorted(alice.glob("*/clutter/*.mp4"))[0]


def pictures_of(job):
    return np.concatenate([batch.pictures for batch in read_batches(job)])


@pytest.mark.parametrize("fps", [30.0, 10.0, 7.0])
def test_a_file_and_its_folder_of_frames_give_the_same_pixels(clutter, folder_of, fps):
    of_file, of_folder = (pictures_of(VideoJob(path, 224, fps)) for path in (clutter, folder_of(clutter)))
    assert np.array_equal(of_file, of_folder)


def test_batches_come_in_order_numbered_and_counted(clutter):
    batches = list(read_batches(VideoJob(clutter, 64)))
    numbers = [number for batch in batches for number in batch.numbers]
    assert numbers == list(range(1, batches[0].total + 1))
    assert all(len(batch.numbers) == len(batch.pictures) <= BATCH_FRAMES for batch in batches)
    assert {batch.total for batch in batches} == {len(numbers)}


def test_frames_for_viewing_are_not_passed_through_jpeg(clutter):
    assert np.array_equal(pictures_of(VideoJob(clutter, 96, stored=False)), read_frames(clutter, size_px=96))


def test_reading_in_another_process_gives_the_same_frames(clutter):
    job = VideoJob(clutter, 96, 10.0)
    with StreamWorker() as worker:
        found = [batch.pictures for batch in batches_in_worker(worker, job)]
    assert np.array_equal(np.concatenate(found), pictures_of(job))


def test_a_folder_works_as_the_current_directory(clutter, folder_of, monkeypatch):
    folder = folder_of(clutter)
    monkeypatch.chdir(folder)
    assert np.array_equal(pictures_of(VideoJob(Path("."), 224)), pictures_of(VideoJob(folder, 224)))


def test_unusable_folders_of_frames_are_refused(clutter, folder_of, tmp_path):
    (tmp_path / "empty").mkdir()
    gap = shutil.copytree(folder_of(clutter), tmp_path / folder_of(clutter).name)
    (gap / f"{gap.name}-00003.jpg").unlink()
    for path, output in ((tmp_path / "empty", "has no frames"), (gap, "expected numbers without a gap")):
        with pytest.raises(DataError, match=output) as caught:
            pictures_of(VideoJob(path, 224))
        assert str(path) in str(caught.value)
    with pytest.raises(DataError, match="224x224 pixels, expected 96x96"):
        pictures_of(VideoJob(folder_of(clutter), 96))


def test_a_process_that_hangs_is_named_with_its_video(clutter):
    with StreamWorker() as worker, pytest.raises(DataError, match="no result for 0 s") as caught:
        list(batches_in_worker(worker, VideoJob(clutter, 64), hang_s=0.0))
    assert str(clutter) in str(caught.value)


def test_the_reading_process_needs_no_torch():
    code = (
        "import sys, orbit_lite.personal.answering.reading; print({'torch', 'pandas', 'matplotlib'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
