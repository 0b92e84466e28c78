"""Familiarity: how much a frame looks like any of the taught objects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

LEAST_SPREAD = 1e-9  # a standard deviation below this means that all frames look the same


@dataclass(frozen=True)
class Familiarity:
    """The sum of two signs of a known object: the head's highest logit, and the cosine to the nearest object's mean.

    The logit separates things of the same kind, but is often high for things of another kind; the cosine rejects those.
    Both are standardized by the mean and standard deviation of held-out frames.

    score_weight, cosine_weight: one over each standard deviation. offset: makes the mean over held-out frames 0.
    """

    score_weight: float = 0.0
    cosine_weight: float = 1.0
    offset: float = 0.0

    @classmethod
    def of_held_out(cls, top_logits: ArrayLike, cosines: ArrayLike) -> Self:
        """Compute from held-out frames of the objects, (f,) each, f >= 1."""
        scores, nearness = np.asarray(top_logits, np.float64), np.asarray(cosines, np.float64)
        of_scores, of_nearness = 1 / (scores.std() + LEAST_SPREAD), 1 / (nearness.std() + LEAST_SPREAD)
        return cls(
            float(of_scores), float(of_nearness), float(-of_scores * scores.mean() - of_nearness * nearness.mean())
        )

    def __call__(self, top_logits: ArrayLike, cosines: ArrayLike) -> NDArray[np.float64]:
        """Turn highest logits and cosines, (m,) each, into familiarity (m,); the mean over held-out frames is 0."""
        scores, nearness = np.asarray(top_logits, np.float64), np.asarray(cosines, np.float64)
        return self.score_weight * scores + self.cosine_weight * nearness + self.offset


def object_means(features: Tensor, labels: Tensor, videos: Tensor, *, way: int) -> Tensor:
    """Each object's mean direction. It is the mean of its videos' means, so long videos count no more than short ones.

    Args:
        features: (n, width).
        labels: int64 (n,), every one of 0..way-1 present.
        videos: int64 (n,), the video of each frame; no video has two labels.
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
    """Frame weights with which each video weighs 1: from the video of each frame, (f,), to (f,)."""
    _, video, frames = np.unique(np.asarray(videos), return_inverse=True, return_counts=True)
    return np.asarray(1 / frames[video], dtype=np.float64)
