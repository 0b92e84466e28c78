"""Checks a user's videos before any test video exists: a folder of videos, or a personal recognizer's stored
features."""

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
from orbit_lite.personal.teaching.material import UserVideos, all_images, read_user_videos
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
    """Check several users in turn; a user who can't be checked does not stop the others.

    Args:
        paths: folders or files as for `check_user`, of users with different names.
        checked: called with each finished check.
        model, seed, draws, workers, device, engine: as for `check_user`.

    Returns:
        the checks, and the paths of those that failed; the reasons were logged.

    Raises:
        UsageError: as `check_user`, or if two users have the same name.
        DataError: as `check_user`, if there is a single path.
    """
    names = [user_name(path) for path in paths]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise UsageError(
            f"two of the users are named {twice[0]}, so their reports would have the same name; rename one"
        )
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
        model: the model to teach; None for the embedded start, or for a personal recognizer, which has its own.
        seed: seed of the subsets drawn for the learning curve.
        draws: subsets for each point of the curve, 0 for no curve. The default is DRAWS, or 0 for a learner that
            adapts its extractor, which would have to personalize for each subset.
        workers: processes that decode; the default is one per core.
        device: the device to compute on.
        engine: as for `read_user_videos`; a personal recognizer's frames are already embedded.

    Raises:
        UsageError: if the folder, the file or the model is missing or can't be checked in this way.
        DataError: if videos are unusable, there are fewer than two objects, or none has two videos.
    """
    if path.suffix == ".safetensors" or (path.is_file() and not path.name.endswith(ARCHIVE_SUFFIX)):
        return _check_file(path, model, seed=seed, draws=draws, device=device)
    start = model or EMBEDDED_START
    recognizer = start.load().to(device)
    user_videos = read_user_videos(recognizer, path, workers=workers, engine=engine)
    require_checkable(user_videos.user, user_videos.videos)  # before teaching with all of them
    notes = [*([EMBEDDED_START_TEXT] if model is None else []), *user_videos.notes]
    if user_videos.clutter_videos:
        notes.append(f"{user_videos.clutter_videos} clutter videos were not used: they do not teach.")
    origin = origin_of(start, recognizer.extractor.frame_size_px)
    # first teach with all videos: this finds diverged weights, and gives "none of these" its final threshold
    personal = teach(recognizer, user_videos, origin=origin)
    return check(
        _teaching(personal, user_videos),
        personal.calibration,
        user=user_videos.user,
        names=[quality.video for quality in user_videos.quality],
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
        raise UsageError(f"{path}: is a file; expected a folder of videos, or a personal recognizer without --model")
    personal = load_personal(path, device=device)
    recognizer = personal.fitted.recognizer
    if not recognizer.shares_features:
        raise UsageError(
            f"{path}: learner {_named(recognizer)} adapted its extractor to all the videos, so the check needs them: "
            "give their folder, and --model"
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


def _teaching(personal: PersonalRecognizer, user_videos: UserVideos) -> Teaching:
    recognizer = personal.fitted.recognizer
    if recognizer.shares_features:
        return _teaching_of(personal)
    return WholeTeaching(recognizer, user_videos.videos, all_images(user_videos))


def _teaching_of(personal: PersonalRecognizer) -> HeadTeaching:
    """Teaching with its head, whose hyperparameters were chosen with grouped photos, as when it was taught."""
    settled = HeadTeaching.settled(personal.fitted.recognizer, personal.support.with_grouped_photos)
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
    return recognizer.learner.name if recognizer.learner else "(unnamed)"


def _described(model: Mapping[str, Any]) -> dict[str, str]:
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in model.items()}
