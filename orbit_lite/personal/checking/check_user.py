"""Check a user's videos before any test video exists: a folder of them, or what a personal recogniser keeps of them."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.errors import AskedWrong
from groundwork.files import file_sha256
from orbit_lite.models.choice import EMBEDDED_START, EMBEDDED_START_TEXT, ModelChoice
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, Teaching, WholeTeaching
from orbit_lite.personal.checking.check import SEED, UserCheck, check, require_checkable
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.recognizer import TaughtVideo
from orbit_lite.personal.teaching.material import Lesson, lesson_images, read_lesson
from orbit_lite.personal.teaching.teach import teach


def check_user(
    path: Path,
    model: ModelChoice | None,
    *,
    seed: int = SEED,
    draws: int | None = None,
    workers: int | None = None,
    device: torch.device,
) -> UserCheck:
    """Check a user's folder of videos, or what a personal recogniser was taught with.

    Args:
        path: the folder (see data_prep.tree.own_videos), or a personal recogniser's file.
        model: what to teach; None for the embedded start, and for a personal recogniser, which is its own.
        seed: of the subsets that the learning curve draws.
        draws: subsets for each point of the curve, 0 for none; if not given DRAWS, or 0 for a learner that adapts its
            extractor, and would have to personalise for each.
        workers: processes that decode; by default one a core.
        device: where to compute.

    Raises:
        AskedWrong: if the folder, the file or the model is not there, or not one that this can be asked of.
        FoundWrong: if videos are not as they should be, there are fewer than two objects, or none has two videos.
    """
    if path.suffix == ".safetensors" or (path.is_file() and not path.name.endswith(ARCHIVE_SUFFIX)):
        return _check_file(path, model, seed=seed, draws=draws, device=device)
    start = model or EMBEDDED_START
    recognizer = start.load().to(device)
    lesson = read_lesson(recognizer, path, workers=workers)
    require_checkable(lesson.user, lesson.videos)  # before teaching with all of them
    notes = [*([EMBEDDED_START_TEXT] if model is None else []), *lesson.notes]
    if lesson.clutter_videos:
        notes.append(f"{lesson.clutter_videos} clutter videos left aside: they teach nothing.")
    return check(
        _teaching(recognizer, lesson),
        user=lesson.user,
        names=[quality.video for quality in lesson.quality],
        seed=seed,
        draws=draws,
        notes=notes,
        facts={**_described(start.describe()), **_learner(recognizer)},
    )


def _check_file(
    path: Path, model: ModelChoice | None, *, seed: int, draws: int | None, device: torch.device
) -> UserCheck:
    if model is not None:
        raise AskedWrong(f"{path}: a file; expected a folder of videos, or a personal recogniser without --model")
    personal = load_personal(path, device=device)
    recognizer = personal.fitted.recognizer
    if not recognizer.shares_features:
        raise AskedWrong(
            f"{path}: learner {_named(recognizer)} adapted its extractor to all the videos: one can "
            "be left out of that only where they are; give their folder, and --model"
        )
    return check(
        HeadTeaching(recognizer.head, personal.recognizer, recognizer.device),
        user=personal.user,
        names=_numbered(personal.recognizer.videos),
        seed=seed,
        draws=draws,
        facts={"personal recogniser": path.name, "sha256": file_sha256(path), **_learner(recognizer)},
    )


def _teaching(recognizer: Recognizer, lesson: Lesson) -> Teaching:
    if not recognizer.shares_features:
        return WholeTeaching(recognizer, lesson.videos, lesson_images(lesson))
    # taught with all of them first: weights that have diverged are found out
    support = teach(recognizer, lesson, origin={}).support
    return HeadTeaching(recognizer.head, support, recognizer.device)


def _numbered(videos: Sequence[TaughtVideo]) -> list[str]:
    """`mug, video 2`."""
    seen: Counter[str] = Counter()
    names = []
    for video in videos:
        seen[video.object] += 1
        names.append(f"{video.object}, video {seen[video.object]}")
    return names


def _learner(recognizer: Recognizer) -> dict[str, str]:
    return {"learner": _named(recognizer), "backbone": recognizer.extractor.backbone.name}


def _named(recognizer: Recognizer) -> str:
    return recognizer.learner.name if recognizer.learner else "without a name"


def _described(model: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in model.items()}
