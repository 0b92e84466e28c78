"""Heads: support features to a classifier. Fitting returns a value; the gradient goes through it to the features."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor


class FittedHead(Protocol):
    """A classifier for one task. A frozen dataclass, its tensors as fields (see `head_tensors`)."""

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        ...


class Head(Protocol):
    """What can be fitted: a class like those below, or a module that holds what was meta-learned."""

    def fit(self, features: Tensor, labels: Tensor, *, way: int) -> FittedHead:
        """(n, width) and int64 (n,) in 0..way-1, every class present, to a classifier. Raises ValueError if not."""
        ...


@dataclass(frozen=True)
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


@dataclass(frozen=True)
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


HEADS: dict[str, Head] = {"proto": PrototypeHead, "cosine": CosineHead}


def class_means(features: Tensor, labels: Tensor, *, way: int) -> Tensor:
    """Mean feature of each class, (n, width) and int64 (n,) to (way, width).

    Raises:
        ValueError: if a class of 0..way-1 has no item, or a label lies outside.
    """
    members = labels[:, None] == torch.arange(way, device=labels.device)  # (n, way)
    if int(members.sum()) != len(labels):
        raise ValueError(f"support labels outside 0..{way - 1}")
    counts = members.sum(dim=0)
    if not counts.all():
        empty = (counts == 0).nonzero().flatten().tolist()
        raise ValueError(f"no support items for class {', '.join(map(str, empty))} of {way}")
    # A matrix product, not index_add, whose order of summation on CUDA changes from run to run.
    return (members.to(features.dtype) / counts).T @ features


def head_tensors(head: FittedHead) -> dict[str, Tensor]:
    """The tensors a fitted head classifies with, by field name: all the gradient passes through."""
    named = {field.name: getattr(head, field.name) for field in fields(head)}  # type: ignore[arg-type]
    return {name: value for name, value in named.items() if isinstance(value, Tensor) and value.is_floating_point()}


def with_tensors(head: FittedHead, tensors: Mapping[str, Tensor]) -> FittedHead:
    """The same head with other tensors in those fields."""
    changed: Any = replace(head, **tensors)  # type: ignore[type-var]
    return changed
