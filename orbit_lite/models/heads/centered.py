"""The input of the closed-form heads, ridge and LDA: directions of features relative to the support set's mean.

A feature x becomes a = unit(x' - m), where x' = unit(x) and m is the mean of the support set's x'. If no support
feature is negative (for example after a ReLU), x' = unit(sqrt(x)), so that a few large entries do not dominate the many
small ones; docs/learners.md compares both on real photos.

Frames of one video are nearly the same, so every video of a class has the same weight, whatever its length.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.fitting import class_members
from orbit_lite.models.inputs import NotFinite

# Added under the root: its slope at 0, where a ReLU puts many features, would be infinite; now it is at most 500.
ROOT_FLOOR = 1e-6
LEAST_LENGTH = 1e-6  # divide by at least this: a shorter vector stays short, and its gradient finite


@dataclass(frozen=True, eq=False)
class CenteredSupport:
    """A preprocessed support set, in float64.

    rows: (n, width), of unit length.
    middle: (width,), m above.
    rooted: whether features are replaced by their roots.
    shares: (way, n), each item's share in its class's mean; rows sum to 1.
    weights: (n,), with the same sum for each class, and 1 on average.
    video: int64 (n,), numbered from 0 without gaps.
    leavable: bool (videos,), whether the video can be left out, because its class has another video.
    """

    rows: Tensor
    middle: Tensor
    rooted: bool
    shares: Tensor
    weights: Tensor
    video: Tensor
    leavable: Tensor

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, videos: Tensor | None, *, way: int) -> "CenteredSupport":
        """Preprocess a support set. The arguments are those of Head.fit.

        Raises:
            ValueError: if labels are invalid.
            NotFinite: if the features are NaN or infinite.
        """
        members = class_members(labels, way=way)
        if not torch.isfinite(features).all():
            raise NotFinite("support features are NaN or infinite: the weights have diverged")
        own = torch.arange(len(labels), device=labels.device)
        _, video, frames = (own if videos is None else videos).unique(return_inverse=True, return_counts=True)
        label_of_video = labels.new_zeros(len(frames)).scatter_(0, video, labels)
        of_class = label_of_video.bincount(minlength=way)  # the number of videos of each class
        exact = features.double()
        shares = members.T / (of_class[labels] * frames[video]).to(exact.dtype)
        weights = shares.sum(dim=0) * (len(labels) / way)
        rooted = bool((features.detach() >= 0).all())
        plain = directions(exact, rooted=rooted)
        middle = shares.mean(dim=0) @ plain
        rows = F.normalize(plain - middle, dim=1, eps=LEAST_LENGTH)
        return cls(rows, middle, rooted, shares, weights, video, of_class[label_of_video] > 1)


def directions(features: Tensor, *, rooted: bool) -> Tensor:
    """Scale features (n, width), or their roots (0 for negative entries), to rows of unit length."""
    values = (features.clamp_min(0) + ROOT_FLOOR).sqrt() if rooted else features
    return F.normalize(values, dim=1, eps=LEAST_LENGTH)


def centered(features: Tensor, middle: Tensor, *, rooted: bool) -> Tensor:
    """Preprocess any features (m, width) like the rows of a CenteredSupport."""
    return F.normalize(directions(features, rooted=rooted) - middle, dim=1, eps=LEAST_LENGTH)


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a positive definite system, (k, k) and (k, q) to (k, q), with graph.

    Raises:
        NotFinite: if it has no Cholesky factor because of rounding.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise NotFinite("the fitted head's matrix has no Cholesky factor; it needs more regularization")
    return torch.cholesky_solve(right, factor)
