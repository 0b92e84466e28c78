"""The covariance of the LDA head and its shrinkage, which is chosen by exact leave-one-video-out.

Without the frames g of a video the class mean changes and the scatter loses a few directions:

    W' = W - sum_g w_i (a_i - mu)(a_i - mu)' - v^2 / (u - v) (m_g - mu)(m_g - mu)'

(u is the weight of the class, v that of the video, m_g its mean). So the inverse of the shrunk covariance without these
frames is a low-rank update of the one with them (Woodbury), and the eigenvectors of W serve every shrinkage.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from orbit_lite.models.heads.centered import CenteredSupport, solve_positive

SHRINKAGES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)  # the candidates
DEFAULT_SHRINKAGE = 0.7  # used if no video can be left out
TINY_VALUE = 1e-10  # relative to the largest eigenvalue; eigenvectors below it are noise and are ignored


@dataclass(frozen=True, eq=False)
class Scatter:
    """The scatter of a support set's rows around their class means.

    means: (way, width).
    heavy: (n, width), the rows minus their class means, times the root of their weights.
    degrees: items minus classes, plus one.
    level: the average variance of an entry, computed as if one more row had distance 1 from its class mean, so that it
        is positive even with one item per class.

    The covariance shrunk by g is (1 - g) heavy'heavy / degrees + g * level * identity.
    """

    means: Tensor
    heavy: Tensor
    degrees: int
    level: Tensor

    @classmethod
    def of(cls, support: CenteredSupport, labels: Tensor) -> "Scatter":
        """Compute the scatter of a support set."""
        means = support.shares @ support.rows
        heavy = (support.rows - means[labels]) * support.weights.sqrt()[:, None]
        degrees = len(labels) - len(means) + 1
        return cls(means, heavy, degrees, (heavy.square().sum() + 1) / (degrees * heavy.shape[1]))

    def solve(self, shrinkage: float) -> Tensor:
        """The inverse of the shrunk covariance times each class mean, (way, width), with graph."""
        share, floor = (1 - shrinkage) / self.degrees, shrinkage * self.level
        few = len(self.heavy) <= self.heavy.shape[1]
        inner = self.heavy @ self.heavy.T if few else self.heavy.T @ self.heavy
        eye = torch.eye(len(inner), dtype=inner.dtype, device=inner.device)
        inner = share * inner + floor * eye
        if not few:
            return solve_positive(inner, self.means.T).T
        # (floor I + share X'X)^-1 = (I - share X' (floor I + share XX')^-1 X) / floor
        return (self.means - share * solve_positive(inner, self.heavy @ self.means.T).T @ self.heavy) / floor


@torch.no_grad()
def choose_shrinkage(support: CenteredSupport, scatter: Scatter, labels: Tensor) -> float:
    """The value in SHRINKAGES with the lowest leave-one-video-out cross-entropy; the first in case of a tie.

    Middle, weights and level stay fixed, and a class's only video is not left out. Returns DEFAULT_SHRINKAGE if no
    video can be left out. The likelihood is the model's own, without the head's scale.
    """
    if not support.leavable.any():
        return DEFAULT_SHRINKAGE
    shrinkages = torch.tensor(SHRINKAGES, dtype=scatter.heavy.dtype, device=scatter.heavy.device)
    metric = _Metric.of(scatter, shrinkages)
    losses = []
    for number in support.leavable.nonzero().flatten():
        frames = support.video == number
        logits = _left_out_logits(support, scatter, metric, frames, int(labels[frames][0]))
        losses.append(-logits.log_softmax(dim=2)[:, :, labels[frames][0]].mean(dim=1))
    return SHRINKAGES[int(torch.stack(losses).mean(dim=0).argmin())]


@dataclass(frozen=True, eq=False)
class _Metric:
    """Inner products with the inverse covariance, for all shrinkages at once.

    axes: eigenvectors of the scatter, (width, r).
    gains: what each axis adds to the product given by floors, (g, r).
    floors: 1 / the variance outside all axes, (g,).
    shares: factor for the scatter, (g,).
    """

    axes: Tensor
    gains: Tensor
    floors: Tensor
    shares: Tensor

    @classmethod
    def of(cls, scatter: Scatter, shrinkages: Tensor) -> "_Metric":
        heavy = scatter.heavy
        few = len(heavy) <= heavy.shape[1]
        values, vectors = torch.linalg.eigh(heavy @ heavy.T if few else heavy.T @ heavy)
        kept = values > TINY_VALUE * values.max().clamp_min(TINY_VALUE)
        values, vectors = values[kept], vectors[:, kept]
        axes = heavy.T @ vectors / values.sqrt() if few else vectors
        shares, floors = (1 - shrinkages) / scatter.degrees, 1 / (shrinkages * scatter.level)
        gains = 1 / (shares[:, None] * values + 1 / floors[:, None]) - floors[:, None]
        return cls(axes, gains, floors, shares)

    def products(self, vectors: Tensor) -> Tensor:
        """The inner products of vectors (q, width) with each other, (g, q, q)."""
        along = vectors @ self.axes
        return (vectors @ vectors.T) * self.floors[:, None, None] + (along * self.gains[:, None, :]) @ along.T


def _left_out_logits(support: CenteredSupport, scatter: Scatter, metric: _Metric, frames: Tensor, label: int) -> Tensor:
    """The logits of one video's frames (q,) by the classifier fitted without them, (g, q, way)."""
    rows, weights, mean = support.rows[frames], support.weights[frames], scatter.means[label]
    of_video = weights.sum()
    of_class = support.weights.sum() / len(scatter.means)  # the same for every class
    center = weights @ rows / of_video
    means = scatter.means.clone()
    means[label] = (of_class * mean - of_video * center) / (of_class - of_video)
    shift = (of_video**2 / (of_class - of_video)).sqrt() * (center - mean)
    lost = torch.cat([(rows - mean) * weights.sqrt()[:, None], shift[None]])
    # all inner products needed: of rows, means and removed directions
    products = metric.products(torch.cat([rows, means, lost]))
    first, second = len(rows), len(rows) + len(means)
    eye = torch.eye(len(lost), dtype=rows.dtype, device=rows.device)
    inner = eye / metric.shares[:, None, None] - products[:, second:, second:]
    updated = products[:, :second, :second] + products[:, :second, second:] @ torch.linalg.solve(
        inner, products[:, second:, :second]
    )
    own = updated[:, first:, first:].diagonal(dim1=1, dim2=2)  # mu S^-1 mu of each class
    return updated[:, :first, first:] - own[:, None, :] / 2
