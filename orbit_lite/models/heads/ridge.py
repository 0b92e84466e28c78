"""Ridge regression onto the classes, in closed form: differentiable, so it can be meta-trained.

Bertinetto et al. 2019, section 3.1 (R2-D2, arXiv 1805.08136); the preprocessing of features is this kit's own (see
`centered`).
"""

from dataclasses import dataclass, replace
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from groundwork.strict_model import Strict
from orbit_lite.models.counting import eigenvector_macs
from orbit_lite.models.heads.centered import CenteredSupport, centered, solve_positive
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord

# The candidates for the penalty, and its value if no video can be left out. Rows have unit length and weight 1 on
# average, so the unit is the mean eigenvalue of the items' weighted Gram matrix.
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
DEFAULT_PENALTY = 0.3
# The logit for a score of 1, which means that a target is met exactly. With this scale the softmax is about calibrated
# on five users' held-out photos (docs/learners.md), and it does not saturate in meta-training.
SCALE = 12.5


class RidgeSettings(Strict):
    """penalty: on the squared weights; null chooses it by leaving out one video at a time. scale: factor for the
    logits."""

    penalty: Annotated[float, Field(gt=0)] | None = None
    scale: Annotated[float, Field(gt=0)] = SCALE


@dataclass(frozen=True)
class RidgeHead:
    """Minimizes sum_n w_n |a_n W' - (y_n - 1/way)|^2 + penalty |W|^2; a_n, w_n: see CenteredSupport; y_n: one-hot."""

    penalty: float | None = None
    scale: float = SCALE

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "RidgeClassifier":
        """See Head. Computed in float64.

        Raises:
            ValueError: if labels are invalid.
            NotFinite: if the features are NaN or infinite.
        """
        support = CenteredSupport.of(features, labels, videos, way=way)
        targets = _targets(support, labels, way=way)
        penalty = choose_penalty(support, targets) if self.penalty is None else self.penalty
        # otherwise a copy loaded from a file could round differently
        weight = self.scale * _solve(support, targets, penalty).T.contiguous()
        return RidgeClassifier(support.middle.to(features.dtype), weight.to(features.dtype), support.rooted)

    def settled(self, features: Tensor, labels: Tensor, videos: Tensor | None, *, way: int) -> "RidgeHead":
        """The head with the penalty that `fit` would choose. For arguments and errors see `fit`."""
        if self.penalty is not None:
            return self
        support = CenteredSupport.of(features, labels, videos, way=way)
        return replace(self, penalty=choose_penalty(support, _targets(support, labels, way=way)))


@dataclass(frozen=True, eq=False)
class RidgeClassifier:
    """A linear score of a feature's direction from the middle."""

    middle: Tensor  # (width,)
    weight: Tensor  # (way, width)
    rooted: bool

    def logits(self, queries: Tensor) -> Tensor:
        """Map (m, width) to (m, way); each row sums to 0."""
        return F.linear(centered(queries, self.middle, rooted=self.rooted), self.weight)


def _targets(support: CenteredSupport, labels: Tensor, *, way: int) -> Tensor:
    return F.one_hot(labels, way).to(support.rows.dtype) - 1 / way


def _solve(support: CenteredSupport, targets: Tensor, penalty: float) -> Tensor:
    """The weights, (width, way), from the n x n or the width x width matrix, whichever is smaller."""
    rows, weights = support.rows, support.weights
    if len(rows) <= rows.shape[1]:
        return rows.T @ solve_positive(rows @ rows.T + torch.diag(penalty / weights), targets)
    heavy = rows * weights[:, None]
    eye = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    return solve_positive(heavy.T @ rows + penalty * eye, heavy.T @ targets)


@torch.no_grad()
def choose_penalty(support: CenteredSupport, targets: Tensor) -> float:
    """The value in PENALTIES with the lowest leave-one-video-out squared error; the first in case of a tie.

    In closed form: with H the weighted hat matrix, the residual of a left-out video's frames g is (I - H_gg)^-1 times
    their residual in the full fit. Middle and weights stay fixed, and a class's only video is not left out. Returns
    DEFAULT_PENALTY if no video can be left out.
    """
    if not support.leavable.any():
        return DEFAULT_PENALTY
    roots = support.weights.sqrt()[:, None]
    heavy, aims = support.rows * roots, targets * roots
    few = len(heavy) <= heavy.shape[1]
    values, vectors = torch.linalg.eigh(heavy @ heavy.T if few else heavy.T @ heavy)
    values = values.clamp_min(0)
    parts = vectors * values.sqrt() if few else heavy @ vectors  # (n, r): H = parts diag(1 / (values + p)) parts'
    penalties = torch.tensor(PENALTIES, dtype=heavy.dtype, device=heavy.device)
    shrunk = 1 / (values + penalties[:, None])  # (penalties, r)
    residuals = aims - (parts * shrunk[:, None, :]) @ (parts.T @ aims)  # (penalties, n, way)
    errors = []
    for number in support.leavable.nonzero().flatten():
        frames = support.video == number
        own = parts[frames]
        eye = torch.eye(len(own), dtype=own.dtype, device=own.device)
        left_out = torch.linalg.solve(eye - (own * shrunk[:, None, :]) @ own.T, residuals[:, frames])
        errors.append((left_out / roots[frames]).square().sum(dim=2).mean(dim=1))  # mean over its frames, unweighted
    return PENALTIES[int(torch.stack(errors).mean(dim=0).argmin())]


def _leaderboard_macs(head: RidgeHead, size: FitSize) -> int:
    """Class means, the smaller matrix, its factor and the weights; if the penalty is chosen, also eigenvectors and all
    items' residuals for each value. No published code has this head, so this counts the products above, with one item
    per video."""
    smaller = min(size.items, size.width)
    fit = smaller * size.items * size.width + smaller**3 // 3 + size.way * (smaller**2 + size.items * size.width)
    residuals = len(PENALTIES) * size.items * smaller * (size.way + 1)
    chosen = eigenvector_macs(smaller) + residuals if head.penalty is None else 0
    return size.class_means + fit + chosen


RECORD = HeadRecord(
    name="ridge",
    summary="ridge regression onto the classes",
    settings=RidgeSettings,
    build=lambda learner, own, width: RidgeHead(own.penalty, own.scale),
    fitted=RidgeClassifier,
    shapes=lambda way, width, values: {"middle": (width,), "weight": (way, width)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=lambda head, features, labels, videos, way: head.settled(features, labels, videos, way=way),
    in_training=None,
)
