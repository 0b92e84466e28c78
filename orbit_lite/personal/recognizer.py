"""A personal recognizer: one user's objects, what they were taught with, and how its answers were calibrated."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from orbit_lite.models.recognizer import FittedRecognizer
from orbit_lite.personal.decision.calibration import UNCALIBRATED, Calibration
from orbit_lite.personal.decision.confidence import confidences
from orbit_lite.personal.decision.familiarity import nearest_cosine, object_means
from orbit_lite.personal.decision.rejection import Rejection

PHOTOS_IN_A_ROW = 5


@dataclass(frozen=True)
class TaughtVideo:
    """A video that an object was taught with.

    length: its frames, at 30 a second. frames: numbers (from 1) of those taken, rising. digest: SHA-256 of their
    pixels, as hex; the file's name is not kept. issues: how it was filmed, names of data_prep.quality.estimate.ISSUES.
    """

    object: str
    length: int
    frames: tuple[int, ...]
    digest: str
    issues: tuple[str, ...] = ()


def object_names(videos: Iterable[TaughtVideo]) -> tuple[str, ...]:
    """Sorted names of the objects: the class indices."""
    return tuple(sorted({video.object for video in videos}))


def video_of_each_frame(videos: Sequence[TaughtVideo]) -> Tensor:
    """Which of the videos each of their frames is of, one video after the other, int64 (n,)."""
    return torch.repeat_interleave(torch.tensor([len(video.frames) for video in videos]))


def label_of_each_frame(videos: Sequence[TaughtVideo]) -> Tensor:
    """Class of each of the videos' frames, one video after the other, int64 (n,)."""
    names = object_names(videos)
    return torch.tensor([names.index(video.object) for video in videos])[video_of_each_frame(videos)]


def photos_in_a_row(videos: Sequence[TaughtVideo]) -> tuple[TaughtVideo, ...]:
    """The same frames, photos that follow each other taken together as one video, PHOTOS_IN_A_ROW or so each.

    Photos in a row are most often of one place, and near copies of each other. Each by itself, the most unlike of them
    would be held out, such as all of one side of a thing: on five users' photos that gave an estimate 28 points too
    low, and taken together one that is 4 off. An object with two photos or more has two videos at least.

    Args:
        videos: those of one object together; a photo is a video of one frame.
    """
    together: list[TaughtVideo] = []
    for (name, photos), run in groupby(videos, key=lambda video: (video.object, len(video.frames) == 1)):
        own = list(run)
        if not photos:
            together += own
            continue
        count = max(min(len(own), 2), round(len(own) / PHOTOS_IN_A_ROW))
        for places in np.array_split(np.arange(len(own)), count):
            digest = min(own[place].digest for place in places)
            together.append(TaughtVideo(name, len(places), tuple(range(1, len(places) + 1)), digest))
    return tuple(together)


@dataclass(frozen=True, eq=False)
class SupportSet:
    """One user's support set, embedded.

    videos: those of one object together, objects in the order of their names. features: of the videos' frames, in that
    order, float32 (n, width), on the CPU.
    """

    videos: tuple[TaughtVideo, ...]
    features: Tensor

    @classmethod
    def of(cls, videos: Iterable[tuple[TaughtVideo, Tensor]]) -> "SupportSet":
        """Put videos, each with its features, in order of their objects' names."""
        ordered = sorted(videos, key=lambda pair: pair[0].object)  # stable: an object's videos stay in their order
        return cls(tuple(video for video, _ in ordered), torch.cat([features.cpu() for _, features in ordered]))

    @cached_property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects: the class indices."""
        return object_names(self.videos)

    @property
    def way(self) -> int:
        """How many objects there are."""
        return len(self.objects)

    @cached_property
    def labels(self) -> Tensor:
        """Class of each frame, int64 (n,)."""
        return label_of_each_frame(self.videos)

    @cached_property
    def video_numbers(self) -> Tensor:
        """Which of the videos each frame is of, int64 (n,)."""
        return video_of_each_frame(self.videos)

    @cached_property
    def in_a_row(self) -> "SupportSet":
        """The same with `photos_in_a_row`; frames and features are as they were."""
        return SupportSet(photos_in_a_row(self.videos), self.features)

    def parts(self) -> list[tuple[TaughtVideo, Tensor]]:
        """Each video with its features, (frames, width)."""
        lengths = [len(video.frames) for video in self.videos]
        return list(zip(self.videos, self.features.split(lengths), strict=True))

    def without(self, objects: Sequence[str]) -> "SupportSet":
        """The set without some objects; at least one must stay."""
        return SupportSet.of(pair for pair in self.parts() if pair[0].object not in objects)

    def only(self, objects: Sequence[str]) -> "SupportSet":
        """The set with these objects alone, at least one."""
        return SupportSet.of(pair for pair in self.parts() if pair[0].object in objects)

    def means(self) -> Tensor:
        """Each object's mean direction, (way, width), on the CPU; see `object_means`."""
        return object_means(self.features, self.labels, self.video_numbers, way=self.way)


@dataclass(frozen=True, eq=False)
class FrameScores:
    """What m frames look like.

    probabilities: of each object, calibrated, float64 (m, way). familiarity: see Familiarity, float64 (m,).
    """

    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]


@dataclass(frozen=True)
class PersonalRecognizer:
    """One user's recognizer. A value: to teach or forget an object gives another one.

    fitted: extractor (adapted, where the learner does that) and head. user: who filmed. support: what it was taught
    with. calibration: how scores become answers. origin: where it comes from (model, config, versions), plain JSON.
    """

    fitted: FittedRecognizer
    user: str
    support: SupportSet
    calibration: Calibration = UNCALIBRATED
    origin: Mapping[str, Any] = field(default_factory=dict)

    @property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects: the class indices."""
        return self.support.objects

    @property
    def rejection(self) -> Rejection:
        """When it answers "none of these"."""
        return self.calibration.rejection

    @property
    def frame_size_px(self) -> int:
        """Side of the frames it takes."""
        return self.fitted.recognizer.extractor.frame_size_px

    def with_strictness(self, strictness: str) -> "PersonalRecognizer":
        """The same at another point of its curve. Raises UsageError as `Rejection.at`."""
        return replace(self, calibration=replace(self.calibration, rejection=self.rejection.at(strictness)))

    def scores(self, images: Tensor, *, chunk: int | None = None) -> FrameScores:
        """Frames, uint8 (m, 3, s, s), to what they look like. Raises DataError as `Recognizer.embed`."""
        return self.scores_of_features(self.fitted.embed(images, chunk=chunk))

    def scores_of_features(self, features: Tensor) -> FrameScores:
        """Features (m, width), as `fitted.embed` gives them, to what the frames look like."""
        logits = self.fitted.logits_from_features(features).double().cpu().numpy()
        near = nearest_cosine(features.to(self._means.device), self._means).double().cpu().numpy()
        calibration = self.calibration
        return FrameScores(
            confidences(logits, calibration.temperature), calibration.familiarity(logits.max(axis=1), near)
        )

    @cached_property
    def _means(self) -> Tensor:
        return self.support.means().to(self.fitted.recognizer.device)
