"""FEAT's head: the nearest class mean, after a set-to-set block in which the means attend to each other.

Ye et al. 2020, section 4.1 (arXiv 1812.03664); the winner of the 2022 ORBIT challenge used it on ProtoNets.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from groundwork.strict_model import Strict
from orbit_lite.models.heads.fitting import class_means
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord

DROPOUT, TEMPERATURE = 0.5, 32.0


class FeatSettings(Strict):
    """dropout: the share of the block's output that is dropped, only in meta-training. temperature: divides the
    logits."""

    dropout: Annotated[float, Field(ge=0, lt=1)] = DROPOUT
    temperature: Annotated[float, Field(gt=0)] = TEMPERATURE


class SetBlock(nn.Module):
    """One attention head over the rows of M, as wide as the rows, with a residual connection:

    A = softmax(MQ (MK)' / sqrt(width)); LayerNorm(M + (A MV) W + w).
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.out = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)
        for layer in (self.query, self.key, self.value):
            nn.init.normal_(layer.weight, std=width**-0.5)
        nn.init.xavier_normal_(self.out.weight)

    def forward(self, rows: Tensor, kept: Tensor | float) -> Tensor:
        """Map (way, width) to (way, width). kept: a factor for each added entry; 0 drops it."""
        attention = self.query(rows) @ self.key(rows).T / rows.shape[1] ** 0.5
        mixed = self.out(attention.softmax(dim=1) @ self.value(rows))
        out: Tensor = self.norm(rows + kept * mixed)
        return out


class FeatHead(nn.Module):
    """Class means and a meta-learned block over them."""

    def __init__(self, width: int, dropout: float = DROPOUT, temperature: float = TEMPERATURE) -> None:
        super().__init__()
        self.dropout, self.temperature = dropout, temperature
        self.block = SetBlock(width)

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "FeatClassifier":
        """See Head. Fits prototypes (way, width), without dropout."""
        means = class_means(features, labels, way=way)
        return FeatClassifier(self.block(means, kept=1.0), self.temperature)


@dataclass(frozen=True)
class FeatHeadInTraining:
    """A FeatHead with dropout. The dropout is drawn once per task: all estimators get the same for the same `rng`."""

    head: FeatHead
    rng: np.random.Generator

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "FeatClassifier":
        """See FeatHead; kept entries are scaled up to make up for the dropped ones."""
        means, rate = class_means(features, labels, way=way), self.head.dropout
        kept = torch.from_numpy(self.rng.random(means.shape) >= rate).to(means)
        return FeatClassifier(self.head.block(means, kept=kept / (1 - rate)), self.head.temperature)


@dataclass(frozen=True, eq=False)
class FeatClassifier:
    """The nearest prototype by distance, with a fixed temperature."""

    prototypes: Tensor  # (way, width)
    temperature: float

    def logits(self, queries: Tensor) -> Tensor:
        """Logits (m, way) of (m, width): -|x - p|^2 / temperature without the x.x, which is the same for every
        class."""
        return (2 * queries @ self.prototypes.T - self.prototypes.square().sum(dim=1)) / self.temperature


def _leaderboard_macs(head: FeatHead, size: FitSize) -> int:
    """Class means and prototypes as ProtoNets' head reports them, and the block by thop's rules: four layers and a
    norm."""
    layers = 4 * size.way * size.width**2 + 4 * size.way * size.width
    return size.class_means + layers + 3 * size.way * size.width


RECORD = HeadRecord(
    name="feat",
    summary="nearest class mean, after a transformer block over the means",
    settings=FeatSettings,
    build=lambda learner, own, width: FeatHead(width, own.dropout, own.temperature),
    fitted=FeatClassifier,
    shapes=lambda way, width, values: {"prototypes": (way, width)},
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=True,
    adds_objects=True,
    settle=None,
    in_training=lambda head, estimator, rng: FeatHeadInTraining(head, rng),
)
