"""Evaluation: `predict`, which embeds each frame once, against the plain road, which embeds it for every task anew.

On made videos, shorter than the 200 frames that orbit-2022 draws, all tasks of a user share all their query frames. On
ORBIT a clutter video has 411 frames on average, about 380 of them valid, and 50 tasks draw 200 of them each: nearly all
are drawn once, and each of them about 26 times. So expect about half the ratio there.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch

from benchmarks.measure import Comparison, paired_seconds
from data_prep.extract import extract
from data_prep.index import Index, open_index
from data_prep.pocket import make_pocket
from eval.records import TaskSet
from orbit_lite.config import load_protocol
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.loader import ReadTask
from orbit_lite.data.tasks import TaskDrawer
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.predict import predict

PROTOCOL = "orbit-2022"
REPEATS = 9  # a side takes a second or two, so that anything else the machine does shows


@dataclass(frozen=True)
class Size:
    """A pocket set of test users, and the tasks that are drawn of each; the plain road is timed on a few and scaled."""

    users: int = 2
    objects: int = 3
    clean_videos: int = 4
    clutter_videos: int = 2
    tasks: int = 50
    plain_tasks: int = 2
    backbone: str = "tiny"


def run(size: Size = Size(), *, repeats: int = REPEATS) -> list[Comparison]:
    """One comparison: seconds from frame tree to predictions of every task."""
    with tempfile.TemporaryDirectory() as folder:
        index = _made_tree(Path(folder), size)
        source = open_frames(index)
        recognizer = build_recognizer("protonets", size.backbone, weights="random")
        drawer = TaskDrawer(index, load_protocol(PROTOCOL), split="test", seed=0)
        tasks, few = (drawer.draw_all(tasks_per_user=count) for count in (size.tasks, size.plain_tasks))
        once_s, plain_s = paired_seconds(
            lambda: predict(recognizer, tasks, index, source, quiet=True),
            lambda: predict_plainly(recognizer, few, source),
            repeats=repeats,
        )
    setting = f"{size.backbone}, {PROTOCOL}, users: {size.users}, tasks a user: {size.tasks}"
    plain = f"each task anew (scaled from {size.plain_tasks} a user)"
    sides = (("each frame once", once_s), (plain, plain_s.times(size.tasks / size.plain_tasks)))
    return [Comparison(setting, "time", "s", torch.get_num_threads(), *sides)]


def predict_plainly(recognizer: Recognizer, tasks: TaskSet, source: FrameSource) -> list[torch.Tensor]:
    """Each task by itself: read its images, personalise, predict. Classes of its query frames, one tensor a task."""
    read, answers = ReadTask(source), []
    for task in tasks.tasks:
        pixels = read(task)
        fitted = recognizer.personalize(pixels.support, pixels.support_labels)
        answers.append(fitted.logits(pixels.query).argmax(1))
    return answers


def _made_tree(folder: Path, size: Size) -> Index:
    make_pocket(
        folder / "raw",
        users=(0, 0, size.users),
        objects=size.objects,
        clean_videos=size.clean_videos,
        clutter_videos=size.clutter_videos,
    )
    extract(folder / "raw", folder / "frames")
    return open_index(folder / "frames")
