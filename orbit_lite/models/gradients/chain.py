"""A chain of encoders, cut at its joints: small leaves in the middle, whose gradient is sent on later."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from orbit_lite.models.inputs import chunks_of

Encode = Callable[[Tensor], Tensor]  # items of one chunk to encodings, with graph if gradients are on


class Joint:
    """A cut in the chain: what comes behind uses the leaves, and their gradient is sent through in one go."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self.leaves = {name: value.detach().requires_grad_() for name, value in tensors.items()}

    def back_propagate(self) -> None:
        """Send the gradient that has added up at the leaves through what came before."""
        # A frozen extractor has nothing to learn: its features have no graph.
        names = [name for name, value in self._tensors.items() if value.requires_grad]
        if names:
            torch.autograd.backward([self._tensors[name] for name in names], [self._gradient(name) for name in names])

    def _gradient(self, name: str) -> Tensor:
        gradient = self.leaves[name].grad
        return torch.zeros_like(self.leaves[name]) if gradient is None else gradient


class EncodedSupport:
    """One encoder's encodings of the whole support set: made without graph, as a leaf, (N, width)."""

    def __init__(self, encode: Encode, items: Tensor, *, chunk: int, without_graph: Encode | None = None) -> None:
        """without_graph: gives the same encodings, and no graph; quicker than `encode`, if given."""
        self._encode, self._items = encode, items
        self.items = len(items)
        with torch.no_grad():
            encodings = torch.cat([(without_graph or encode)(items[part]) for part in chunks_of(items, chunk)])
        self.leaf = encodings.requires_grad_()

    def back_propagate(self, *, h: int, rng: np.random.Generator, chunk: int) -> None:
        """Encode h of the N again, with graph, and send N/h times the gradient at their encodings through."""
        if self.leaf.grad is None:
            raise RuntimeError("no gradient at the support encodings: the head's fit has cut it off")
        h = min(h, self.items)
        drawn = draw(self.items, h, rng)
        gradient = self.leaf.grad[drawn.to(self.leaf.device)] * (self.items / h)
        for part in chunks_of(self._items[:h], chunk):
            again = self._encode(self._items[drawn[part]])
            if again.requires_grad:  # nothing to learn in a frozen one
                torch.autograd.backward(again, gradient[part])
            del again


def draw(items: int, h: int, rng: np.random.Generator) -> Tensor:
    """h of so many items, each as likely as the others: their numbers, sorted, int64 (h,)."""
    return torch.from_numpy(np.sort(rng.choice(items, size=h, replace=False)))
