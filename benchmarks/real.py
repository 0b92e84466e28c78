"""Personal recognizers on real photos: their accuracy, the kit's estimates of it, and how well the estimates hold.

    python -m benchmarks real --data DIR

DIR holds users' folders, DIR/USER/OBJECT/{clean,clutter}/...: photos or videos of the same objects in two places. Each
recognizer is taught with a user's clean videos and tested on the clutter videos, and vice versa; with all videos of
each object, and with few. Each object is also left out in turn, so that its pictures show an unknown object. Other
users' objects are unknown, too. Every frame is embedded once.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.tree.object_folder import LOOSE_TYPE, video_entries, visible_entries
from data_prep.tree.own_videos import OwnVideo
from eval.calibration import expected_calibration_error
from groundwork.errors import DataError
from groundwork.files import csv_text, write_text
from groundwork.pages.table import Column, Table
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from orbit_lite.data.loader import to_images
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.recognizer import PersonalRecognizer, SupportSet, TaughtVideo
from orbit_lite.personal.start import describe_start
from orbit_lite.personal.teaching.sampling import Sampling, sample_video
from orbit_lite.personal.teaching.teach import teach_features

LEARNERS = ("ridge_two_views", "ridge", "lda", "protonets", "protonets_cosine")
SHOTS: tuple[int | None, ...] = (None, 3, 2, 1)  # support videos per object; None for all
PLACES = (LOOSE_TYPE, "clutter")
SEED = 1991

Shots = int | None


@dataclass(frozen=True, eq=False)
class Filmed:
    """One video: its user, object and place, and the features of all its frames, (frames, width)."""

    user: str
    object: str
    place: str
    name: str
    features: Tensor


@dataclass(frozen=True)
class Run:
    """One learner, taught with one user's videos of one place and tested on those of the other.

    shots: videos per object, or "all". All others are shares of frames in [0, 1], None if unknown: accuracy, and its
        estimates (estimate, low, high; same_place: with one video held out at a time); ece; kept: the share of right
        answers that "none of these" did not replace; misses, near (each object left out in turn) and the estimates of
        both; sure_right: accuracy of answers without "maybe"; others_sure, others_maybe: frames of other users' objects
        that were named as one of these.
    """

    learner: str
    shots: str
    user: str
    taught_in: str
    objects: int
    frames: int
    accuracy: float
    chance: float
    estimate: float | None
    low: float | None
    high: float | None
    same_place: float | None
    ece: float
    kept: float | None
    misses: float
    misses_said: float | None
    near: float | None
    near_said: float | None
    sure: float
    sure_right: float | None
    others_sure: float
    others_maybe: float


def run(data: Path) -> list[Run]:
    """Run everything for all users of a tree.

    Raises:
        DataError: if a user has fewer than two objects filmed in both places, or a video can't be read.
    """
    starts = {name: ModelChoice(name, EMBEDDED_START.backbone, EMBEDDED_START.weights) for name in LEARNERS}
    loaded = {name: start.load() for name, start in starts.items()}
    filmed: dict[float | None, list[Filmed]] = {}  # by middle view: otherwise their features are the same
    for recognizer in loaded.values():
        if (view := _middle_view(recognizer)) not in filmed:
            filmed[view] = read_users(data, recognizer)
    users = sorted({video.user for videos in filmed.values() for video in videos})
    settings = [(name, shots, user, place) for name in starts for shots in SHOTS for user in users for place in PLACES]
    runs = []
    with Progress("recognizers tested", len(settings)) as progress:
        for name, shots, user, place in settings:
            recognizer, origin = loaded[name], describe_start(starts[name])
            runs.append(judge(recognizer, origin, filmed[_middle_view(recognizer)], user, place, shots))
            progress.advance()
    return runs


def read_users(data: Path, recognizer: Recognizer) -> list[Filmed]:
    """Embed every video of every user."""
    sampling = Sampling.of_protocol(recognizer.extractor.frame_size_px)
    places = [(user, place) for user in _folders(data) for place in PLACES]
    videos = [(user.name, place, video) for user, place in places for video in _videos(user, place)]
    if not videos:
        raise DataError(f"{data}: no videos found; expected USER/OBJECT/clean/... and USER/OBJECT/clutter/... in it")
    filmed = []
    with Progress("videos embedded", len(videos)) as progress:
        for user, place, video in videos:
            features = recognizer.embed(to_images(sample_video(video, sampling).pictures, 1)).cpu()
            filmed.append(Filmed(user, video.object, place, video.place, features))
            progress.advance(note=user)
    return filmed


def judge(
    recognizer: Recognizer, origin: dict[str, Any], filmed: Sequence[Filmed], user: str, place: str, shots: Shots
) -> Run:
    """Teach a recognizer one user's videos of a place, and test it on those of the other."""
    own = [video for video in filmed if video.user == user]
    teaching = list(_chosen([video for video in own if video.place == place], shots))
    objects = {video.object for video in teaching}
    asked = [video for video in own if video.place != place and video.object in objects]
    support = SupportSet.of((_taught(video), video.features) for video in teaching)
    personal = teach_features(recognizer, user, support, origin=origin)
    labels = np.concatenate([np.full(len(v.features), personal.objects.index(v.object)) for v in asked])
    scores = personal.scores_of_features(torch.cat([video.features for video in asked]))
    right, sure = scores.probabilities.argmax(axis=1) == labels, scores.probabilities.max(axis=1)
    kinds = kinds_of(personal, asked)
    others = kinds_of(personal, [video for video in filmed if video.user != user])
    estimate, point = personal.calibration.estimate, personal.rejection.point
    near, near_said = _left_out(recognizer, origin, support, asked)
    return Run(
        learner=origin["model"]["learner"],
        shots="all" if shots is None else str(shots),
        user=user,
        taught_in=place,
        objects=len(objects),
        frames=len(labels),
        accuracy=float(right.mean()),
        chance=1 / len(objects),
        estimate=estimate.accuracy if estimate else None,
        low=estimate.low if estimate else None,
        high=estimate.high if estimate else None,
        same_place=estimate.same_place if estimate else None,
        ece=expected_calibration_error(sure, right),
        kept=float((kinds[right] != Certainty.NONE).mean()) if right.any() else None,
        misses=float((kinds == Certainty.NONE).mean()),
        misses_said=point.misses,
        near=near,
        near_said=near_said,
        sure=float((kinds == Certainty.SURE).mean()),
        sure_right=float(right[kinds == Certainty.SURE].mean()) if (kinds == Certainty.SURE).any() else None,
        others_sure=float((others == Certainty.SURE).mean()),
        others_maybe=float((others == Certainty.MAYBE).mean()),
    )


def kinds_of(personal: PersonalRecognizer, videos: Sequence[Filmed]) -> NDArray[np.str_]:
    """The kind of each frame's answer, (frames,)."""
    scores, point = personal.scores_of_features(torch.cat([v.features for v in videos])), personal.rejection.point
    sure = scores.probabilities.max(axis=1)
    return np.array([point.kind(*pair) for pair in zip(scores.familiarity, sure, strict=True)])


def _left_out(
    recognizer: Recognizer, origin: dict[str, Any], support: SupportSet, asked: Sequence[Filmed]
) -> tuple[float | None, float | None]:
    """The share of frames of left-out objects that are named as another object, and its estimate: means over the
    objects."""
    got, said = [], []
    for name in support.objects:
        rest = support.without([name])
        if rest.way < 3:
            return None, None
        personal = teach_features(recognizer, "", rest, origin=origin)
        if (promised := personal.rejection.point.false_alarms) is None:
            return None, None
        kinds = kinds_of(personal, [video for video in asked if video.object == name])
        got.append(float((kinds != Certainty.NONE).mean()))
        said.append(promised)
    return float(np.mean(got)), float(np.mean(said))


def means_table(runs: Sequence[Run]) -> Table:
    """One row per learner and number of videos: means over users and both directions, in percent."""
    rows = []
    for learner in LEARNERS:
        for shots in dict.fromkeys(run.shots for run in runs):
            own = [run for run in runs if (run.learner, run.shots) == (learner, shots)]
            if own:
                rows.append((learner, shots, len(own), *_means(own)))
    percent = [Column(name, shown=_percent) for name in _MEANS]
    caption = f"{EMBEDDED_START.backbone}, means over users taught in one place and tested in the other, in % of frames"
    return Table(caption, ("Learner", "Videos", "Runs", *percent), tuple(rows))


def write_runs(out: Path, runs: Sequence[Run]) -> Path:
    """Write real.csv, one row per run. It holds the users' folder names, but nothing about their objects."""
    path = out / "real.csv"
    names = [field.name for field in fields(Run)]
    rows = [[f"{value:.4f}" if isinstance(value, float) else value for value in astuple(run)] for run in runs]
    write_text(path, csv_text(names, rows))
    return path


_MEANS = (
    *("Right", "Lowest", "ECE", "Estimate", "Off by", "Interval holds", "Right kept", "Sure is right"),
    *("Like things, got", "said", "Others' things, sure", "maybe"),
)


def _means(runs: Sequence[Run]) -> Iterator[float | None]:
    rows = [asdict(run) for run in runs]

    def mean(name: str) -> float | None:
        known = [row[name] for row in rows if row[name] is not None]
        return float(np.mean(known)) if known else None

    estimated = [run for run in runs if run.estimate is not None]
    yield from (mean("accuracy"), min(run.accuracy for run in runs), mean("ece"), mean("estimate"))
    if estimated:
        yield float(np.mean([abs((run.estimate or 0) - run.accuracy) for run in estimated]))
        yield float(np.mean([(run.low or 0) <= run.accuracy <= (run.high or 0) for run in estimated]))
    else:
        yield from (None, None)
    yield from map(mean, ("kept", "sure_right", "near", "near_said", "others_sure", "others_maybe"))


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f}"


def _videos(user: Path, place: str) -> Iterator[OwnVideo]:
    for thing in _folders(user):
        for video_type, entry in video_entries(thing):
            if video_type == place:
                where = Path(entry.path).relative_to(user).as_posix()
                yield OwnVideo(thing.name, user, where, "frames" if entry.is_dir() else "raw")


def _folders(root: Path) -> list[Path]:
    return sorted(Path(entry.path) for entry in visible_entries(root) if entry.is_dir())


def _middle_view(recognizer: Recognizer) -> float | None:
    return recognizer.learner.middle_view if recognizer.learner else None


def _chosen(videos: Sequence[Filmed], shots: Shots) -> Iterator[Filmed]:
    for name in sorted({video.object for video in videos}):
        own = [video for video in videos if video.object == name]
        order = keyed_rng(SEED, "real", own[0].user, own[0].place, name).permutation(len(own))
        yield from own if shots is None else (own[number] for number in sorted(order[:shots].tolist()))


def _taught(video: Filmed) -> TaughtVideo:
    digest = hashlib.sha256(f"{video.object} {video.name}".encode()).hexdigest()
    frames = tuple(range(1, len(video.features) + 1))
    return TaughtVideo(video.object, len(frames), frames, digest)
