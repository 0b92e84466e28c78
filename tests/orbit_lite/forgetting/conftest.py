"""A study of a few participants, with everything that the kit writes about them; frames and weights are synthetic."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
import pytest
import torch

from data_prep.making.summarize import summarize, write_csv
from data_prep.tree.index import build_index
from data_prep.tree.naming import table_path
from eval.formats.records import (
    Task,
    TaskSet,
    VideoPlan,
    read_scorecard,
    tasks_fingerprint,
    write_predictions,
    write_tasks,
)
from eval.verbs import TASKS_FINGERPRINT, report_run, score_files
from groundwork.files import file_sha256, write_json
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.answering.answers import FrameAnswer, VideoTally
from orbit_lite.personal.answering.frame_table import whole_table
from orbit_lite.personal.answering.report import describe_model, write_answers
from orbit_lite.personal.answering.summary import AnswersSummary
from orbit_lite.personal.checking.numbers import IntervalNumbers, ObjectNumbers, UserNumbers, write_check_json
from orbit_lite.personal.checking.participants import write_participants
from orbit_lite.personal.checking.report import CHECK_FILES
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.evaluating import participants as evaluated
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.material import UserVideos
from orbit_lite.personal.teaching.summary import ObjectSummary, summary_csv
from orbit_lite.personal.teaching.teach import teach

USER, OTHERS = "P01", ("P010", "P02", "P03")
OBJECTS = ("bag", "mug")


def write(path: Path, text: str = "x") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def seed_of(user: str) -> int:
    return int(user[1:])


def make_trees(study: Path, users: Sequence[str]) -> None:
    for user in users:
        for thing in OBJECTS:
            write(study / f"raw/{user}/{thing}/1.mp4", f"video of {user}")
            write(study / f"raw/{user}/{thing}/clutter/2.mp4", f"video of {user}")
            for kind in ("clean", "clutter"):
                video = f"{user}--{thing}--{kind}--a"
                for number in (1, 2):
                    write(study / f"frames/{user}/{thing}/{kind}/{video}/{video}-0000{number}.jpg", f"{user} {number}")
                write(study / f"frames/annotations/{video}.json", "{}")
    write_csv(summarize(build_index(study / "frames")), study / "frames")
    names = {f"{user}/{thing}/1.mp4": f"{user}--{thing}--clean--a" for user in users for thing in OBJECTS}
    about = "private: says which file each video was. Keep it out of anything you pass on."
    write_json(
        table_path(study / "raw"), {"schema": 1, "about": about, "keep_names": False, "key": "00", "names": names}
    )


def make_run(run: Path, users: Sequence[str], fingerprint: str, *, answers: bool = False) -> None:
    """A finished run; with `answers`, a run of a personal file. It has no report, which takes a while to draw."""
    tasks, rows = [], []
    for user in users:
        videos = [VideoPlan(f"{user}--{thing}--clutter--a", label, (1, 2)) for label, thing in enumerate(OBJECTS)]
        support = tuple(VideoPlan(f"{user}--{thing}--clean--a", label, (1,)) for label, thing in enumerate(OBJECTS))
        tasks.append(Task(user, 0, OBJECTS, support, tuple(videos)))
        rows += [
            (user, 0, video.video, frame, (seed_of(user) + frame) % 2, 0.75) for video in videos for frame in (1, 2)
        ]
    task_set = TaskSet("own-videos", "", 1, True, fingerprint, (), tuple(tasks))
    settings = {"command": "evaluate", "seed": 1, "data_fingerprint": fingerprint}
    write_json(run / "run.json", {"settings": settings, "versions": {}, "machine": {}})
    write(run / "log.txt", "".join(f"2026-01-01 12:00:00 predicted: {user}\n" for user in users))
    write_tasks(run / "tasks.jsonl", task_set)
    table = pd.DataFrame(rows, columns=["user", "task", "video", "frame", "prediction", "confidence"])
    if answers:
        table["answer"] = [OBJECTS[label] for label in table["prediction"]]
    write_predictions(run / "predictions.parquet", table, metadata={TASKS_FINGERPRINT: tasks_fingerprint(task_set)})
    score_files(run / "tasks.jsonl", run / "predictions.parquet", run / "scorecard.json")
    if not answers:
        report_run(run)


def numbers(user: str) -> UserNumbers:
    """Synthetic numbers with digits that rounding would lose."""
    share = 1 / (2 + seed_of(user))
    thing = {"videos": 2, "held_out_videos": 2, "held_out_frames": 60, "taken_for_share": share / 3}
    things = [ObjectNumbers(object=name, accuracy=share, none=None, taken_for="", **thing) for name in OBJECTS]
    return UserNumbers(
        accuracy=share,
        interval=IntervalNumbers(low=share / 2, high=1 - share / 7),
        chance=0.5,
        same_place_accuracy=share,
        ece=share / 9,
        auroc=None,
        strictness="balanced",
        misses=share / 11,
        false_alarms=None,
        objects=2,
        videos=4,
        frames=120,
        per_object=tuple(things),
    )


def make_check(out: Path, user: str) -> None:
    for name in CHECK_FILES:
        write(out / name, f"Check of {user}'s videos")
    write_check_json(out / "check.json", {user: numbers(user)})


def make_checks(out: Path, users: Sequence[str]) -> None:
    for user in users:
        make_check(out / user, user)
    write_check_json(out / "check.json", {user: numbers(user) for user in users})
    write_participants({user: numbers(user) for user in users}, out)


def make_evaluation_page(out: Path, users: Sequence[str], fingerprint: str) -> None:
    cards = {}
    for user in users:
        make_run(out / user, [user], fingerprint, answers=True)
        cards[user] = read_scorecard(out / user / "scorecard.json")
    rows = [evaluated._participant(user, card) for user, card in cards.items()]
    objects = [row for user, card in cards.items() for row in evaluated._objects(user, card, out / user)]
    evaluated._write(out, rows, objects, seed=1)


def make_personal(file: Path, user: str) -> None:
    recognizer = build_recognizer("protonets", "tiny", weights="random", seed=2, frame_size_px=32)
    videos = tuple(TaughtVideo(name, 60, (1, 31), f"{user} {name} {k}") for name in OBJECTS for k in range(2))
    draw = torch.Generator().manual_seed(seed_of(user))
    frames = [torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=draw) for _ in videos]
    user_videos = UserVideos(user, videos, tuple(recognizer.embed(each) for each in frames), (), (), 0)
    file.parent.mkdir(parents=True, exist_ok=True)
    save_personal(file, teach(recognizer, user_videos, origin={}))


def make_table(file: Path, users: Sequence[str]) -> None:
    row = {
        "videos": 2,
        "frames": 4,
        "seconds": 4.0,
        "held_out_frames": 4,
        "held_out_accuracy": 0.5,
        "filming": "fine, well",
    }
    write(file, summary_csv([(user, [ObjectSummary(object=name, **row) for name in OBJECTS]) for user in users]))


def make_export(file: Path, source: Path) -> None:
    """An export as far as needed here: its metadata as plain text among other bytes."""
    file.write_bytes(b"\0\1orbit_lite_export\0source_sha256\0" + file_sha256(source).encode() + b"\0\1")


def make_answers(place: Path, recognizer: Path, videos: Sequence[str], *, frames: int = 3) -> None:
    """Write answers as a table of frames and as JSON, to `place`.csv and `place`.json."""
    place.parent.mkdir(parents=True, exist_ok=True)
    found = []
    with whole_table(place.with_suffix(".csv")) as table:
        for video in videos:
            tally = VideoTally()
            for frame in range(1, frames + 1):
                answer = FrameAnswer(frame, frame / 30, Certainty.SURE, 1, "mug", 0.875, "mug", 0.5)
                table.add(video, [answer])
                tally.add(answer)
            found.append((video, tally.video_answer()))
    model = describe_model(recognizer, load_personal(recognizer))
    summary = AnswersSummary.of(found) if len(videos) > 1 else None  # a stream has none
    write_answers(place.with_suffix(".json"), found, model=model, settings={}, summary=summary)


def _make_study(study: Path, users: Sequence[str]) -> None:
    make_trees(study, users)
    fingerprint = build_index(study / "frames").fingerprint
    make_run(study / "runs/all", users, fingerprint)
    make_checks(study / "checks", users)
    make_evaluation_page(study / "measured", users, fingerprint)
    make_table(study / "personal/participants.csv", users)
    for user in users:
        file = study / f"personal/{user}.safetensors"
        make_personal(file, user)
        make_export(file.with_suffix(".onnx"), file)
        make_answers(study / f"answers/{user}", file, [f"raw/{user}/mug/clutter/2.mp4"])
    if USER in users:  # files that are only theirs, with other kinds of names
        make_run(study / "runs/first", [USER], fingerprint)
        make_check(study / "first check", USER)
        make_table(study / "first.csv", [USER])
        make_answers(study / "answers/camera", study / f"personal/{USER}.safetensors", ["camera 0"])
    mixed = [f"study/raw/{user}/bag/clutter/2.mp4" for user in users]
    make_answers(study / "answers/mixed", study / "personal/P02.safetensors", mixed)


MakeStudy = Callable[[Path, Sequence[str]], None]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def whole_study(tmp_path_factory) -> Path:
    """The study with all participants. Do not change it; copy it."""
    study = tmp_path_factory.mktemp("whole") / "study"
    _make_study(study, (USER, *OTHERS))
    return study


@pytest.fixture(scope="session")
def without_them(tmp_path_factory) -> Path:
    """The study as if the participant had never been in it. Do not change it."""
    study = tmp_path_factory.mktemp("without") / "study"
    _make_study(study, OTHERS)
    return study


@pytest.fixture
def study(whole_study, tmp_path) -> Path:
    """A study that tests may change."""
    return Path(shutil.copytree(whole_study, tmp_path / "study"))
