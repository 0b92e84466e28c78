"""What one user's objects were taught with: videos, and the features of the frames taken of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


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

    def parts(self) -> list[tuple[TaughtVideo, Tensor]]:
        """Each video with its features, (frames, width)."""
        lengths = [len(video.frames) for video in self.videos]
        return list(zip(self.videos, self.features.split(lengths), strict=True))

    def without(self, objects: Sequence[str]) -> "SupportSet":
        """The set without some objects; at least one must stay."""
        return SupportSet.of(pair for pair in self.parts() if pair[0].object not in objects)
