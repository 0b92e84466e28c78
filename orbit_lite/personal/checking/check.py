"""Results of holding out a user's videos: for every object, for every video, and overall."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eval.metrics import confusion_counts, video_accuracy
from groundwork.errors import DataError
from orbit_lite.personal.calibrating.calibrate import estimate, held_out_familiarity
from orbit_lite.personal.calibrating.leave_out import (
    HeldOut,
    Teaching,
    WholeTeaching,
    hold_out,
    rounds_by_likeness,
    rounds_of_single_videos,
)
from orbit_lite.personal.checking.filming_advice import FEW_VIDEOS, Advice, Measured, advise
from orbit_lite.personal.checking.learning_curve import DRAWS, LearningCurve, learning_curve, videos_counts
from orbit_lite.personal.decision.calibration import Calibration, Estimate
from orbit_lite.personal.decision.familiarity import Familiarity
from orbit_lite.personal.decision.rejection import Rejection, cross_fitted_refusals
from orbit_lite.personal.recognizer import TaughtVideo, object_names, video_of_each_frame
from orbit_lite.personal.start import weak_start
from orbit_lite.personal.teaching.sampling import PROTOCOL
from orbit_lite.personal.teaching.teach import LEAST_OBJECTS
from orbit_lite.runs.folder import versions

SEED = 1991


@dataclass(frozen=True)
class VideoCheck:
    """One held-out video.

    video: its path in the user's folder; a personal file keeps no names, so there it is a number. frames, right: its
    frames, and how many were recognized. recognized: whether the video as a whole was, see eval.metrics.video_accuracy.
    answer: the object that most frames were recognized as.
    """

    object: str
    video: str
    frames: int
    right: int
    recognized: bool
    answer: str


@dataclass(frozen=True)
class ObjectCheck:
    """One object.

    taken_for: the other object that its frames were most often mistaken for, in a `share` of them; "" if there was no
    mistake. none: share of its held-out frames answered "none of these", by thresholds set without their own video;
    None if there is no such threshold, or the object has a single video.
    """

    object: str
    videos: int
    frames: int
    held_out: tuple[VideoCheck, ...]
    taken_for: str
    share: float
    none: float | None
    advice: Advice

    @property
    def accuracy(self) -> float | None:
        """Share of held-out frames recognized, in [0, 1]; None with a single video."""
        return _accuracy(self.held_out)

    @property
    def recognized(self) -> int:
        """Number of videos recognized as a whole."""
        return sum(video.recognized for video in self.held_out)


@dataclass(frozen=True)
class UserCheck:
    """One user's check, objects in the order of their names. Videos were held out by likeness.

    estimate: how much is recognized, with an interval. rejection: when to answer "none of these", as in a personal file
    of these videos. confusion: held-out frames of each object (row) recognized as each object (column). curve: None if
    it was not measured; `no_curve` says why. origin: see PersonalRecognizer. notes: what was left out, one line each.
    facts: what was checked, and with what.
    """

    user: str
    objects: tuple[ObjectCheck, ...]
    estimate: Estimate
    rejection: Rejection
    confusion: tuple[tuple[int, ...], ...]
    curve: LearningCurve | None
    no_curve: str
    origin: Mapping[str, Any]
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @cached_property
    def held_out(self) -> tuple[VideoCheck, ...]:
        """Every held-out video."""
        return tuple(video for thing in self.objects for video in thing.held_out)

    @property
    def accuracy(self) -> float:
        """Share of all held-out frames recognized, in [0, 1]."""
        return _accuracy(self.held_out) or 0.0

    @property
    def recognized(self) -> int:
        """Number of videos recognized as a whole."""
        return sum(video.recognized for video in self.held_out)

    @property
    def worst_first(self) -> list[ObjectCheck]:
        """Objects that could not be checked, then the others by accuracy, lowest first."""
        return sorted(self.objects, key=lambda thing: -1.0 if thing.accuracy is None else thing.accuracy)


def check(
    teaching: Teaching,
    calibration: Calibration,
    *,
    user: str,
    names: Sequence[str],
    origin: Mapping[str, Any],
    seed: int = SEED,
    draws: int | None = None,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> UserCheck:
    """Hold videos out and collect the results.

    Args:
        teaching: the videos, and how to teach with some of them.
        calibration: the calibration of a personal recognizer of the same videos.
        user: the person who filmed.
        names: each video's name.
        origin: see PersonalRecognizer.
        seed, draws: as for `check_user`.
        notes: what was left out so far.
        facts: what was checked.
        quiet: show no progress.

    Raises:
        DataError: if there are fewer than two objects, or none has two videos.
    """
    videos = teaching.videos
    require_checkable(user, videos)
    whole = isinstance(teaching, WholeTeaching)
    together = teaching.with_grouped_photos
    found = hold_out(
        together, rounds_by_likeness(together.videos, together.comparison_features), quiet=quiet or not whole
    )
    singles = hold_out(together, rounds_of_single_videos(together.videos), quiet=quiet or not whole)
    if draws is None:
        draws = 0 if whole else DRAWS
    no_curve = _no_curve(videos, draws, whole)
    curve = None if no_curve else learning_curve(teaching, seed=seed, draws=draws, quiet=quiet)
    confusion = confusion_counts(found.label, found.prediction, way=len(object_names(videos)))
    held_out = _held_out(videos, names, found)
    refused = _refused(found, calibration)
    start = weak_start(origin)
    return UserCheck(
        user=user,
        objects=tuple(
            _object(videos, label, held_out, confusion[label], curve, refused.get(label), start)
            for label in range(len(confusion))
        ),
        estimate=estimate(found, singles, together.videos),
        rejection=calibration.rejection,
        confusion=tuple(map(tuple, confusion.tolist())),
        curve=curve,
        no_curve=no_curve,
        origin=origin,
        notes=tuple(notes),
        facts=tuple({**(facts or {}), **_of_run(videos, seed, curve)}.items()),
    )


def require_checkable(user: str, videos: Sequence[TaughtVideo]) -> None:
    """Refuse videos of fewer than two objects, or of which none can be held out.

    Raises:
        DataError: with advice on what to film.
    """
    objects = object_names(videos)
    if len(objects) < LEAST_OBJECTS:
        raise DataError(
            f"user {user}: has only 1 object ({objects[0]}), so it can't be mistaken for another: film at least 2"
        )
    if not rounds_of_single_videos(videos):
        raise DataError(
            f"user {user}: none of the {len(objects)} objects has 2 videos, so none can be held out for the check; "
            "film a second video of each"
        )


def _object(
    videos: Sequence[TaughtVideo],
    label: int,
    held_out: Sequence[VideoCheck],
    taken: NDArray[np.int64],
    curve: LearningCurve | None,
    none: float | None,
    weak_start: str,
) -> ObjectCheck:
    """Args: taken: how many of the object's held-out frames were recognized as each object, (way,)."""
    objects = object_names(videos)
    name, others = objects[label], taken.copy()
    others[label] = 0
    most = int(others.argmax())
    own = [video for video in videos if video.object == name]
    mine = tuple(video for video in held_out if video.object == name)
    measured = Measured(
        issues=[video.issues for video in own],
        accuracy=_accuracy(mine),
        taken_for=objects[most] if others[most] else "",
        share=float(others[most] / taken.sum()) if others[most] else 0.0,
        others=int((others > 0).sum()),
        rise=curve.rise(name) if curve and mine else None,
        rise_of_all=curve.rise() if curve else None,
        weak_start=bool(weak_start),
    )
    return ObjectCheck(
        object=name,
        videos=len(own),
        frames=sum(len(video.frames) for video in own),
        held_out=mine,
        taken_for=measured.taken_for,
        share=measured.share,
        none=none,
        advice=advise(measured),
    )


def _refused(found: HeldOut, calibration: Calibration) -> dict[int, float]:
    """The share of each object's held-out frames answered "none of these", by its label."""
    aim = calibration.rejection.point.aim
    if aim is None:
        return {}
    of_known = Familiarity.of_held_out(found.logits.max(axis=1), found.cosine)
    refused = cross_fitted_refusals(held_out_familiarity(of_known, found), [aim])
    if refused is None:
        return {}
    return {int(label): float(refused[found.label == label].mean()) for label in np.unique(found.label)}


def _held_out(videos: Sequence[TaughtVideo], names: Sequence[str], found: HeldOut) -> list[VideoCheck]:
    objects = object_names(videos)
    checks = []
    video = video_of_each_frame(videos).numpy()[found.frame]  # grouped photos were held out together
    for place in np.unique(video).tolist():
        mine = video == place
        predictions, label = found.prediction[mine], int(found.label[mine][0])
        checks.append(
            VideoCheck(
                object=objects[label],
                video=names[place],
                frames=len(predictions),
                right=int((predictions == label).sum()),
                recognized=bool(video_accuracy(predictions, label)),
                answer=objects[int(np.bincount(predictions).argmax())],
            )
        )
    return checks


def _no_curve(videos: Sequence[TaughtVideo], draws: int, whole: bool) -> str:
    """The reason why there is no learning curve; "" if there is one."""
    held = len(rounds_of_single_videos(videos))
    if held < FEW_VIDEOS:
        return f"No learning curve: this needs an object with at least {FEW_VIDEOS} videos."
    if draws == 0 and whole:
        count = held * len(videos_counts(held - 1))
        return (
            "No learning curve: this learner adapts its extractor, so it would have to be personalized again for every "
            f"point. --draws 1 measures the curve anyway, by personalizing up to {count} times."
        )
    return "" if draws else "No learning curve: --draws 0."


def _accuracy(videos: Sequence[VideoCheck]) -> float | None:
    return sum(video.right for video in videos) / sum(video.frames for video in videos) if videos else None


def _of_run(videos: Sequence[TaughtVideo], seed: int, curve: LearningCurve | None) -> dict[str, str]:
    return {
        "objects, videos": f"{len(object_names(videos))}, {len(videos)}",
        "frames taken in total": f"{sum(len(video.frames) for video in videos)}, sampled as support by {PROTOCOL}",
        "learning curve": f"seed {seed}, {curve.draws} draws per point" if curve else "none",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
