"""What a head is: support features to a classifier. Fitting returns a value; the gradient goes through it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class FittedHead(Protocol):
    """A classifier for one task. A frozen dataclass, its tensors as fields (see `head_tensors`)."""

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        ...


class Head(Protocol):
    """What can be fitted: a class, or a module that holds what was meta-learned."""

    def fit(self, features: Tensor, labels: Tensor, *, way: int) -> FittedHead:
        """(n, width) and int64 (n,) in 0..way-1, every class present, to a classifier. Raises ValueError if not."""
        ...


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """One matrix product."""

    weight: Tensor  # (way, width)
    bias: Tensor  # (way,)

    def logits(self, queries: Tensor) -> Tensor:
        """(m, width) to (m, way)."""
        return F.linear(queries, self.weight, self.bias)


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
