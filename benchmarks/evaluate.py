"""Predictions for 50 tasks per user: embedding each distinct frame once, compared with the bare engine and with
embedding again for each task.

The plain way is the reference: eager mode, embedding every image of every task. It also measures the steps before and
after at full size: drawing 850 tasks from an index of ORBIT's size, and scoring 3 million rows.
"""

import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from benchmarks.measure import Comparison, Spread, paired_seconds, peak_memory_mb
from data_prep.making.extract import extract
from data_prep.pocket.pocket_set import make_pocket
from data_prep.tree.annotations import BOX, NOT_PRESENT
from data_prep.tree.index import Index, VideoRow, open_index
from data_prep.tree.layout import VideoName, annotation_path, frame_file_name
from eval.formats.records import Task, TaskSet, VideoPlan, read_predictions, read_tasks, write_predictions, write_tasks
from eval.verbs import score_files
from groundwork.files import write_json
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json
from orbit_lite.config import load_protocol
from orbit_lite.costs.measuring import Work
from orbit_lite.data.frames import open_frames
from orbit_lite.data.samplers import open_sampler
from orbit_lite.evaluation.predict import predict
from orbit_lite.evaluation.user_work import UserWork
from orbit_lite.models.engines import find_engine
from orbit_lite.models.engines.encoder import Encoder
from orbit_lite.models.recognizer import Recognizer, build_recognizer

PROTOCOL = "orbit-2022"
TASKS_NAME, PREDICTIONS_NAME = "tasks.jsonl", "predictions.parquet"


@dataclass(frozen=True)
class Workload:
    """A pocket set of test users, with videos repeated up to a length in frames, and the tasks per user. The plain way
    is timed on a few tasks and scaled."""

    users: int = 3
    objects: int = 4
    clean_videos: int = 3
    clutter_videos: int = 1
    video_frames: int = 300
    tasks: int = 50
    plain_tasks: int = 2
    # pairs of learner and engine
    learners: tuple[tuple[str, str], ...] = (
        ("protonets", "openvino"),
        ("cnaps", "torch"),
    )
    backbone: str = "efficientnet_b0"


def run(size: Workload = Workload(), *, repeats: int = 1) -> list[Comparison]:
    """Seconds of both ways for each learner, then seconds and memory of drawing and scoring at full size."""
    with tempfile.TemporaryDirectory() as folder:
        index = made_tree(Path(folder), size)
        found = [comparison for roads in size.learners for comparison in _roads(index, *roads, size, repeats)]
    return [*found, *_full_size()]


def _roads(index: Index, learner: str, engine: str, size: Workload, repeats: int) -> list[Comparison]:
    source = open_frames(index)
    recognizer = build_recognizer(learner, size.backbone, weights="random")
    recognizer.engine = find_engine(engine)
    encoder = recognizer.engine.encoder(recognizer.extractor, None)
    sampler = open_sampler(index, load_protocol(PROTOCOL), split="test", seed=0)
    tasks, few = (sampler.draw_all(tasks_per_user=count) for count in (size.tasks, size.plain_tasks))
    frames = _distinct_frames(tasks)
    # alternate by user, so that both sides see the same noise of the machine
    by_user = [_of_user(tasks, user) for user in sampler.users]
    pairs = [
        paired_seconds(
            partial(predict, recognizer, of_user, index, source, quiet=True),
            partial(_encode_bare, encoder, recognizer, _distinct_frames(of_user)),
            repeats=repeats,
            warm=False,
        )
        for of_user in by_user
    ]
    once_s, bare_s = (Spread.sum_of([pair[side] for pair in pairs]) for side in (0, 1))
    recognizer.engine = find_engine("eager")
    _, plain_s = paired_seconds(
        lambda: None,
        lambda: predict(recognizer, few, index, source, plain=True, quiet=True),
        repeats=repeats,
        warm=False,
    )
    setting = (
        f"{learner}, {size.backbone}, {PROTOCOL}, users: {size.users}, tasks a user: {size.tasks}, "
        f"videos of {size.video_frames} frames, engine {engine}"
    )
    once, plain = ("each frame once", once_s), f"again for each task (scaled from {size.plain_tasks} per user)"
    threads, at_most = torch.get_num_threads(), 1.25 if recognizer.shares_features else 1.4
    return [
        Comparison(setting, "time", "s", threads, (f"the bare engine on {frames} frames", bare_s), once, at_most),
        Comparison(setting, "time", "s", threads, once, (plain, plain_s.times(size.tasks / size.plain_tasks))),
    ]


def _distinct_frames(tasks: TaskSet) -> int:
    users = {task.user for task in tasks.tasks}
    work = [UserWork.of(user, [task for task in tasks.tasks if task.user == user]) for user in users]
    return sum(len(job.frames) for of_user in work for job in of_user.jobs())


def _encode_bare(encoder: Encoder, recognizer: Recognizer, frames: int) -> None:
    """Encode this many frames from memory with only an engine."""
    size_px = recognizer.extractor.frame_size_px
    chunk = torch.zeros(recognizer.chunks.no_graph, 3, size_px, size_px, dtype=torch.uint8)
    with torch.no_grad():
        for start in range(0, frames, len(chunk)):
            encoder(chunk[: frames - start])


def made_tree(folder: Path, size: Workload) -> Index:
    """A frame tree of test users, made in a folder, with videos of `size.video_frames` frames."""
    make_pocket(
        folder / "raw",
        users=(0, 0, size.users),
        objects=size.objects,
        clean_videos=size.clean_videos,
        clutter_videos=size.clutter_videos,
    )
    extract(folder / "raw", folder / "frames")
    _lengthen(open_index(folder / "frames"), folder / "long", size.video_frames)
    return open_index(folder / "long")


def _lengthen(index: Index, root: Path, frames: int) -> None:
    """Make a tree with each video and its annotations repeated up to this many frames."""
    for row in index.rows:
        folder = root / row.path
        folder.mkdir(parents=True)
        noted = parse_json(annotation_path(index.root, row.split, row.video).read_bytes())
        notes = {}
        for number in range(1, frames + 1):
            shown = frame_file_name(row.video, (number - 1) % row.frames + 1)
            name = frame_file_name(row.video, number)
            os.link(index.root / row.path / shown, folder / name)
            notes[name] = noted[shown]
        write_json(annotation_path(root, row.split, row.video), notes)


def _of_user(tasks: TaskSet, user: str) -> TaskSet:
    return replace(tasks, tasks=tuple(task for task in tasks.tasks if task.user == user))


# --- at ORBIT's size: 17 test users with 50 tasks, 18 clutter videos each, and 200 frames of each video in a task

USERS, TASKS, VIDEOS, FRAMES, OBJECTS = 17, 50, 18, 200, 9
ALL_VIDEOS, CLEAN_FRAMES, CLUTTER_FRAMES = 3_822, 771, 411  # ORBIT's number of videos and their mean lengths


def _full_size() -> list[Comparison]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sampler = open_sampler(_orbit_index(folder), load_protocol(PROTOCOL), split="test", seed=0)
        tasks, table = _made_predictions()
        write_tasks(folder / TASKS_NAME, tasks)
        write_predictions(folder / PREDICTIONS_NAME, table, metadata={})
        drawn_s, scored_s = paired_seconds(sampler.draw_all, scoring_work(folder), repeats=1, warm=False)
        read_mb, scored_mb = (peak_memory_mb(partial(work, folder)) for work in (reading_work, scoring_work))
    rows = USERS * TASKS * VIDEOS * FRAMES
    threads = torch.get_num_threads()
    setting = f"{USERS * TASKS} tasks, {rows} predictions, an index of {ALL_VIDEOS} videos"
    scoring = "scoring the predictions"
    return [
        Comparison(setting, "time", "s", threads, ("drawing the tasks", drawn_s), (scoring, scored_s)),
        Comparison(setting, "memory", "MB", threads, ("reading the predictions", read_mb), (scoring, scored_mb)),
    ]


def reading_work(folder: Path) -> Work:
    """Work that reads a folder's tasks and predictions into memory."""
    return lambda: (read_tasks(folder / TASKS_NAME), read_predictions(folder / PREDICTIONS_NAME))


def scoring_work(folder: Path) -> Work:
    """Work that does the same as the command `score`: from a folder's files to a scorecard."""
    return partial(score_files, folder / TASKS_NAME, folder / PREDICTIONS_NAME, folder / "scorecard.json")


def _made_predictions() -> tuple[TaskSet, pd.DataFrame]:
    frames = np.arange(1, FRAMES + 1, dtype=np.int32)
    numbers = tuple(frames.tolist())
    tasks, videos = [], []
    for user in (f"P{number}" for number in range(USERS)):
        query = tuple(VideoPlan(f"{user}--o--clutter--{v:02}", v % OBJECTS, numbers) for v in range(VIDEOS))
        support = tuple(VideoPlan(f"{user}--o--clean--{o}", o, (1,)) for o in range(OBJECTS))
        objects = tuple(f"o{o}" for o in range(OBJECTS))
        tasks += [Task(user, task, objects, support, query) for task in range(TASKS)]
        videos += [(user, task, plan.video) for task in range(TASKS) for plan in query]
    count = len(videos) * FRAMES
    columns = {
        "user": np.repeat([user for user, _, _ in videos], FRAMES),
        "task": np.repeat(np.array([task for _, task, _ in videos], np.int32), FRAMES),
        "video": np.repeat([video for _, _, video in videos], FRAMES),
        "frame": np.tile(frames, len(videos)),
        "prediction": keyed_rng(0, "predictions").integers(0, OBJECTS, count).astype(np.int32),
        "confidence": np.ones(count, np.float32),
    }
    task_set = TaskSet(PROTOCOL, "test", 0, False, "made", (), tuple(tasks))
    return task_set, pd.DataFrame(columns)


def _orbit_index(root: Path) -> Index:
    """An index of ORBIT's size with annotations of its test users' clutter videos, but without frames."""
    rows = []
    for number in range(ALL_VIDEOS):
        test_user, rest = divmod(number, VIDEOS * 4)
        split = "test" if test_user < USERS else "train"
        video_type, length = ("clutter", CLUTTER_FRAMES) if rest < VIDEOS else ("clean", CLEAN_FRAMES)
        user, thing = f"P{test_user}", f"o{rest % OBJECTS}"
        name = str(VideoName(user, thing, video_type, str(rest)))
        rows.append(VideoRow(split, user, thing, video_type, name, length, f"{split}/{user}/{name}", "made"))
        if (split, video_type) == ("test", "clutter"):
            entries = {frame_file_name(name, k): {NOT_PRESENT: k % 14 == 0, BOX: None} for k in range(1, length + 1)}
            write_json(annotation_path(root, split, name), entries)
    return Index(root, "frames", tuple(rows))
