"""Simple CNAPs' head: the nearest class mean by Mahalanobis distance, with one covariance per class.

Bateni et al. 2020, eq. 2 to 4 (arXiv 1912.03432).
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from orbit_lite.models.heads.fitting import class_means
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord
from orbit_lite.models.inputs import NotFinite
from orbit_lite.models.settings import NoSettings


@dataclass(frozen=True)
class MahalanobisHead:
    """Fits class means and, for each class c of n_c items, Q_c = l Cov_c + (1 - l) Cov_task + I, l = n_c / (n_c + 1).

    published_quirks: as in the published code, the covariance of a class with one item is not 0; every entry is the
        variance of that item's features around their mean.
    """

    published_quirks: bool = False

    def fit(
        self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None
    ) -> "MahalanobisClassifier":
        """See Head. Fits means (way, width) and whitenings (way, width, width), with W'W = inverse of Q.

        Computed in float64, because Q of 1280 features has entries of very different size. Q - I is positive
        semi-definite, so Q has a Cholesky factor, unless I is lost to rounding.

        Raises:
            ValueError: if a class has no item.
            NotFinite: if the features are NaN, or so large that Q has no Cholesky factor.
        """
        means = class_means(features, labels, way=way)
        exact = features.double()
        eye = torch.eye(exact.shape[1], dtype=exact.dtype, device=exact.device)
        of_task = _covariance(exact)
        whitenings = []
        for label in range(way):
            members = exact[labels == label]
            weight = len(members) / (len(members) + 1)
            of_class = self._one_item(members) if len(members) == 1 else _covariance(members)
            factor, failed = torch.linalg.cholesky_ex(weight * of_class + (1 - weight) * of_task + eye)
            if failed:
                raise NotFinite(
                    f"support features of class {label}: their covariance has no Cholesky factor (largest entry "
                    f"{float(exact.detach().abs().max()):.3g}); the weights have diverged"
                )
            whitenings.append(torch.linalg.solve_triangular(factor, eye, upper=False))
        return MahalanobisClassifier(means, torch.stack(whitenings).to(features.dtype))

    def _one_item(self, members: Tensor) -> Tensor:
        """The covariance used for a class of one item, (1, width) to (width, width)."""
        width = members.shape[1]
        if not self.published_quirks:
            return members.new_zeros(width, width)
        return (members - members.mean()).square().sum().div(width - 1).expand(width, width)


@dataclass(frozen=True, eq=False)
class MahalanobisClassifier:
    """Logits are the negative squared distances to the class means, each in its class's metric."""

    means: Tensor  # (way, width)
    whitenings: Tensor  # (way, width, width)

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way), each <= 0: -(x - mu)' Q^-1 (x - mu)."""
        # one class at a time: all at once would store way * m * width differences
        distances = [
            ((queries - mean) @ whitening.T).square().sum(dim=1)
            for mean, whitening in zip(self.means, self.whitenings, strict=True)
        ]
        return -torch.stack(distances, dim=1)


def _covariance(items: Tensor) -> Tensor:
    """The covariance (width, width) of items (n, width), divided by n - 1; 0 for a single item."""
    centered = items - items.mean(dim=0)
    return centered.T @ centered / max(len(items) - 1, 1)


def _leaderboard_macs(head: MahalanobisHead, size: FitSize) -> int:
    """As the published head reports: covariances, and one inverse per class by Gaussian elimination."""
    width = size.width
    covariances = sum(count * width * (count + 2) for count in (size.items, *size.items_by_class))
    return size.class_means + covariances + size.way * (1 + 3 * width**2 + (width**3 - 4 * width) // 3)


RECORD = HeadRecord(
    name="mahalanobis",
    summary="Mahalanobis distance, one metric per class",
    settings=NoSettings,
    build=lambda learner, own, width: MahalanobisHead(learner.published_quirks),
    fitted=MahalanobisClassifier,
    shapes=lambda way, width, values: {"means": (way, width), "whitenings": (way, width, width)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
