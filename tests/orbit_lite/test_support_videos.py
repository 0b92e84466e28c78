"""The support items' videos reach the head in every code path that fits one."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data_prep.tree.index import open_index
from eval.formats.records import Task, TaskSet, VideoPlan
from orbit_lite.costs.seconds import time_personalizing
from orbit_lite.data.frames import open_frames
from orbit_lite.data.loader import ReadSupport, ReadTask
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.evaluation.predict import predict
from orbit_lite.models.gradients.lite import ESTIMATORS
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.models.task_gradient import task_gradient
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, WholeTeaching
from orbit_lite.personal.recognizer import SupportSet, TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.teach import teach

SIZE_PX = 32
VIDEOS = torch.tensor([3, 3, 0, 1])
LABELS = torch.tensor([0, 0, 1, 0])


class Spy:
    """A head that records the videos that it gets."""

    def __init__(self, head):
        self.head, self.told = head, []

    def fit(self, features, labels, *, way, videos=None):
        self.told.append(None if videos is None else videos.tolist())
        return self.head.fit(features, labels, way=way, videos=videos)


def spied(size_px=SIZE_PX):
    built = build_recognizer("protonets", "tiny", weights="random", frame_size_px=size_px)
    built.head = Spy(built.head)
    return built


@pytest.fixture
def recognizer():
    return spied()


def frames(count):
    return torch.randint(0, 256, (count, 3, SIZE_PX, SIZE_PX), dtype=torch.uint8)


def test_personalizing_by_images_and_by_features(recognizer):
    images = frames(4)
    recognizer.personalize(images, LABELS, VIDEOS)
    recognizer.personalize(images, LABELS)
    recognizer.personalize_from_features(recognizer.embed(images), LABELS, VIDEOS)
    assert recognizer.head.told == [[3, 3, 0, 1], None, [3, 3, 0, 1]]


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_tasks_gradient(recognizer, estimator):
    task = TaskPixels(frames(4), LABELS, frames(2), torch.tensor([0, 1]), way=2, support_videos=VIDEOS)
    for pixels in (task, replace(task, support_videos=None)):
        task_gradient(recognizer, pixels, h=1, rng=np.random.default_rng(0), estimator=estimator)
    assert recognizer.head.told == [[3, 3, 0, 1], None]


@pytest.fixture
def task(pocket_frames):
    """Two objects; the first has two support videos, of 2 and 1 clips of 2 frames."""
    of = {}
    for row in open_index(pocket_frames).rows:
        of.setdefault((row.user, row.object), []).append(row.video)
    (user, _), (first, second, *_) = next(iter(of.items()))
    other = next(videos[0] for (owner, _), videos in list(of.items())[1:] if owner == user)
    support = VideoPlan(first, 0, (1, 2, 5, 6)), VideoPlan(second, 0, (1, 2)), VideoPlan(other, 1, (3, 4))
    return Task(user, 0, ("a", "b"), support, (VideoPlan(second, 0, (7,)),), clip_length=2)


EXPECTED = [0, 0, 1, 2]


def test_reading_a_task(pocket_frames, task):
    source = open_frames(open_index(pocket_frames))
    assert ReadTask(source)(task).support_videos.tolist() == EXPECTED
    assert ReadSupport(source)(task)[2].tolist() == EXPECTED


@pytest.mark.parametrize("plain", [False, True])
def test_predicting(pocket_frames, task, plain):
    recognizer, index = spied(224), open_index(pocket_frames)
    tasks = TaskSet("own", "test", 0, True, index.fingerprint, (), (task,))
    predict(recognizer, tasks, index, open_frames(index), plain=plain, quiet=True)
    assert recognizer.head.told == [EXPECTED]


def test_timing(pocket_frames, task, tmp_path):
    recognizer = spied(224)
    source = open_frames(open_index(pocket_frames))
    time_personalizing(recognizer, [task], source, tmp_path / "s.csv", quiet=True)
    assert recognizer.head.told == [[0, 2], EXPECTED]  # the first fit, untimed, has one item per class


def test_teaching_one_user(recognizer):
    videos = tuple(
        TaughtVideo(name, 60, (1, 31), digest) for name, digest in (("bag", "a"), ("bag", "b"), ("cup", "c"))
    )
    images = frames(6)
    user_videos = UserVideos("alice", videos, tuple(recognizer.embed(images).split(2)), (), (), 0)
    teach(recognizer, user_videos, origin={})
    assert recognizer.head.told[0] == [0, 0, 1, 1, 2, 2]
    rest = torch.tensor([False, False, True, True, True, False])
    HeadTeaching(recognizer.head, SupportSet(videos, recognizer.embed(images))).teach(rest)
    WholeTeaching(recognizer, videos, images).teach(rest)
    assert recognizer.head.told[-2:] == [[1, 1, 2], [1, 1, 2]]
