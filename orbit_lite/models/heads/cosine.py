"""ProtoNets with cosine: the nearest class mean by angle."""

from dataclasses import dataclass
from typing import Annotated

import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from groundwork.strict_model import Strict
from orbit_lite.models.heads.fitting import class_means
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord

SCALE = 32.0  # the value of the published rows; their checkpoints don't contain it


class CosineSettings(Strict):
    """scale: factor for the cosine, which sets how sharp the softmax is."""

    scale: Annotated[float, Field(gt=0)] = SCALE


@dataclass(frozen=True)
class CosineHead:
    """Fits class means of the support features (not of their directions)."""

    scale: float = SCALE

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "CosineClassifier":
        """See Head. Fits means (way, width)."""
        return CosineClassifier(class_means(features, labels, way=way), self.scale)


@dataclass(frozen=True, eq=False)
class CosineClassifier:
    """Cosine of the angle to the class mean, times a fixed scale."""

    means: Tensor  # (way, width)
    scale: float

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way), in [-scale, scale]."""
        return self.scale * F.normalize(queries, dim=1) @ F.normalize(self.means, dim=1).T


RECORD = HeadRecord(
    name="cosine",
    summary="cosine to the class mean",
    settings=CosineSettings,
    build=lambda learner, own, width: CosineHead(own.scale),
    fitted=CosineClassifier,
    shapes=lambda way, width, values: {"means": (way, width)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=lambda head, size: size.class_means + 3 * size.way * size.width),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
