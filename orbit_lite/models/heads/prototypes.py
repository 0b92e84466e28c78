"""ProtoNets' head: the nearest class mean by distance."""

from dataclasses import dataclass
from typing import Self

from torch import Tensor

from orbit_lite.models.heads.fitting import LinearClassifier, class_means
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord
from orbit_lite.models.settings import NoSettings


@dataclass(frozen=True, eq=False)
class PrototypeHead:
    """Nearest class mean. Snell et al. 2017, eq. 1 and 8 (arXiv 1703.05175)."""

    means: Tensor  # (way, width)

    @classmethod
    def fit(cls, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> Self:
        """Class means of the support features."""
        return cls(class_means(features, labels, way=way))

    def as_linear(self) -> LinearClassifier:
        """The same classifier as one matrix product: weight 2 mu, bias -mu.mu."""
        return LinearClassifier(2 * self.means, -self.means.square().sum(dim=1))

    def logits(self, queries: Tensor) -> Tensor:
        """Logits (m, way) of (m, width): 2 mu.x - mu.mu, which is -|x - mu|^2 without the x.x that all classes share.
        The softmax is the same, and it is one matrix product, as in the published code."""
        return 2 * queries @ self.means.T - self.means.square().sum(dim=1)


RECORD = HeadRecord(
    name="proto",
    summary="nearest class mean",
    settings=NoSettings,
    build=lambda learner, own, width: PrototypeHead,
    fitted=PrototypeHead,
    shapes=lambda way, width, values: {"means": (way, width)},
    # the published head reports its weights and biases, 2 mu and -mu.mu, as three products per entry
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=lambda head, size: size.class_means + 3 * size.way * size.width),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
