"""What the closed-form heads, ridge and LDA, work on: directions of features about the support set's own middle.

A feature x becomes a = unit(x' - m), x' = unit(x), m the mean of the support set's x'. Where no support feature is
negative (after a ReLU, say) x' = unit(sqrt(x)), so that a few large features do not drown the many small ones;
docs/learners.md has what both give on real photos.

Frames of one video are near copies of each other, so each video of a class weighs the same, long or short.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.fitting import class_members
from orbit_lite.models.inputs import NotFinite

# The root's slope at 0, where a ReLU puts many features, is infinite: with this under it, 500 at most.
ROOT_FLOOR = 1e-6
LEAST_LENGTH = 1e-6  # of what is made a direction; what is shorter stays short, and its slope finite


@dataclass(frozen=True, eq=False)
class CenteredSupport:
    """A support set made ready, in float64.

    rows: (n, width), of unit length. middle: (width,), m above. rooted: whether features go in as their roots.
    shares: (way, n), each item's in its class's mean; a row sums to 1. weights: (n,), the same for each class in sum,
    1 on average. video: int64 (n,), numbered from 0 without gaps. leavable: bool (videos,), whether the class has
    another video, so that it can be left out.
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
        """Arguments as for Head.fit.

        Raises:
            ValueError: if labels are not so.
            NotFinite: if the features are NaN or infinite.
        """
        members = class_members(labels, way=way)
        if not torch.isfinite(features).all():
            raise NotFinite("support features are NaN or infinite: the weights have diverged")
        own = torch.arange(len(labels), device=labels.device)
        _, video, frames = (own if videos is None else videos).unique(return_inverse=True, return_counts=True)
        label_of_video = labels.new_zeros(len(frames)).scatter_(0, video, labels)
        of_class = label_of_video.bincount(minlength=way)  # how many videos
        exact = features.double()
        shares = members.T / (of_class[labels] * frames[video]).to(exact.dtype)
        weights = shares.sum(dim=0) * (len(labels) / way)
        rooted = bool((features.detach() >= 0).all())
        plain = directions(exact, rooted=rooted)
        middle = shares.mean(dim=0) @ plain
        rows = F.normalize(plain - middle, dim=1, eps=LEAST_LENGTH)
        return cls(rows, middle, rooted, shares, weights, video, of_class[label_of_video] > 1)


def directions(features: Tensor, *, rooted: bool) -> Tensor:
    """(n, width) to rows of unit length, of the features or of their roots (0 for those below 0)."""
    values = (features.clamp_min(0) + ROOT_FLOOR).sqrt() if rooted else features
    return F.normalize(values, dim=1, eps=LEAST_LENGTH)


def centered(features: Tensor, middle: Tensor, *, rooted: bool) -> Tensor:
    """Any features (m, width) as the rows of a CenteredSupport."""
    return F.normalize(directions(features, rooted=rooted) - middle, dim=1, eps=LEAST_LENGTH)


def solve_positive(matrix: Tensor, right: Tensor) -> Tensor:
    """The solution of a positive definite system, (k, k) and (k, q) to (k, q), with graph.

    Raises:
        NotFinite: if rounding leaves it no Cholesky factor.
    """
    factor, failed = torch.linalg.cholesky_ex(matrix)
    if failed:
        raise NotFinite("the fitted head's matrix has no Cholesky factor: it is regularized too little")
    return torch.cholesky_solve(right, factor)
