"""The support loss of an inner loop, as a function of the parameters that adapt: its gradient, and products with its
second derivatives. Each is a sum over support items, taken in chunks, so that one chunk's graph is alive at a time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.convolution import QuickSecondDerivatives
from orbit_lite.models.heads.fitting import LinearClassifier
from orbit_lite.models.inputs import chunks_of

HEAD = 2  # the last two values are the head's: weight (way, width) and bias (way,)
Values = list[Tensor]  # the extractor's parameters that adapt, in the order of their names, and then the head's


@dataclass(frozen=True)
class AdaptingNet:
    """An extractor and a linear head, run with other values in place of the parameters that adapt."""

    extractor: Extractor
    names: tuple[str, ...]  # of the network's parameters that adapt
    bf16: bool = False

    @property
    def own(self) -> list[nn.Parameter]:
        """The extractor's own parameters of these names: where adapting begins."""
        return [self.extractor.net.get_parameter(name) for name in self.names]

    @property
    def shared(self) -> list[nn.Parameter]:
        """Parameters that learn and do not adapt: they stand inside every inner step."""
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
        """One chunk of uint8 items to (n, way), with graph if gradients are on."""
        return self.head(values).logits(self.extractor.encode(items, state=self.state(values), bf16=self.bf16))


@dataclass(frozen=True, eq=False)
class Product:
    """What a step back through one inner step needs: products with second derivatives of the support loss.

    hessian: with its Hessian, for each value. shared: of the parameters that do not adapt, the gradient of <g, u>.
    along: <g, v> over the extractor's values, and over the head's: what a learned rate's gradient is made of.
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
    chunk: int  # frames that have a graph at once
    weights: Tensor | None = None  # (N,); None: 1 / N each

    def one_graph(self, values: Sequence[Tensor]) -> Tensor:
        """The loss, with one graph over all items."""
        return self._share(values, slice(None), len(self.items))

    def gradient(self, values: Sequence[Tensor]) -> tuple[Values, Tensor]:
        """The exact gradient for each value, without graph, and the loss; N forward and backward passes."""
        leaves = as_leaves(values)
        gradients, loss = [torch.zeros_like(value) for value in leaves], leaves[-1].new_zeros(())
        for part in chunks_of(self.items, self.chunk):
            with torch.enable_grad():
                share = self._share(leaves, part, len(self.items))
                found = derivatives(share, leaves)
            for total, gradient in zip(gradients, found, strict=True):
                total += gradient
            loss += share.detach()
            del share, found  # what is left of the graph, before the next chunk has one
        return gradients, loss

    def product(self, values: Sequence[Tensor], v: Values, sizes: tuple[Tensor, Tensor], drawn: Tensor) -> Product:
        """Products with u, which is v times the step size of its group, estimated from the items that are drawn.

        Args:
            values: where the derivatives are taken.
            v: the gradient of the query loss at the end of the step.
            sizes: the step's size for the extractor's values, and for the head's.
            drawn: numbers of the items, int64 (h,); their mean stands for that of all.
        """
        leaves, shared = as_leaves(values), self.net.shared
        learning = [*leaves, *shared]
        totals = [torch.zeros_like(value) for value in learning]
        along = [leaves[-1].new_zeros(()) for _ in sizes]
        for part in chunks_of(self.items[: len(drawn)], self.chunk):
            with torch.enable_grad():
                with QuickSecondDerivatives():
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
        """What one chunk adds to an estimate of the loss from so many of the items."""
        here = part.to(self.labels.device) if isinstance(part, Tensor) else part
        logits, labels = self.net.logits(values, self.items[part]), self.labels[here]
        if self.weights is None:
            return F.cross_entropy(logits, labels, reduction="sum") / items
        each = F.cross_entropy(logits, labels, reduction="none")
        return (each * self.weights[here]).sum() * (len(self.items) / items)


def as_leaves(values: Sequence[Tensor]) -> Values:
    """The same values (not copied), each the beginning of a graph."""
    return [value.detach().requires_grad_() for value in values]


def derivatives(of: Tensor, by: Sequence[Tensor], *, again: bool = False) -> Values:
    """First derivatives; zeros where one makes no difference. again: with graph, to be differentiated once more."""
    return list(torch.autograd.grad(of, by, create_graph=again, allow_unused=True, materialize_grads=True))


def dot_by_group(one: Sequence[Tensor], other: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Dot products over the extractor's values, and over the head's; 0 where there are none."""
    dots = [(a * b).sum() for a, b in zip(one, other, strict=True)]
    return sum(dots[:-HEAD], start=one[-1].new_zeros(())), sum(dots[-HEAD:], start=one[-1].new_zeros(()))
