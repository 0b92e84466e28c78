"""What leaving a user's videos out in turn tells: of every object, of every video, and of all together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from eval.metrics import confusion_counts, video_accuracy
from groundwork.errors import FoundWrong
from orbit_lite.personal.calibrating.leave_out import HeldOut, Teaching, WholeTeaching, leave_one_video_out, rounds
from orbit_lite.personal.checking.filming_advice import FEW_VIDEOS, Advice, Measured, advise
from orbit_lite.personal.checking.learning_curve import DRAWS, LearningCurve, learning_curve, videos_counts
from orbit_lite.personal.decision.familiarity import find_threshold
from orbit_lite.personal.recognizer import TaughtVideo, object_names, video_of_each_frame
from orbit_lite.personal.teaching.sampling import PROTOCOL
from orbit_lite.personal.teaching.teach import LEAST_OBJECTS
from orbit_lite.runs.folder import versions

SEED = 1991


@dataclass(frozen=True)
class VideoCheck:
    """One video, held out: its frames, how many of them were recognised, and what most of them were taken for.

    video: its place in the user's folder; in a personal file, which keeps no names, its number. recognised: the video
    as a whole, as eval.metrics.video_accuracy has it.
    """

    object: str
    video: str
    frames: int
    right: int
    recognised: bool
    answer: str


@dataclass(frozen=True)
class StrangeFrames:
    """What a threshold that the other objects' frames gave would do with one object's held-out frames, in [0, 1].

    rejected: share that is answered "none of these" where the object is known. passed: share that is called another
    object where it was never taught.
    """

    rejected: float
    passed: float


@dataclass(frozen=True)
class ObjectCheck:
    """One object. taken_for: the other object that its frames were most often taken for, in a `share` of them; "" if
    none was. strange: None where no other object can give a threshold, or this one has a single video."""

    object: str
    videos: int
    frames: int
    held_out: tuple[VideoCheck, ...]
    taken_for: str
    share: float
    strange: StrangeFrames | None
    advice: Advice

    @property
    def accuracy(self) -> float | None:
        """Share of held-out frames recognised, in [0, 1]; None with a single video."""
        return _accuracy(self.held_out)

    @property
    def recognised(self) -> int:
        """Videos recognised as a whole."""
        return sum(video.recognised for video in self.held_out)


@dataclass(frozen=True)
class UserCheck:
    """All that was found, in the order of the objects' names.

    confusion: held-out frames of each object (row) taken for each (column). auroc: how well taught is told from not
    taught, in [0, 1]; None if it can't be said. curve: None where it was not measured, and `no_curve` says why.
    notes: what was left out, a line each. facts: what was checked, and with what.
    """

    user: str
    objects: tuple[ObjectCheck, ...]
    confusion: tuple[tuple[int, ...], ...]
    auroc: float | None
    curve: LearningCurve | None
    no_curve: str
    notes: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]

    @cached_property
    def held_out(self) -> tuple[VideoCheck, ...]:
        """Every video that was held out."""
        return tuple(video for thing in self.objects for video in thing.held_out)

    @property
    def accuracy(self) -> float:
        """Share of all held-out frames recognised, in [0, 1]."""
        return _accuracy(self.held_out) or 0.0

    @property
    def recognised(self) -> int:
        """Videos recognised as a whole."""
        return sum(video.recognised for video in self.held_out)

    @property
    def strange(self) -> StrangeFrames | None:
        """What is to be expected of the threshold, over the frames of all objects of which it is known."""
        known = [(thing.strange, sum(video.frames for video in thing.held_out)) for thing in self.objects]
        shares = [(strange, frames) for strange, frames in known if strange]
        if not shares:
            return None
        total = sum(frames for _, frames in shares)
        rejected = sum(strange.rejected * frames for strange, frames in shares) / total
        return StrangeFrames(rejected, sum(strange.passed * frames for strange, frames in shares) / total)

    @property
    def worst_first(self) -> list[ObjectCheck]:
        """Objects that could not be checked, then by accuracy."""
        return sorted(self.objects, key=lambda thing: -1.0 if thing.accuracy is None else thing.accuracy)


def check(
    teaching: Teaching,
    *,
    user: str,
    names: Sequence[str],
    seed: int = SEED,
    draws: int | None = None,
    notes: Sequence[str] = (),
    facts: Mapping[str, str] | None = None,
    quiet: bool = False,
) -> UserCheck:
    """Leave videos out, and put together what that tells.

    Args:
        teaching: the videos, and how to teach with some of them.
        user: who filmed.
        names: what each video is called.
        seed, draws: as for `check_user`.
        notes: what was left out so far.
        facts: what was checked.
        quiet: show no progress.

    Raises:
        FoundWrong: if there are fewer than two objects, or none has two videos.
    """
    videos = teaching.videos
    require_checkable(user, videos)
    whole = isinstance(teaching, WholeTeaching)
    found = leave_one_video_out(teaching, quiet=quiet or not whole)
    if draws is None:
        draws = 0 if whole else DRAWS
    no_curve = _no_curve(videos, draws, whole)
    curve = None if no_curve else learning_curve(teaching, seed=seed, draws=draws, quiet=quiet)
    confusion = confusion_counts(found.label, found.prediction, way=len(object_names(videos)))
    held_out = _held_out(videos, names, found)
    return UserCheck(
        user=user,
        objects=tuple(
            _object(videos, label, held_out, confusion[label], curve, _strange(found, label))
            for label in range(len(confusion))
        ),
        confusion=tuple(map(tuple, confusion.tolist())),
        auroc=find_threshold(found.known, found.strange).auroc,
        curve=curve,
        no_curve=no_curve,
        notes=tuple(notes),
        facts=tuple({**(facts or {}), **_of_run(videos, seed, curve)}.items()),
    )


def require_checkable(user: str, videos: Sequence[TaughtVideo]) -> None:
    """Refuse what leaves nothing to hold out, or nothing to take it for.

    Raises:
        FoundWrong: says what to film.
    """
    objects = object_names(videos)
    if len(objects) < LEAST_OBJECTS:
        raise FoundWrong(
            f"user {user}: 1 object ({objects[0]}); there is nothing that it could be taken for: film at least 2"
        )
    if not rounds(videos):
        raise FoundWrong(
            f"user {user}: none of {len(objects)} objects has 2 videos, so none can be held out to be checked on; "
            "film a second video of each"
        )


def _object(
    videos: Sequence[TaughtVideo],
    label: int,
    held_out: Sequence[VideoCheck],
    taken: NDArray[np.int64],
    curve: LearningCurve | None,
    strange: StrangeFrames | None,
) -> ObjectCheck:
    """Args: taken: how many of the object's held-out frames were taken for each object, (way,)."""
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
        rise=curve.rise(name) if curve and mine else None,
        rise_of_all=curve.rise() if curve else None,
    )
    return ObjectCheck(
        object=name,
        videos=len(own),
        frames=sum(len(video.frames) for video in own),
        held_out=mine,
        taken_for=measured.taken_for,
        share=measured.share,
        strange=strange,
        advice=advise(measured),
    )


def _held_out(videos: Sequence[TaughtVideo], names: Sequence[str], found: HeldOut) -> list[VideoCheck]:
    objects, video = object_names(videos), video_of_each_frame(videos).numpy()[found.frame]
    checks = []
    for place in np.unique(video).tolist():
        mine = video == place
        predictions, label = found.prediction[mine], int(found.label[mine][0])
        checks.append(
            VideoCheck(
                object=objects[label],
                video=names[place],
                frames=len(predictions),
                right=int((predictions == label).sum()),
                recognised=bool(video_accuracy(predictions, label)),
                answer=objects[int(np.bincount(predictions).argmax())],
            )
        )
    return checks


def _strange(found: HeldOut, label: int) -> StrangeFrames | None:
    """With the threshold of the other objects' frames: that of the object's own would pass what it was set to pass."""
    own = found.label == label
    value = find_threshold(found.known[~own], found.strange[~own]).value
    if value is None or not own.any():
        return None
    return StrangeFrames(float((found.known[own] < value).mean()), float((found.strange[own] >= value).mean()))


def _no_curve(videos: Sequence[TaughtVideo], draws: int, whole: bool) -> str:
    """Why there can't be a learning curve, or is none; "" if there is one."""
    held = len(rounds(videos))
    if held < FEW_VIDEOS:
        return f"No learning curve: it takes an object with {FEW_VIDEOS} videos, of which 1 or 2 teach."
    if draws == 0 and whole:
        count = held * len(videos_counts(held - 1))
        return (
            "No learning curve: this learner adapts its extractor, and would be personalised anew for every point; "
            f"--draws 1 measures it all the same, by up to {count} times personalising."
        )
    return "" if draws else "No learning curve: --draws 0."


def _accuracy(videos: Sequence[VideoCheck]) -> float | None:
    return sum(video.right for video in videos) / sum(video.frames for video in videos) if videos else None


def _of_run(videos: Sequence[TaughtVideo], seed: int, curve: LearningCurve | None) -> dict[str, str]:
    return {
        "objects, videos": f"{len(object_names(videos))}, {len(videos)}",
        "frames taken, in all": f"{sum(len(video.frames) for video in videos)}, as protocol {PROTOCOL} samples support",
        "learning curve": f"seed {seed}, {curve.draws} draws a point" if curve else "none",
        "versions": ", ".join(f"{name} {version}" for name, version in versions().items()),
    }
