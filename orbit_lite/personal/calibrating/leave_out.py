"""What a recognizer makes of videos that it was not taught with, before any test video exists.

Two ways to hold videos out. *One at a time*: in each round one video of every object is held out, the first of each,
then the second, and so on. Videos of one place look alike, so what this gives is too good for another place. *By
likeness*: each object's videos are cut into the two groups that look most unlike each other, and in two rounds one
group of every object is held out. On real photos this is near to what a new place gives.

An object with a single video always teaches; every other video is held out once.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from groundwork.progress import Progress
from orbit_lite.models.heads.fitting import FittedHead, Head
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.decision.familiarity import nearest_cosine, object_means
from orbit_lite.personal.recognizer import (
    SupportSet,
    TaughtVideo,
    label_of_each_frame,
    object_names,
    photos_in_a_row,
    video_of_each_frame,
)

Rounds = Sequence[Sequence[int]]  # places of the videos that each round holds out


@dataclass(frozen=True, eq=False)
class Taught:
    """A recognizer that some of a user's frames taught.

    head: fitted to those. means: of the objects, see `object_means`. features: any of the frames, chosen by a mask,
    bool (n,), as this recognizer sees them, (m, width), on its device.
    """

    head: FittedHead
    means: Tensor
    features: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def scores(self, features: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Features (m, width), as this recognizer sees frames, to logits (m, way) and cosines to the nearest mean."""
        seen = features.to(self.means.device)
        logits, near = self.head.logits(seen), nearest_cosine(seen, self.means)
        return logits.double().cpu().numpy(), near.double().cpu().numpy()


class Teaching(Protocol):
    """One user's videos, and how a recognizer is taught with some of their frames."""

    @property
    def videos(self) -> tuple[TaughtVideo, ...]:
        """All of them, in the order of their objects' names."""
        ...

    @property
    def looks(self) -> Tensor:
        """Features of all frames by which videos are compared, (n, width)."""
        ...

    @property
    def in_a_row(self) -> "Teaching":
        """The same frames, photos that follow each other as one video, see `photos_in_a_row`."""
        ...

    def teach(self, frames: Tensor) -> Taught:
        """A recognizer that knows the frames of a mask, bool (n,), and no others; each object must have some."""
        ...


@dataclass(frozen=True, eq=False)
class HeadTeaching:
    """Features stay as they are; only a head is fitted.

    Where a learner adapts its extractor to the support set, that has seen all the frames: what comes of it is somewhat
    too good.
    """

    head: Head
    support: SupportSet
    device: torch.device | str = "cpu"

    @classmethod
    def settled(cls, recognizer: Recognizer, support: SupportSet) -> "HeadTeaching":
        """With a head whose own numbers are chosen once, on the whole support set, and then held fixed."""
        head, device = recognizer.head, recognizer.device
        if recognizer.learner is not None and (settle := recognizer.head_record.settle):
            taught = support.features.to(device), support.labels.to(device), support.video_numbers.to(device)
            head = settle(head, *taught, support.way)
        return cls(head, support, device)

    @property
    def videos(self) -> tuple[TaughtVideo, ...]:
        """See Teaching."""
        return self.support.videos

    @property
    def looks(self) -> Tensor:
        """See Teaching."""
        return self.support.features

    @property
    def in_a_row(self) -> "HeadTeaching":
        """See Teaching."""
        return replace(self, support=self.support.in_a_row)

    @torch.no_grad()
    def teach(self, frames: Tensor) -> Taught:
        """See Teaching."""
        way, features = self.support.way, self._features(frames)
        labels, videos = self.support.labels[frames].to(self.device), self.support.video_numbers[frames].to(self.device)
        head = self.head.fit(features, labels, way=way, videos=videos)
        return Taught(head, object_means(features, labels, videos, way=way), self._features)

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

    @cached_property
    def looks(self) -> Tensor:
        """See Teaching: as the extractor sees frames before it adapts."""
        return self.recognizer.embed(self.images).cpu()

    @property
    def in_a_row(self) -> "WholeTeaching":
        """See Teaching."""
        return replace(self, videos=photos_in_a_row(self.videos))

    def teach(self, frames: Tensor) -> Taught:
        """See Teaching."""
        labels, way = label_of_each_frame(self.videos)[frames], len(object_names(self.videos))
        videos = video_of_each_frame(self.videos)[frames]
        fitted = self.recognizer.personalize(self.images[frames], labels, videos, way=way)
        device = self.recognizer.device
        own = fitted.embed(self.images[frames])
        means = object_means(own, labels.to(device), videos.to(device), way=way)
        return Taught(fitted.head, means, lambda asked: fitted.embed(self.images[asked]))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Every frame that was held out, (f,) each, in the order of the support set.

    frame: its place in the support set. video: its video's place. round: which one it was held out in. label: its
    object. logits: (f, way). cosine: to the nearest object's mean.
    """

    frame: NDArray[np.int64]
    video: NDArray[np.int64]
    round: NDArray[np.int64]
    label: NDArray[np.int64]
    logits: NDArray[np.float64]
    cosine: NDArray[np.float64]

    @property
    def prediction(self) -> NDArray[np.int64]:
        """The likeliest object."""
        return np.asarray(self.logits.argmax(axis=1), np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each was recognized."""
        return np.asarray(self.prediction == self.label)

    @property
    def videos(self) -> int:
        """How many videos were held out."""
        return len(np.unique(self.video))


def rounds_of_single_videos(videos: Sequence[TaughtVideo]) -> list[list[int]]:
    """The places of the videos held out one at a time of each object; there is no round if no object has two.

    An object's first video is the one with the lowest digest: neither names nor order of files change a round.
    """
    several = [places for places in _places_of_objects(videos) if len(places) > 1]
    count = max(map(len, several), default=0)
    return [[places[number] for places in several if number < len(places)] for number in range(count)]


def rounds_by_likeness(videos: Sequence[TaughtVideo], looks: Tensor) -> list[list[int]]:
    """The places of the videos held out in two rounds, one group of each object's videos in each.

    Groups are the last two of Ward's linkage of the videos' mean directions; that with the lowest digest is first.

    Args:
        videos: as for a SupportSet.
        looks: features of their frames, (n, width).

    Source: Ward 1963.
    """
    means = [
        F.normalize(part, dim=1).double().mean(dim=0) for part in looks.cpu().split([len(v.frames) for v in videos])
    ]
    groups = [_two_groups(places, means) for places in _places_of_objects(videos) if len(places) > 1]
    return [[place for pair in groups for place in pair[number]] for number in (0, 1)] if groups else []


def hold_out(
    teaching: Teaching,
    rounds: Rounds,
    *,
    quiet: bool = True,
    taught_in: Callable[[int, Taught], object] = lambda number, taught: None,
) -> HeldOut:
    """Hold each round's videos out, and see what a recognizer that was taught with the others makes of them.

    Args:
        teaching: the videos, and how to teach with some of them.
        rounds: the videos held out; none twice, and never all of an object. A round without videos teaches with all.
        quiet: show no progress: where only heads are fitted, it is done at once.
        taught_in: is called with each round's number and recognizer.
    """
    of_frame, labels = video_of_each_frame(teaching.videos), label_of_each_frame(teaching.videos)
    way = len(object_names(teaching.videos))
    parts = []
    with Progress("rounds of holding videos out", len(rounds), quiet=quiet) as progress:
        for number, held in enumerate(rounds):
            out = torch.isin(of_frame, torch.tensor(held, dtype=torch.int64))
            taught = teaching.teach(~out)
            taught_in(number, taught)
            logits, cosine = taught.scores(taught.features(out))
            place = out.nonzero().flatten().numpy()
            parts.append((place, np.full(len(place), number), logits, cosine))
            progress.advance()
    if not parts:
        none = np.empty(0, np.int64)
        return HeldOut(none, none, none, none, np.empty((0, way)), np.empty(0))
    frame, which, logits, cosine = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(frame)
    frame = frame[order]
    return HeldOut(
        frame=frame,
        video=of_frame.numpy()[frame],
        round=which[order],
        label=labels.numpy()[frame],
        logits=logits[order],
        cosine=cosine[order],
    )


def _places_of_objects(videos: Sequence[TaughtVideo]) -> list[list[int]]:
    """The places of each object's videos, by digest, objects in the order of their names."""
    of_object = defaultdict(list)
    for place in sorted(range(len(videos)), key=lambda place: videos[place].digest):
        of_object[videos[place].object].append(place)
    return [places for _, places in sorted(of_object.items())]


def _two_groups(places: Sequence[int], means: Sequence[Tensor]) -> tuple[list[int], list[int]]:
    if len(places) == 2:
        return [places[0]], [places[1]]
    from scipy.cluster.hierarchy import linkage, to_tree  # takes half a second to import

    tree = to_tree(linkage(np.stack([means[place].numpy() for place in places]), method="ward"))
    groups = [sorted(branch.pre_order()) for branch in (tree.get_left(), tree.get_right())]
    first, second = sorted(groups)  # places come by digest: that with the first of them is first
    return [places[number] for number in first], [places[number] for number in second]
