"""Leave one video out: what a recogniser makes of videos it was not taught with, before any test video exists.

In each round one video of every object is held out, the first of each, then the second, and so on; an object with a
single video always teaches. So every video of an object that has two or more is held out once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from groundwork.progress import Progress
from orbit_lite.models.heads.fitting import FittedHead, Head, class_means
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.familiarity import familiarity
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
    """Features stay as they are; only a head is fitted.

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
    """Everything is done again, the extractor's adaptation too: each recognizer takes as long as personalizing does.

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


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Every frame that was held out, (f,) each, in the order of the support set.

    frame: its place in the support set. label, prediction: classes. known: its familiarity. strange: the same where its
    object was not taught at all.
    """

    frame: NDArray[np.int64]
    label: NDArray[np.int64]
    prediction: NDArray[np.int64]
    known: NDArray[np.float32]
    strange: NDArray[np.float32]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each was recognised."""
        return np.asarray(self.prediction == self.label)


def rounds(videos: Sequence[TaughtVideo]) -> list[list[int]]:
    """The places of the videos held out in each round; there is none if no object has two.

    An object's first video is the one with the lowest digest: neither names nor order of files change a round.
    """
    of_object = defaultdict(list)
    for place in sorted(range(len(videos)), key=lambda place: videos[place].digest):
        of_object[videos[place].object].append(place)
    several = [places for _, places in sorted(of_object.items()) if len(places) > 1]
    count = max(map(len, several), default=0)
    return [[places[number] for places in several if number < len(places)] for number in range(count)]


def leave_one_video_out(teaching: Teaching, *, quiet: bool = True) -> HeldOut:
    """Hold out each video in its round, and see what a recogniser that was taught with the others makes of it.

    Args:
        teaching: the videos, and how to teach with some of them.
        quiet: show no progress: where only heads are fitted, it is done at once.
    """
    todo = rounds(teaching.videos)
    parts = []
    with Progress("rounds of leaving a video out", len(todo), quiet=quiet) as progress:
        for held in todo:
            parts.append(_round(teaching, held))
            progress.advance()
    if not parts:
        none, numbers = np.empty(0, np.int64), np.empty(0, np.float32)
        return HeldOut(none, none, none, numbers, numbers)
    frame, label, prediction, known, strange = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(frame)
    return HeldOut(frame[order], label[order], prediction[order], known[order], strange[order])


@torch.no_grad()
def _round(
    teaching: Teaching, held: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    out = torch.isin(video_of_each_frame(teaching.videos), torch.tensor(held))
    labels, way = label_of_each_frame(teaching.videos), len(object_names(teaching.videos))
    taught = teaching.teach(~out)
    known, asked = taught.features(~out), taught.features(out)
    prediction = taught.head.logits(asked).argmax(1)
    near = familiarity(asked, class_means(known, labels[~out].to(known.device), way=way))
    # as if the object were not among those taught
    strange = near.scatter(1, labels[out][:, None].to(near.device), -torch.inf).amax(1)
    return (
        out.nonzero().flatten().numpy(),
        labels[out].numpy(),
        prediction.cpu().numpy(),
        near.amax(1).cpu().numpy(),
        strange.cpu().numpy(),
    )
