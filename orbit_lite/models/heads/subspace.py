"""The subspace head: how much of a feature lies in the span of a class's features.

ORBITRON used it in the 2022 ORBIT challenge. The idea is from Simon et al. 2020 (Adaptive Subspaces, CVPR), who use the
distance to a subspace centered on the class mean.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from groundwork.strict_model import Strict
from orbit_lite.config import Positive
from orbit_lite.models.counting import eigenvector_macs
from orbit_lite.models.heads.fitting import class_members
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord
from orbit_lite.models.inputs import NotFinite

RANK = 4
# Directions with less energy than this (squared singular values, relative to the largest) are left out: they are
# rounding errors, for example of the same image twice in float32, and so would be their gradient.
LEAST_ENERGY = 1e-10


class SubspaceSettings(Strict):
    """rank: the dimension of a class's subspace; a class with fewer images has one dimension per image."""

    rank: Positive = RANK


@dataclass(frozen=True)
class SubspaceHead:
    """Fits U_c, (width, rank): the leading left singular vectors of the class's features as columns, not centered."""

    rank: int = RANK

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "SubspaceClassifier":
        """See Head. Fits axes (way, rank, width), padded with rows of zeros; computed in float64.

        Raises:
            ValueError: if labels are invalid.
            NotFinite: if the features are NaN or infinite.
        """
        members = class_members(labels, way=way)
        if not torch.isfinite(features).all():
            raise NotFinite("support features are NaN or infinite: the weights have diverged")
        exact = features.double()
        axes = [leading_axes(exact[members[:, label]], self.rank) for label in range(way)]
        return SubspaceClassifier(torch.stack(axes).to(features.dtype), self.rank)


@dataclass(frozen=True, eq=False)
class SubspaceClassifier:
    """The squared length of a feature's projection on each class's subspace."""

    axes: Tensor  # (way, rank, width)
    rank: int

    def logits(self, queries: Tensor) -> Tensor:
        """Map (m, width) to (m, way); each value is between 0 and the feature's squared length."""
        way, rank, width = self.axes.shape
        along = queries @ self.axes.reshape(way * rank, width).T
        return along.square().reshape(-1, way, rank).sum(dim=2)


def leading_axes(rows: Tensor, rank: int) -> Tensor:
    """The leading right singular vectors of (n, width), as rows (rank, width), padded with zeros.

    The gradient is that of the subspace. It is right for functions that only depend on the span of the axes, such as
    |U'x|^2. (If two singular values are equal, a single axis has no gradient, but the span of both does.)
    """
    axes: Tensor = _LeadingAxes.apply(rows, rank)
    return axes


class _LeadingAxes(torch.autograd.Function):
    """With A = rows' rows and A u_i = l_i u_i, a change dA rotates u_i toward u_j by u_j' dA u_i / (l_i - l_j).

    A rotation between two axes of the subspace does not change it and is left out, which also avoids a division by l_i
    - l_j where that may be 0.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, rank: int) -> Tensor:
        few = len(rows) <= rows.shape[1]
        energies, vectors = torch.linalg.eigh(rows @ rows.T if few else rows.T @ rows)  # ascending
        energies, vectors = energies.flip(0).clamp_min(0), vectors.flip(1)
        present = energies > LEAST_ENERGY * energies[0]
        energies, vectors = energies[present], vectors[:, present]
        axes = (vectors.T @ rows) / energies.sqrt()[:, None] if few else vectors.T.contiguous()
        ctx.save_for_backward(rows, energies, axes)
        ctx.kept = min(rank, len(axes))
        return torch.cat([axes[: ctx.kept], rows.new_zeros(rank - ctx.kept, rows.shape[1])])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, energies, axes = ctx.saved_tensors
        kept, rest = axes[: ctx.kept], axes[ctx.kept :]
        gradient = gradient[: ctx.kept]
        apart = energies[: ctx.kept, None] - energies[None, ctx.kept :]
        turns = (gradient @ rest.T) / apart.clamp_min(LEAST_ENERGY * energies[0])  # rotations toward the dropped axes,
        outside = gradient - gradient @ axes.T @ axes  # and toward directions outside the class's span, where l_j = 0
        turned = turns @ rest + outside / energies[: ctx.kept, None]
        return (rows @ turned.T) @ kept + (rows @ kept.T) @ turned, None


def _leaderboard_macs(head: SubspaceHead, size: FitSize) -> int:
    """For each class, the smaller Gram matrix, its eigenvectors and the axes. We know of no published code, so this
    counts the products above."""
    macs = 0
    for items in size.items_by_class:
        smaller = min(items, size.width)
        axes = items * items * size.width if items <= size.width else 0
        macs += smaller * items * size.width + eigenvector_macs(smaller) + axes
    return macs


RECORD = HeadRecord(
    name="subspace",
    summary="projection on the span of each class's features",
    settings=SubspaceSettings,
    build=lambda learner, own, width: SubspaceHead(own.rank),
    fitted=SubspaceClassifier,
    shapes=lambda way, width, values: {"axes": (way, values["rank"], width)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
