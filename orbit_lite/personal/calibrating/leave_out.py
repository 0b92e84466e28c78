"""Tests a recognizer on videos that it was not taught with, before any test video exists.

There are two ways to hold videos out. *One at a time*: each round holds out one video of every object, first the first
ones, then the second ones, and so on. Videos of one place look alike, so the results are too good for another place.
*By likeness*: each object's videos are split into the two groups that look least alike, and each of two rounds holds
out one group of every object. On real photos, the results are close to those in a new place.

An object with a single video always teaches; every other video is held out exactly once.
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
    group_photos,
    label_of_each_frame,
    object_names,
    video_of_each_frame,
)

Rounds = Sequence[Sequence[int]]  # indices of the videos that each round holds out


@dataclass(frozen=True, eq=False)
class TaughtRecognizer:
    """A recognizer taught with some of a user's frames.

    head: the head fitted to these frames. means: the objects' means, see `object_means`. features: takes a mask,
    bool (n,), and returns the features of the selected frames, (m, width), on this recognizer's device.
    """

    head: FittedHead
    means: Tensor
    features: Callable[[Tensor], Tensor]

    @torch.no_grad()
    def scores(self, features: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Turn this recognizer's features (m, width) into logits (m, way) and cosines to the nearest mean (m,)."""
        seen = features.to(self.means.device)
        logits, near = self.head.logits(seen), nearest_cosine(seen, self.means)
        return logits.double().cpu().numpy(), near.double().cpu().numpy()


class Teaching(Protocol):
    """One user's videos, and a way to teach a recognizer with some of their frames."""

    @property
    def videos(self) -> tuple[TaughtVideo, ...]:
        """All videos, in the order of their objects' names."""
        ...

    @property
    def comparison_features(self) -> Tensor:
        """Features of all frames, for comparing videos, (n, width)."""
        ...

    @property
    def with_grouped_photos(self) -> "Teaching":
        """The same frames, with consecutive photos grouped into one video, see `group_photos`."""
        ...

    def teach(self, frames: Tensor) -> TaughtRecognizer:
        """Teach a recognizer with only the frames in a mask, bool (n,), which must include some of each object."""
        ...


@dataclass(frozen=True, eq=False)
class HeadTeaching:
    """Teaching that fits only a head to fixed features.

    If a learner adapts its extractor to the support set, the extractor has seen all the frames, so the results are
    somewhat too good.
    """

    head: Head
    support: SupportSet
    device: torch.device | str = "cpu"

    @classmethod
    def settled(cls, recognizer: Recognizer, support: SupportSet) -> "HeadTeaching":
        """With a head whose hyperparameters are chosen once, on the whole support set, and then kept fixed."""
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
    def comparison_features(self) -> Tensor:
        """See Teaching."""
        return self.support.features

    @property
    def with_grouped_photos(self) -> "HeadTeaching":
        """See Teaching."""
        return replace(self, support=self.support.with_grouped_photos)

    @torch.no_grad()
    def teach(self, frames: Tensor) -> TaughtRecognizer:
        """See Teaching."""
        way, features = self.support.way, self._features(frames)
        labels, videos = self.support.labels[frames].to(self.device), self.support.video_numbers[frames].to(self.device)
        head = self.head.fit(features, labels, way=way, videos=videos)
        return TaughtRecognizer(head, object_means(features, labels, videos, way=way), self._features)

    def _features(self, frames: Tensor) -> Tensor:
        return self.support.features[frames].to(self.device)


@dataclass(frozen=True, eq=False)
class WholeTeaching:
    """Teaching that repeats everything, including the extractor's adaptation: each recognizer takes as long as
    personalizing does.

    images: the frames of all videos, in the order of `videos`, uint8 (n, 3, s, s).
    """

    recognizer: Recognizer
    videos: tuple[TaughtVideo, ...]
    images: Tensor

    @cached_property
    def comparison_features(self) -> Tensor:
        """See Teaching: the features before the extractor adapts."""
        return self.recognizer.embed(self.images).cpu()

    @property
    def with_grouped_photos(self) -> "WholeTeaching":
        """See Teaching."""
        return replace(self, videos=group_photos(self.videos))

    def teach(self, frames: Tensor) -> TaughtRecognizer:
        """See Teaching."""
        labels, way = label_of_each_frame(self.videos)[frames], len(object_names(self.videos))
        videos = video_of_each_frame(self.videos)[frames]
        fitted = self.recognizer.personalize(self.images[frames], labels, videos, way=way)
        device = self.recognizer.device
        own = fitted.embed(self.images[frames])
        means = object_means(own, labels.to(device), videos.to(device), way=way)
        return TaughtRecognizer(fitted.head, means, lambda asked: fitted.embed(self.images[asked]))


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Every held-out frame, in the order of the support set; arrays of shape (f,) unless noted.

    frame: its index in the support set. video: its video's index. round: the round that held it out. label: its object.
    logits: (f, way). cosine: to the nearest object's mean.
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
    """Rounds that hold out one video of each object at a time, as indices; no rounds if no object has two videos.

    Each object's videos are ordered by digest, so neither the names nor the order of files change a round.
    """
    several = [places for places in _places_of_objects(videos) if len(places) > 1]
    count = max(map(len, several), default=0)
    return [[places[number] for places in several if number < len(places)] for number in range(count)]


def rounds_by_likeness(videos: Sequence[TaughtVideo], comparison_features: Tensor) -> list[list[int]]:
    """Two rounds, each of which holds out one group of every object's videos, as indices.

    The groups are the last two clusters of Ward's linkage of the videos' mean directions; the group with the lowest
    digest is first.

    Args:
        videos: in the order of a SupportSet.
        comparison_features: features of their frames, (n, width).

    Source: Ward 1963.
    """
    means = [
        F.normalize(part, dim=1).double().mean(dim=0)
        for part in comparison_features.cpu().split([len(v.frames) for v in videos])
    ]
    groups = [_two_groups(places, means) for places in _places_of_objects(videos) if len(places) > 1]
    return [[place for pair in groups for place in pair[number]] for number in (0, 1)] if groups else []


def hold_out(
    teaching: Teaching,
    rounds: Rounds,
    *,
    quiet: bool = True,
    taught_in: Callable[[int, TaughtRecognizer], object] = lambda number, taught: None,
) -> HeldOut:
    """Hold each round's videos out, and score them with a recognizer taught with the others.

    Args:
        teaching: the videos, and how to teach with some of them.
        rounds: the videos to hold out; none twice, and never all of an object. A round without videos teaches with all.
        quiet: show no progress; for fitting only heads, which is quick.
        taught_in: called with each round's number and recognizer.
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
    """The indices of each object's videos, ordered by digest; objects in the order of their names."""
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
    first, second = sorted(groups)  # indices are ordered by digest, so the group with the lowest digest is first
    return [places[number] for number in first], [places[number] for number in second]
