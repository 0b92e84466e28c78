"""Linear discriminant analysis with one shrunk covariance, in closed form: differentiable, so it can be meta-trained.

Friedman 1989 (regularized discriminant analysis, its gamma); the preprocessing of features is this kit's own (see
`centered`).
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

# A density fitted in many dimensions is far too confident. With this scale the softmax is about calibrated on five
# users' photos (docs/learners.md), and it does not saturate in meta-training.
SCALE = 0.03


class LdaSettings(Strict):
    """shrinkage: of the covariance toward a multiple of the identity; null chooses it by leaving out one video at a
    time. scale: factor for the logits."""

    shrinkage: Annotated[float, Field(gt=0, le=1)] | None = None
    scale: Annotated[float, Field(gt=0)] = SCALE


@dataclass(frozen=True)
class LdaHead:
    """Logits are scale * (a S^-1 mu_c - mu_c S^-1 mu_c / 2), with a covariance S shared by all classes; see
    `Scatter`."""

    shrinkage: float | None = None
    scale: float = SCALE

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "LdaClassifier":
        """See Head. Computed in float64.

        Raises:
            ValueError: if labels are invalid.
            NotFinite: if the features are NaN or infinite.
        """
        support = CenteredSupport.of(features, labels, videos, way=way)
        scatter = Scatter.of(support, labels)
        chosen = choose_shrinkage(support, scatter, labels) if self.shrinkage is None else self.shrinkage
        solved = scatter.solve(chosen).contiguous()  # otherwise a copy loaded from a file could round differently
        bias = -(solved * scatter.means).sum(dim=1) / 2
        dtype = features.dtype
        return LdaClassifier(
            support.middle.to(dtype), (self.scale * solved).to(dtype), (self.scale * bias).to(dtype), support.rooted
        )

    def settled(self, features: Tensor, labels: Tensor, videos: Tensor | None, *, way: int) -> "LdaHead":
        """The head with the shrinkage that `fit` would choose. For arguments and errors see `fit`."""
        if self.shrinkage is not None:
            return self
        support = CenteredSupport.of(features, labels, videos, way=way)
        return replace(self, shrinkage=choose_shrinkage(support, Scatter.of(support, labels), labels))


@dataclass(frozen=True, eq=False)
class LdaClassifier:
    """A linear score of a feature's direction from the middle."""

    middle: Tensor  # (width,)
    weight: Tensor  # (way, width)
    bias: Tensor  # (way,)
    rooted: bool

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        return F.linear(centered(queries, self.middle, rooted=self.rooted), self.weight, self.bias)


def _leaderboard_macs(head: LdaHead, size: FitSize) -> int:
    """Class means twice (of the directions, and relative to the middle), the smaller scatter matrix, its factor and the
    weights; if the shrinkage is chosen, also eigenvectors and all items' logits for each value. No published code has
    this head, so this counts the products above, with one item per video."""
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
