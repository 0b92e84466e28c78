"""Ridge regression onto the classes, in closed form: differentiable, so that it can be meta-trained.

Bertinetto et al. 2019, section 3.1 (R2-D2, arXiv 1805.08136); how features come in is this kit's (see `centered`).
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

# Tried when the penalty is chosen, and what it is where no video can be left out. Rows have unit length and weigh 1 on
# average, so these are in units of the mean eigenvalue of the items' weighted Gram matrix.
PENALTIES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)
USUAL_PENALTY = 0.3
# Logits for a score of 1, which is a row of the targets met: the softmax of five users' held-out photos is then about
# as sure as it is right (docs/learners.md), and in meta-training it has a slope.
SCALE = 12.5


class RidgeSettings(Strict):
    """penalty: on the weights' square; null chooses it by leaving out one video after the other. scale: of logits."""

    penalty: Annotated[float, Field(gt=0)] | None = None
    scale: Annotated[float, Field(gt=0)] = SCALE


@dataclass(frozen=True)
class RidgeHead:
    """Minimizes sum_n w_n |a_n W' - (y_n - 1/way)|^2 + penalty |W|^2; a_n, w_n as CenteredSupport, y_n one-hot."""

    penalty: float | None = None
    scale: float = SCALE

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "RidgeClassifier":
        """See Head. Computed in float64.

        Raises:
            ValueError: if labels are not as Head says.
            NotFinite: if the features are NaN or infinite.
        """
        support = CenteredSupport.of(features, labels, videos, way=way)
        targets = _targets(support, labels, way=way)
        penalty = choose_penalty(support, targets) if self.penalty is None else self.penalty
        weight = self.scale * _solve(support, targets, penalty).T.contiguous()  # or a file's copy would round otherwise
        return RidgeClassifier(support.middle.to(features.dtype), weight.to(features.dtype), support.rooted)

    def settled(self, features: Tensor, labels: Tensor, videos: Tensor | None, *, way: int) -> "RidgeHead":
        """With the penalty that `fit` would choose. Arguments and errors as there."""
        if self.penalty is not None:
            return self
        support = CenteredSupport.of(features, labels, videos, way=way)
        return replace(self, penalty=choose_penalty(support, _targets(support, labels, way=way)))


@dataclass(frozen=True, eq=False)
class RidgeClassifier:
    """A linear score of a feature's direction about the middle."""

    middle: Tensor  # (width,)
    weight: Tensor  # (way, width)
    rooted: bool

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way); they sum to 0 over the classes."""
        return F.linear(centered(queries, self.middle, rooted=self.rooted), self.weight)


def _targets(support: CenteredSupport, labels: Tensor, *, way: int) -> Tensor:
    return F.one_hot(labels, way).to(support.rows.dtype) - 1 / way


def _solve(support: CenteredSupport, targets: Tensor, penalty: float) -> Tensor:
    """The weights, (width, way): by the n x n matrix of items or the width x width one, whichever is smaller."""
    rows, weights = support.rows, support.weights
    if len(rows) <= rows.shape[1]:
        return rows.T @ solve_positive(rows @ rows.T + torch.diag(penalty / weights), targets)
    heavy = rows * weights[:, None]
    eye = torch.eye(rows.shape[1], dtype=rows.dtype, device=rows.device)
    return solve_positive(heavy.T @ rows + penalty * eye, heavy.T @ targets)


@torch.no_grad()
def choose_penalty(support: CenteredSupport, targets: Tensor) -> float:
    """The one of PENALTIES with the least squared error on videos left out one at a time; the first of equals.

    In closed form: with H the weighted hat matrix, the residual of the frames g of a video that was left out is
    (I - H_gg)^-1 times theirs when it was not. Middle and weights are held fixed, and an object's only video is not
    left out. USUAL_PENALTY if none can be.
    """
    if not support.leavable.any():
        return USUAL_PENALTY
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
        errors.append((left_out / roots[frames]).square().sum(dim=2).mean(dim=1))  # of its frames, unweighted
    return PENALTIES[int(torch.stack(errors).mean(dim=0).argmin())]


def _leaderboard_macs(head: RidgeHead, size: FitSize) -> int:
    """Class means, the smaller matrix, its factor and the weights; where the penalty is chosen, its eigenvectors and,
    for each value, what all items' residuals take. No published code has this head: these are the products written
    above, videos of one item each."""
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
