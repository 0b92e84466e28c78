"""What a head is: support features to a classifier. Fitting returns a value; the gradient goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class FittedHead(Protocol):
    """A classifier for one task: a frozen dataclass (`eq=False`, or == would ask for the truth of a tensor).

    Its tensors are fields (see `head_tensors`); other fields are plain settings (numbers, texts) that `logits` needs.
    """

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way), by tensor operations that an exporter can trace: no branch on their values."""
        ...


class Head(Protocol):
    """What can be fitted: a class, or a module that holds what was meta-learned."""

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> FittedHead:
        """A support set to a classifier.

        Args:
            features: (n, width).
            labels: int64 (n,) in 0..way-1, every class present.
            way: number of classes.
            videos: int64 (n,), which video each item is of; None: each item is a video of its own.

        Raises:
            ValueError: if labels are not so.
        """
        ...


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """One matrix product."""

    weight: Tensor  # (way, width)
    bias: Tensor  # (way,)

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        return F.linear(queries, self.weight, self.bias)


def linear_shapes(way: int, width: int, values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Shapes of a LinearClassifier's tensors."""
    return {"weight": (way, width), "bias": (way,)}


def class_members(labels: Tensor, *, way: int) -> Tensor:
    """Which items are of each class, int64 (n,) to bool (n, way).

    Raises:
        ValueError: if a class of 0..way-1 has no item, or a label lies outside.
    """
    members = labels[:, None] == torch.arange(way, device=labels.device)
    if int(members.sum()) != len(labels):
        raise ValueError(f"support labels outside 0..{way - 1}")
    if not members.any(dim=0).all():
        empty = (~members.any(dim=0)).nonzero().flatten().tolist()
        raise ValueError(f"no support items for class {', '.join(map(str, empty))} of {way}")
    return members


def class_means(features: Tensor, labels: Tensor, *, way: int) -> Tensor:
    """Mean feature of each class, (n, width) and int64 (n,) to (way, width). Raises as `class_members`."""
    members = class_members(labels, way=way)
    counts = members.sum(dim=0)
    # A matrix product, not index_add, whose order of summation on CUDA changes from run to run.
    return (members.to(features.dtype) / counts).T @ features


def head_tensors(head: FittedHead) -> dict[str, Tensor]:
    """The tensors that the gradient passes through, by field name: those of real numbers."""
    return {name: value for name, value in every_tensor(head).items() if value.is_floating_point()}


def every_tensor(head: FittedHead) -> dict[str, Tensor]:
    """All tensors a fitted head classifies with, by field name."""
    named = {field.name: getattr(head, field.name) for field in fields(head)}  # type: ignore[arg-type]
    return {name: value for name, value in named.items() if isinstance(value, Tensor)}


def with_tensors(head: FittedHead, tensors: Mapping[str, Tensor]) -> FittedHead:
    """The same head with other tensors in those fields."""
    changed: Any = replace(head, **tensors)  # type: ignore[type-var]
    return changed
