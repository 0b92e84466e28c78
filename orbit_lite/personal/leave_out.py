"""Leave one video out: what a recogniser makes of videos it was not taught with, before any test video exists.

In each round one video of every object is held out, the first of each, then the second, and so on; an object with a
single video always teaches. So every video of an object that has two or more is held out once.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from orbit_lite.models.fitting import Head, class_means
from orbit_lite.personal.familiarity import familiarity
from orbit_lite.personal.support import SupportSet


@dataclass(frozen=True)
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


def rounds(objects: Sequence[str]) -> Iterator[list[int]]:
    """The videos held out in each round.

    Args:
        objects: of each video.

    >>> list(rounds(["bag", "bag", "keys", "mug", "mug", "mug"]))
    [[0, 3], [1, 4], [5]]
    """
    videos = defaultdict(list)
    for video, name in enumerate(objects):
        videos[name].append(video)
    several = [of_object for of_object in videos.values() if len(of_object) > 1]
    for number in range(max(map(len, several), default=0)):
        yield [of_object[number] for of_object in several if number < len(of_object)]


def leave_one_video_out(head: Head, support: SupportSet, *, device: torch.device | str = "cpu") -> HeldOut:
    """Hold out each video in its round, and see what the others make of its frames.

    The features stay as they are. Where a learner adapts its extractor to the support set, that has seen the videos
    held out, so the result is somewhat too good.

    Args:
        head: fitted anew in each round.
        support: all there is.
        device: where the head computes.
    """
    parts = [_round(head, support, held, device) for held in rounds([video.object for video in support.videos])]
    if not parts:
        none, numbers = np.empty(0, np.int64), np.empty(0, np.float32)
        return HeldOut(none, none, none, numbers, numbers)
    frame, label, prediction, known, strange = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(frame)
    return HeldOut(frame[order], label[order], prediction[order], known[order], strange[order])


@torch.no_grad()
def _round(
    head: Head, support: SupportSet, held: Sequence[int], device: torch.device | str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    out = torch.isin(support.video_of_frame, torch.tensor(held))
    taught, taught_labels = support.features[~out].to(device), support.labels[~out].to(device)
    queries, labels = support.features[out].to(device), support.labels[out].to(device)
    prediction = head.fit(taught, taught_labels, way=support.way).logits(queries).argmax(1)
    near = familiarity(queries, class_means(taught, taught_labels, way=support.way))
    # as if the object were not among those taught
    strange = near.scatter(1, labels[:, None], -torch.inf).amax(1)
    frame = out.nonzero().flatten()
    return (
        frame.numpy(),
        labels.cpu().numpy(),
        prediction.cpu().numpy(),
        near.amax(1).cpu().numpy(),
        strange.cpu().numpy(),
    )
