"""Check a user's videos before any test video exists: a folder of them, or what a personal recognizer keeps of them."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.errors import DataError, UsageError
from groundwork.files import file_sha256
from groundwork.reporting import report_failed
from orbit_lite.models.choice import EMBEDDED_START, EMBEDDED_START_TEXT, ModelChoice
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.calibrating.leave_out import HeadTeaching, Teaching, WholeTeaching
from orbit_lite.personal.checking.check import SEED, UserCheck, check, require_checkable
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.file_names import user_name
from orbit_lite.personal.recognizer import PersonalRecognizer, TaughtVideo
from orbit_lite.personal.teaching.material import Lesson, lesson_images, read_lesson
from orbit_lite.personal.teaching.personalize import origin_of
from orbit_lite.personal.teaching.teach import teach

_LOG = logging.getLogger("orbit_lite")


def check_users(
    paths: Sequence[Path],
    model: ModelChoice | None,
    *,
    checked: Callable[[UserCheck], object] = lambda check: None,
    seed: int = SEED,
    draws: int | None = None,
    workers: int | None = None,
    device: torch.device,
    engine: str | None = None,
) -> tuple[list[UserCheck], list[Path]]:
    """Check several users one after the other; one that can't be checked does not stop the others.

    Args:
        paths: folders or files as for `check_user`, of users with different names.
        checked: is called with each check when it is done.
        model, seed, draws, workers, device, engine: as for `check_user`.

    Returns:
        the checks, and the paths of those that failed; why was logged.

    Raises:
        UsageError: as `check_user`, or if two users have one name.
        DataError: as `check_user` if there is a single path.
    """
    names = [user_name(path) for path in paths]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(f"two of the users are named {twice[0]}: their reports would have one name; rename one")
    done: list[UserCheck] = []
    failed: list[Path] = []
    for path in paths:
        try:
            done.append(check_user(path, model, seed=seed, draws=draws, workers=workers, device=device, engine=engine))
        except DataError as error:
            if len(paths) == 1:
                raise
            report_failed(_LOG, str(error), error)
            failed.append(path)
        else:
            checked(done[-1])
    return done, failed


def check_user(
    path: Path,
    model: ModelChoice | None,
    *,
    seed: int = SEED,
    draws: int | None = None,
    workers: int | None = None,
    device: torch.device,
    engine: str | None = None,
) -> UserCheck:
    """Check a user's folder of videos, or what a personal recognizer was taught with.

    Args:
        path: the folder (see data_prep.tree.own_videos), or a personal recognizer's file.
        model: what to teach; None for the embedded start, and for a personal recognizer, which is its own.
        seed: of the subsets that the learning curve draws.
        draws: subsets for each point of the curve, 0 for none; if not given DRAWS, or 0 for a learner that adapts its
            extractor, and would have to personalize for each.
        workers: processes that decode; by default one a core.
        device: where to compute.
        engine: as for `read_lesson`; a personal recognizer's frames are embedded already.

    Raises:
        UsageError: if the folder, the file or the model is not there, or not one that this can be asked of.
        DataError: if videos are not as they should be, there are fewer than two objects, or none has two videos.
    """
    if path.suffix == ".safetensors" or (path.is_file() and not path.name.endswith(ARCHIVE_SUFFIX)):
        return _check_file(path, model, seed=seed, draws=draws, device=device)
    start = model or EMBEDDED_START
    recognizer = start.load().to(device)
    lesson = read_lesson(recognizer, path, workers=workers, engine=engine)
    require_checkable(lesson.user, lesson.videos)  # before teaching with all of them
    notes = [*([EMBEDDED_START_TEXT] if model is None else []), *lesson.notes]
    if lesson.clutter_videos:
        notes.append(f"{lesson.clutter_videos} clutter videos left aside: they teach nothing.")
    origin = origin_of(start, recognizer.extractor.frame_size_px)
    # taught with all of them first: weights that have diverged are found out, and "none of these" is what it will be
    personal = teach(recognizer, lesson, origin=origin)
    return check(
        _teaching(personal, lesson),
        personal.calibration,
        user=lesson.user,
        names=[quality.video for quality in lesson.quality],
        origin=origin,
        seed=seed,
        draws=draws,
        notes=notes,
        facts={**_described(start.describe()), **_learner(recognizer), "engine": recognizer.engine.name},
    )


def _check_file(
    path: Path, model: ModelChoice | None, *, seed: int, draws: int | None, device: torch.device
) -> UserCheck:
    if model is not None:
        raise UsageError(f"{path}: a file; expected a folder of videos, or a personal recognizer without --model")
    personal = load_personal(path, device=device)
    recognizer = personal.fitted.recognizer
    if not recognizer.shares_features:
        raise UsageError(
            f"{path}: learner {_named(recognizer)} adapted its extractor to all the videos: one can "
            "be left out of that only where they are; give their folder, and --model"
        )
    return check(
        _teaching_of(personal),
        personal.calibration,
        user=personal.user,
        names=_numbered(personal.support.videos),
        origin=personal.origin,
        seed=seed,
        draws=draws,
        facts={"personal recognizer": path.name, "sha256": file_sha256(path), **_learner(recognizer)},
    )


def _teaching(personal: PersonalRecognizer, lesson: Lesson) -> Teaching:
    recognizer = personal.fitted.recognizer
    if recognizer.shares_features:
        return _teaching_of(personal)
    return WholeTeaching(recognizer, lesson.videos, lesson_images(lesson))


def _teaching_of(personal: PersonalRecognizer) -> HeadTeaching:
    """Its head, with the numbers that it chose for photos in a row as one video, as it was taught."""
    settled = HeadTeaching.settled(personal.fitted.recognizer, personal.support.in_a_row)
    return replace(settled, support=personal.support)


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
