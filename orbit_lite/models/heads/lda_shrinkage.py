"""The covariance of the LDA head, and how far it is shrunk: chosen by leaving out one video after the other, exactly.

Without the frames g of a video the class mean moves and the scatter loses a few directions:

    W' = W - sum_g w_i (a_i - mu)(a_i - mu)' - v^2 / (u - v) (m_g - mu)(m_g - mu)'

(u the weight of the class, v that of the video, m_g its mean), so the inverse of the shrunk covariance without them is
a low-rank update of the one with them (Woodbury), and the eigenvectors of W serve every shrinkage.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from orbit_lite.models.heads.centered import CenteredSupport, solve_positive

SHRINKAGES = (0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)  # tried when it is chosen
USUAL_SHRINKAGE = 0.7  # where no video can be left out
TINY_VALUE = 1e-10  # of the largest eigenvalue: below it an eigenvector is noise, and changes nothing


@dataclass(frozen=True, eq=False)
class Scatter:
    """Spread of a support set's rows about their class means.

    means: (way, width). heavy: (n, width), the rows less their means, times the root of their weights. degrees: items
    less classes, plus one. level: the average variance of an entry. As if one more row lay a unit from its class's
    mean, in no direction: so there is a level even with one item a class.

    The covariance shrunk by g is (1 - g) heavy'heavy / degrees + g * level * identity.
    """

    means: Tensor
    heavy: Tensor
    degrees: int
    level: Tensor

    @classmethod
    def of(cls, support: CenteredSupport, labels: Tensor) -> "Scatter":
        """Of a support set and its labels."""
        means = support.shares @ support.rows
        heavy = (support.rows - means[labels]) * support.weights.sqrt()[:, None]
        degrees = len(labels) - len(means) + 1
        return cls(means, heavy, degrees, (heavy.square().sum() + 1) / (degrees * heavy.shape[1]))

    def solve(self, shrinkage: float) -> Tensor:
        """Inverse of the shrunk covariance times each class mean, (way, width), with graph."""
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
    """The one of SHRINKAGES with the least cross-entropy on videos left out one at a time; the first of equals.

    Middle, weights and level are held fixed, and an object's only video is not left out. USUAL_SHRINKAGE if none can
    be. The likelihood is the model's own, without the head's scale.
    """
    if not support.leavable.any():
        return USUAL_SHRINKAGE
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
    """Inner products by the inverse of the covariance, at every shrinkage at once.

    axes: eigenvectors of the scatter, (width, r). gains: what a unit along each adds to floors' product, (g, r).
    floors: 1 / the variance off all axes, (g,). shares: what the scatter is multiplied by, (g,).
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
        """Of vectors (q, width) with each other, (g, q, q)."""
        along = vectors @ self.axes
        return (vectors @ vectors.T) * self.floors[:, None, None] + (along * self.gains[:, None, :]) @ along.T


def _left_out_logits(support: CenteredSupport, scatter: Scatter, metric: _Metric, frames: Tensor, label: int) -> Tensor:
    """Of the frames (q,) of one video, by the classifier that was fitted without them, (g, q, way)."""
    rows, weights, mean = support.rows[frames], support.weights[frames], scatter.means[label]
    of_video = weights.sum()
    of_class = support.weights.sum() / len(scatter.means)  # the same for every class
    center = weights @ rows / of_video
    means = scatter.means.clone()
    means[label] = (of_class * mean - of_video * center) / (of_class - of_video)
    shift = (of_video**2 / (of_class - of_video)).sqrt() * (center - mean)
    lost = torch.cat([(rows - mean) * weights.sqrt()[:, None], shift[None]])
    # all inner products that are needed: of rows, means and lost directions
    products = metric.products(torch.cat([rows, means, lost]))
    first, second = len(rows), len(rows) + len(means)
    eye = torch.eye(len(lost), dtype=rows.dtype, device=rows.device)
    inner = eye / metric.shares[:, None, None] - products[:, second:, second:]
    updated = products[:, :second, :second] + products[:, :second, second:] @ torch.linalg.solve(
        inner, products[:, second:, :second]
    )
    own = updated[:, first:, first:].diagonal(dim1=1, dim2=2)  # mu S^-1 mu of each class
    return updated[:, :first, first:] - own[:, None, :] / 2
