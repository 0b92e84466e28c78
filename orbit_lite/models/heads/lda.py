"""Linear discriminant analysis with one shrunk covariance, in closed form: differentiable, so it can be meta-trained.

Friedman 1989 (regularized discriminant analysis, its gamma); how features come in is this kit's (see `centered`).
"""

from dataclasses import dataclass, replace
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from groundwork.strict_model import Strict
from orbit_lite.models.counting import eigenvector_macs
from orbit_lite.models.heads.centered import CenteredSupport, centered
from orbit_lite.models.heads.lda_shrinkage import SHRINKAGES, Scatter, choose_shrinkage
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord

# A fitted density of many dimensions is far too sure of itself: with this its softmax is about as sure as it is right
# on five users' photos (docs/learners.md), and in meta-training it has a slope.
SCALE = 0.03


class LdaSettings(Strict):
    """shrinkage: of the covariance to a multiple of one; null chooses it by leaving out one video after the other.
    scale: of logits."""

    shrinkage: Annotated[float, Field(gt=0, le=1)] | None = None
    scale: Annotated[float, Field(gt=0)] = SCALE


@dataclass(frozen=True)
class LdaHead:
    """Logits scale * (a S^-1 mu_c - mu_c S^-1 mu_c / 2), the covariance S shared by the classes; see `Scatter`."""

    shrinkage: float | None = None
    scale: float = SCALE

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "LdaClassifier":
        """See Head. Computed in float64.

        Raises:
            ValueError: if labels are not as Head says.
            NotFinite: if the features are NaN or infinite.
        """
        support = CenteredSupport.of(features, labels, videos, way=way)
        scatter = Scatter.of(support, labels)
        chosen = choose_shrinkage(support, scatter, labels) if self.shrinkage is None else self.shrinkage
        solved = scatter.solve(chosen).contiguous()  # or a file's copy would round otherwise
        bias = -(solved * scatter.means).sum(dim=1) / 2
        dtype = features.dtype
        return LdaClassifier(
            support.middle.to(dtype), (self.scale * solved).to(dtype), (self.scale * bias).to(dtype), support.rooted
        )

    def settled(self, features: Tensor, labels: Tensor, videos: Tensor | None, *, way: int) -> "LdaHead":
        """With the shrinkage that `fit` would choose. Arguments and errors as there."""
        if self.shrinkage is not None:
            return self
        support = CenteredSupport.of(features, labels, videos, way=way)
        return replace(self, shrinkage=choose_shrinkage(support, Scatter.of(support, labels), labels))


@dataclass(frozen=True, eq=False)
class LdaClassifier:
    """A linear score of a feature's direction about the middle."""

    middle: Tensor  # (width,)
    weight: Tensor  # (way, width)
    bias: Tensor  # (way,)
    rooted: bool

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        return F.linear(centered(queries, self.middle, rooted=self.rooted), self.weight, self.bias)


def _leaderboard_macs(head: LdaHead, size: FitSize) -> int:
    """Class means twice (of the directions, and about the middle), the smaller scatter matrix, its factor and the
    weights; where the shrinkage is chosen, its eigenvectors and, for each value, what all items' logits take. No
    published code has this head: these are the products written above, videos of one item each."""
    smaller = min(size.items, size.width)
    fit = smaller * size.items * size.width + smaller**3 // 3 + size.way * (smaller**2 + 2 * size.items * size.width)
    logits = len(SHRINKAGES) * size.items * smaller * (size.way + 2)
    chosen = eigenvector_macs(smaller) + size.items * smaller * size.width + logits if head.shrinkage is None else 0
    return 2 * size.class_means + fit + chosen


RECORD = HeadRecord(
    name="lda",
    summary="linear discriminant analysis, one shrunk covariance",
    settings=LdaSettings,
    build=lambda learner, own, width: LdaHead(own.shrinkage, own.scale),
    fitted=LdaClassifier,
    shapes=lambda way, width, values: {"middle": (width,), "weight": (way, width), "bias": (way,)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=lambda head, features, labels, videos, way: head.settled(features, labels, videos, way=way),
    in_training=None,
)
