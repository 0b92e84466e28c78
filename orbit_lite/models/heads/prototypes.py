"""ProtoNets' heads: nearest class mean, by distance or by angle."""

from dataclasses import dataclass
from typing import Self

import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.fitting import class_means


@dataclass(frozen=True, eq=False)
class PrototypeHead:
    """Nearest class mean. Snell et al. 2017, eq. 1 and 8 (arXiv 1703.05175)."""

    means: Tensor  # (way, width)

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, *, way: int) -> Self:
        """Class means of the support features."""
        return cls(class_means(features, labels, way=way))

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way): 2 mu.x - mu.mu, which is -|x - mu|^2 less x.x, the same for every class.

        So the softmax is the same, it is one matrix product, and it is what published checkpoints compute.
        """
        return 2 * queries @ self.means.T - self.means.square().sum(dim=1)


@dataclass(frozen=True, eq=False)
class CosineHead:
    """Cosine of the angle to the class mean, times a fixed scale."""

    means: Tensor  # (way, width)
    scale: float = 32.0  # the published rows' value; their checkpoints do not hold it

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, *, way: int) -> Self:
        """Class means of the support features (of the features themselves, not of their directions)."""
        return cls(class_means(features, labels, way=way))

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way), in [-scale, scale]."""
        return self.scale * F.normalize(queries, dim=1) @ F.normalize(self.means, dim=1).T
