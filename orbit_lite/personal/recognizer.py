"""A personal recognizer: one user's objects, the features it was taught with, and the calibration of its answers."""

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

PHOTOS_PER_GROUP = 5


@dataclass(frozen=True)
class TaughtVideo:
    """A video that taught an object. The file's name is not kept.

    length: number of frames, at 30 per second. frames: numbers (from 1) of the frames used, increasing. digest: SHA-256
    of their pixels, as hex. issues: problems in how it was filmed, names in data_prep.quality.estimate.ISSUES.
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
    """The index of each frame's video, for the frames of one video after the other, int64 (n,)."""
    return torch.repeat_interleave(torch.tensor([len(video.frames) for video in videos]))


def label_of_each_frame(videos: Sequence[TaughtVideo]) -> Tensor:
    """The class of each frame, for the frames of one video after the other, int64 (n,)."""
    names = object_names(videos)
    return torch.tensor([names.index(video.object) for video in videos])[video_of_each_frame(videos)]


def group_photos(videos: Sequence[TaughtVideo]) -> tuple[TaughtVideo, ...]:
    """The same frames, with consecutive photos grouped into videos of about PHOTOS_PER_GROUP photos.

    Consecutive photos usually show one place and are near copies of each other. If they were held out one by one, the
    least similar ones would be, for example all of one side of a thing: on five users' photos, this gave an estimate 28
    points too low, while grouping gave one that was 4 points off. An object with two or more photos gets at least two
    videos.

    Args:
        videos: sorted by object; a photo is a video of one frame.
    """
    together: list[TaughtVideo] = []
    for (name, photos), run in groupby(videos, key=lambda video: (video.object, len(video.frames) == 1)):
        own = list(run)
        if not photos:
            together += own
            continue
        count = max(min(len(own), 2), round(len(own) / PHOTOS_PER_GROUP))
        for places in np.array_split(np.arange(len(own)), count):
            digest = min(own[place].digest for place in places)
            together.append(TaughtVideo(name, len(places), tuple(range(1, len(places) + 1)), digest))
    return tuple(together)


@dataclass(frozen=True, eq=False)
class SupportSet:
    """One user's support set, embedded.

    videos: sorted by object name. features: features of the videos' frames, in that order, float32 (n, width), on the
    CPU.
    """

    videos: tuple[TaughtVideo, ...]
    features: Tensor

    @classmethod
    def of(cls, videos: Iterable[tuple[TaughtVideo, Tensor]]) -> "SupportSet":
        """Sort videos, each with its features, by object name."""
        ordered = sorted(videos, key=lambda pair: pair[0].object)  # stable, so an object's videos keep their order
        return cls(tuple(video for video, _ in ordered), torch.cat([features.cpu() for _, features in ordered]))

    @cached_property
    def objects(self) -> tuple[str, ...]:
        """Sorted names of the objects: the class indices."""
        return object_names(self.videos)

    @property
    def way(self) -> int:
        """Number of objects."""
        return len(self.objects)

    @cached_property
    def labels(self) -> Tensor:
        """Class of each frame, int64 (n,)."""
        return label_of_each_frame(self.videos)

    @cached_property
    def video_numbers(self) -> Tensor:
        """The index of each frame's video, int64 (n,)."""
        return video_of_each_frame(self.videos)

    @cached_property
    def with_grouped_photos(self) -> "SupportSet":
        """The same set with `group_photos`; its frames and features are unchanged."""
        return SupportSet(group_photos(self.videos), self.features)

    def parts(self) -> list[tuple[TaughtVideo, Tensor]]:
        """Each video with its features, (frames, width)."""
        lengths = [len(video.frames) for video in self.videos]
        return list(zip(self.videos, self.features.split(lengths), strict=True))

    def without(self, objects: Sequence[str]) -> "SupportSet":
        """The set without some objects; at least one must remain."""
        return SupportSet.of(pair for pair in self.parts() if pair[0].object not in objects)

    def only(self, objects: Sequence[str]) -> "SupportSet":
        """The set with only these objects, at least one."""
        return SupportSet.of(pair for pair in self.parts() if pair[0].object in objects)

    def means(self) -> Tensor:
        """Each object's mean direction, (way, width), on the CPU; see `object_means`."""
        return object_means(self.features, self.labels, self.video_numbers, way=self.way)


@dataclass(frozen=True, eq=False)
class FrameScores:
    """The scores of m frames.

    probabilities: calibrated probability of each object, float64 (m, way). familiarity: see Familiarity, float64 (m,).
    """

    probabilities: NDArray[np.float64]
    familiarity: NDArray[np.float64]


@dataclass(frozen=True)
class PersonalRecognizer:
    """One user's recognizer. It is immutable: teaching or forgetting an object returns a new one.

    fitted: extractor (adapted, if the learner adapts it) and head. user: the person who filmed. support: what it was
    taught with. calibration: how scores become answers. origin: the model, config and versions it was made with, as
    plain JSON.
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
        """Side of the frames that it expects."""
        return self.fitted.recognizer.extractor.frame_size_px

    def with_strictness(self, strictness: str) -> "PersonalRecognizer":
        """The same recognizer with another strictness. Raises UsageError as `Rejection.at`."""
        return replace(self, calibration=replace(self.calibration, rejection=self.rejection.at(strictness)))

    def scores(self, images: Tensor, *, chunk: int | None = None) -> FrameScores:
        """Score frames, uint8 (m, 3, s, s). Raises DataError as `Recognizer.embed`."""
        return self.scores_of_features(self.fitted.embed(images, chunk=chunk))

    def scores_of_features(self, features: Tensor) -> FrameScores:
        """Score frames from their features (m, width), see `fitted.embed`."""
        logits = self.fitted.logits_from_features(features).double().cpu().numpy()
        near = nearest_cosine(features.to(self._means.device), self._means).double().cpu().numpy()
        calibration = self.calibration
        return FrameScores(
            confidences(logits, calibration.temperature), calibration.familiarity(logits.max(axis=1), near)
        )

    @cached_property
    def _means(self) -> Tensor:
        return self.support.means().to(self.fitted.recognizer.device)
