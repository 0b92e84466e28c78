"""Teach a recogniser anew with some of a user's videos, and see the other videos' frames as it does."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from orbit_lite.models.heads.fitting import FittedHead, Head
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.support import SupportSet, TaughtVideo, label_of_each_frame, object_names, video_of_each_frame


@dataclass(frozen=True)
class Taught:
    """A recogniser that some of a user's frames taught.

    head: fitted to those. features: any of the frames, chosen by a mask, bool (n,), as this recogniser sees them,
    (m, width), on its device.
    """

    head: FittedHead
    features: Callable[[Tensor], Tensor]


class Teaching(Protocol):
    """One user's videos, and how a recogniser is taught with some of their frames."""

    @property
    def videos(self) -> tuple[TaughtVideo, ...]:
        """All of them, in the order of their objects' names."""
        ...

    def teach(self, frames: Tensor) -> Taught:
        """A recogniser that knows the frames of a mask, bool (n,), and no others; each object must have some."""
        ...


@dataclass(frozen=True)
class HeadTeaching:
    """Features stay as they are; a head is fitted anew.

    Where a learner adapts its extractor to the support set, that has seen all the frames: what comes of it is somewhat
    too good.
    """

    head: Head
    support: SupportSet
    device: torch.device | str = "cpu"

    @property
    def videos(self) -> tuple[TaughtVideo, ...]:
        """See Teaching."""
        return self.support.videos

    @torch.no_grad()
    def teach(self, frames: Tensor) -> Taught:
        """See Teaching."""
        labels = self.support.labels[frames].to(self.device)
        videos = self.support.video_numbers[frames].to(self.device)
        head = self.head.fit(self._features(frames), labels, way=self.support.way, videos=videos)
        return Taught(head, self._features)

    def _features(self, frames: Tensor) -> Tensor:
        return self.support.features[frames].to(self.device)


@dataclass(frozen=True, eq=False)
class WholeTeaching:
    """Everything is done anew, extractor adapted and all: each recogniser takes as long as personalising does.

    images: of all videos' frames, in the order of `videos`, uint8 (n, 3, s, s).
    """

    recognizer: Recognizer
    videos: tuple[TaughtVideo, ...]
    images: Tensor

    def teach(self, frames: Tensor) -> Taught:
        """See Teaching."""
        labels, way = label_of_each_frame(self.videos)[frames], len(object_names(self.videos))
        videos = video_of_each_frame(self.videos)[frames]
        fitted = self.recognizer.personalize(self.images[frames], labels, videos, way=way)
        return Taught(fitted.head, lambda asked: fitted.embed(self.images[asked]))
