"""How familiar a frame is: how much it looks like any of the things that were taught."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

LEAST_SPREAD = 1e-9  # a standard deviation below this says that all frames look the same


@dataclass(frozen=True)
class Familiarity:
    """Two signs of a known thing, added: the head's highest logit, and the cosine to the nearest object's mean.

    The head's score tells things of the same kind apart, but often passes things of another kind; the cosine stops
    those. Each is in standard deviations of held-out frames, from their mean.

    score_weight, cosine_weight: one over each standard deviation. offset: what puts the mean of held-out frames at 0.
    """

    score_weight: float = 0.0
    cosine_weight: float = 1.0
    offset: float = 0.0

    @classmethod
    def of_held_out(cls, top_logits: ArrayLike, cosines: ArrayLike) -> Self:
        """From held-out frames of the objects, (f,) each, f >= 1."""
        scores, nearness = np.asarray(top_logits, np.float64), np.asarray(cosines, np.float64)
        of_scores, of_nearness = 1 / (scores.std() + LEAST_SPREAD), 1 / (nearness.std() + LEAST_SPREAD)
        return cls(
            float(of_scores), float(of_nearness), float(-of_scores * scores.mean() - of_nearness * nearness.mean())
        )

    def __call__(self, top_logits: ArrayLike, cosines: ArrayLike) -> NDArray[np.float64]:
        """Highest logits and cosines, (m,) each, to familiarity (m,); held-out frames have a mean of 0."""
        scores, nearness = np.asarray(top_logits, np.float64), np.asarray(cosines, np.float64)
        return self.score_weight * scores + self.cosine_weight * nearness + self.offset


def object_means(features: Tensor, labels: Tensor, videos: Tensor, *, way: int) -> Tensor:
    """Each object's mean direction: of its videos' means, so that a long video counts no more than a short one.

    Args:
        features: (n, width).
        labels: int64 (n,), every one of 0..way-1 present.
        videos: int64 (n,), which video each frame is of; no video has two labels.
        way: number of objects.

    Returns:
        (way, width), not of unit length.
    """
    _, video, frames = videos.unique(return_inverse=True, return_counts=True)
    label_of_video = labels.new_zeros(len(frames)).scatter_(0, video, labels)
    shares = 1 / (frames[video] * label_of_video.bincount(minlength=way)[labels]).to(features.dtype)
    # A matrix product, not index_add, whose order of summation on CUDA changes from run to run.
    return (F.one_hot(labels, way).T * shares) @ F.normalize(features, dim=1)


def nearest_cosine(features: Tensor, means: Tensor) -> Tensor:
    """Cosine of the angle to the nearest of the means: (m, width) and (way, width) to (m,), in [-1, 1]."""
    return (F.normalize(features, dim=1) @ F.normalize(means, dim=1).T).amax(1)


def weights_by_video(videos: Sequence[int] | NDArray[np.integer]) -> NDArray[np.float64]:
    """What each frame weighs if each video weighs 1: which video each is of, (f,), to (f,)."""
    _, video, frames = np.unique(np.asarray(videos), return_inverse=True, return_counts=True)
    return np.asarray(1 / frames[video], dtype=np.float64)
