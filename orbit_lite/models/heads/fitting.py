"""The interface of heads, which turn support features into a classifier. Fitting returns a value and is
differentiable."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class FittedHead(Protocol):
    """A classifier for one task: a frozen dataclass (with `eq=False`, because tensors can't be compared by ==).

    Its tensors are fields (see `head_tensors`); other fields are plain settings (numbers, strings) that `logits` needs.
    """

    def logits(self, queries: Tensor) -> Tensor:
        """Map (m, width) to (m, way), with operations that an exporter can trace: no branches on tensor values."""
        ...


class Head(Protocol):
    """Fits classifiers: a plain class, or a module if it has meta-learned weights."""

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> FittedHead:
        """Fit a classifier to a support set.

        Args:
            features: (n, width).
            labels: int64 (n,) in 0..way-1; every class occurs.
            way: the number of classes.
            videos: int64 (n,), the number of each item's video; None: each item is its own video.

        Raises:
            ValueError: if labels are invalid.
        """
        ...


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A linear classifier: one matrix product."""

    weight: Tensor  # (way, width)
    bias: Tensor  # (way,)

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        return F.linear(queries, self.weight, self.bias)


def linear_shapes(way: int, width: int, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of a LinearClassifier's tensors."""
    return {"weight": (way, width), "bias": (way,)}


def class_members(labels: Tensor, *, way: int) -> Tensor:
    """One-hot labels: int64 (n,) to bool (n, way).

    Raises:
        ValueError: if a class in 0..way-1 has no item, or a label is outside this range.
    """
    members = labels[:, None] == torch.arange(way, device=labels.device)
    if int(members.sum()) != len(labels):
        raise ValueError(f"support labels outside 0..{way - 1}")
    if not members.any(dim=0).all():
        empty = (~members.any(dim=0)).nonzero().flatten().tolist()
        raise ValueError(f"no support items for class {', '.join(map(str, empty))} of {way}")
    return members


def class_means(features: Tensor, labels: Tensor, *, way: int) -> Tensor:
    """The mean feature of each class: (n, width) and int64 (n,) to (way, width). For errors see `class_members`."""
    members = class_members(labels, way=way)
    counts = members.sum(dim=0)
    # A matrix product, because index_add on CUDA sums in an order that changes from run to run.
    return (members.to(features.dtype) / counts).T @ features


def head_tensors(head: FittedHead) -> dict[str, Tensor]:
    """The tensors that carry a gradient, by field name: those with floating-point numbers."""
    return {name: value for name, value in every_tensor(head).items() if value.is_floating_point()}


def every_tensor(head: FittedHead) -> dict[str, Tensor]:
    """All tensors of a fitted head, by field name."""
    named = {field.name: getattr(head, field.name) for field in fields(head)}  # type: ignore[arg-type]
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def with_tensors(head: FittedHead, tensors: Mapping[str, Tensor]) -> FittedHead:
    """The same head with these fields replaced."""
    changed: Any = replace(head, **tensors)  # type: ignore[type-var]
    return changed
