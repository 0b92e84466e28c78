"""The support loss of an inner loop as a function of the adapting parameters: its gradient, and products with its
second derivatives. Each is a sum over support items, computed in chunks, so only one chunk's graph is in memory at a
time."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.convolution import FastSecondDerivatives
from orbit_lite.models.heads.fitting import LinearClassifier
from orbit_lite.models.inputs import chunks_of

HEAD = 2  # the last two values are the head's: weight (way, width) and bias (way,)
Values = list[Tensor]  # the extractor's adapting parameters in the order of their names, then the head's


@dataclass(frozen=True)
class AdaptingNet:
    """An extractor and a linear head, run with given values for the adapting parameters."""

    extractor: Extractor
    names: tuple[str, ...]  # the network's adapting parameters
    bf16: bool = False

    @property
    def own(self) -> list[nn.Parameter]:
        """The extractor's own parameters with these names, where adapting starts."""
        return [self.extractor.net.get_parameter(name) for name in self.names]

    @property
    def shared(self) -> list[nn.Parameter]:
        """Parameters that learn but don't adapt; they take part in every inner step."""
        adapting = set(self.names)
        named = self.extractor.net.named_parameters()
        return [value for name, value in named if name not in adapting and value.requires_grad]

    def state(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """The extractor's part of the values, by name."""
        return dict(zip(self.names, values[:-HEAD], strict=True))

    def head(self, values: Sequence[Tensor]) -> LinearClassifier:
        """The head's part of the values."""
        weight, bias = values[-HEAD:]
        return LinearClassifier(weight, bias)

    def logits(self, values: Sequence[Tensor], items: Tensor) -> Tensor:
        """The logits of one chunk of uint8 items, (n, way), with graph if gradients are on."""
        return self.head(values).logits(self.extractor.encode(items, state=self.state(values), bf16=self.bf16))


@dataclass(frozen=True, eq=False)
class Product:
    """The products with second derivatives of the support loss that the backward pass of one inner step needs.

    hessian: the product with the Hessian, for each value.
    shared: the gradient of <g, u> for the parameters that don't adapt.
    along: <g, v> over the extractor's values and over the head's, for the gradients of learned rates.
    """

    hessian: Values
    shared: Values
    along: tuple[Tensor, Tensor]


@dataclass(frozen=True, eq=False)
class SupportLoss:
    """Mean cross-entropy over the N support items, or their weighted sum."""

    net: AdaptingNet
    items: Tensor  # uint8 frames or clips
    labels: Tensor  # int64 (N,)
    chunk: int  # how many frames have a graph at once
    weights: Tensor | None = None  # (N,); None: 1 / N each

    def one_graph(self, values: Sequence[Tensor]) -> Tensor:
        """The loss, with a single graph over all items."""
        return self._share(values, slice(None), len(self.items))

    def gradient(self, values: Sequence[Tensor]) -> tuple[Values, Tensor]:
        """The exact gradient for each value, without graph, and the loss, by N forward and backward passes."""
        leaves = as_leaves(values)
        gradients, loss = [torch.zeros_like(value) for value in leaves], leaves[-1].new_zeros(())
        for part in chunks_of(self.items, self.chunk):
            with torch.enable_grad():
                share = self._share(leaves, part, len(self.items))
                found = derivatives(share, leaves)
            for total, gradient in zip(gradients, found, strict=True):
                total += gradient
            loss += share.detach()
            del share, found  # frees the graph before the next chunk builds one
        return gradients, loss

    def product(self, values: Sequence[Tensor], v: Values, sizes: tuple[Tensor, Tensor], drawn: Tensor) -> Product:
        """Estimate the products with u, which is v times the step size of its group, from the drawn items.

        Args:
            values: the point of the derivatives.
            v: the gradient of the query loss at the end of the step.
            sizes: the step's size for the extractor's values and for the head's.
            drawn: the drawn items' indices, int64 (h,); their mean estimates the mean over all items.
        """
        leaves, shared = as_leaves(values), self.net.shared
        learning = [*leaves, *shared]
        totals = [torch.zeros_like(value) for value in learning]
        along = [leaves[-1].new_zeros(()) for _ in sizes]
        for part in chunks_of(self.items[: len(drawn)], self.chunk):
            with torch.enable_grad():
                with FastSecondDerivatives():
                    share = self._share(leaves, drawn[part], len(drawn))
                gradient = derivatives(share, leaves, again=True)
                dots = dot_by_group(gradient, v)
                found = derivatives(sizes[0] * dots[0] + sizes[1] * dots[1], learning)
            for total, value in zip(totals, found, strict=True):
                total += value
            along = [total + dot.detach() for total, dot in zip(along, dots, strict=True)]
            del share, gradient, dots, found  # as above
        return Product(totals[: len(leaves)], totals[len(leaves) :], (along[0], along[1]))

    def _share(self, values: Sequence[Tensor], part: slice | Tensor, items: int) -> Tensor:
        """One chunk's contribution to the loss as estimated from `items` items."""
        here = part.to(self.labels.device) if isinstance(part, Tensor) else part
        logits, labels = self.net.logits(values, self.items[part]), self.labels[here]
        if self.weights is None:
            return F.cross_entropy(logits, labels, reduction="sum") / items
        each = F.cross_entropy(logits, labels, reduction="none")
        return (each * self.weights[here]).sum() * (len(self.items) / items)


def as_leaves(values: Sequence[Tensor]) -> Values:
    """The same values (not copied) as leaves of a new graph."""
    return [value.detach().requires_grad_() for value in values]


def derivatives(of: Tensor, by: Sequence[Tensor], *, again: bool = False) -> Values:
    """First derivatives; zeros for unused tensors. again: keep the graph, to differentiate once more."""
    return list(torch.autograd.grad(of, by, create_graph=again, allow_unused=True, materialize_grads=True))


def dot_by_group(one: Sequence[Tensor], other: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Dot products over the extractor's values and over the head's; 0 for an empty group."""
    dots = [(a * b).sum() for a, b in zip(one, other, strict=True)]
    return sum(dots[:-HEAD], start=one[-1].new_zeros(())), sum(dots[-HEAD:], start=one[-1].new_zeros(()))
