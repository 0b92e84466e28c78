"""Cuts a chain of encoders at its joints: small leaf tensors, whose accumulated gradient is propagated later."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from orbit_lite.models.inputs import chunks_of

Encode = Callable[[Tensor], Tensor]  # items of one chunk -> encodings, with graph if gradients are on


class Joint:
    """A cut in the chain: later parts use the leaves, and their summed gradient is propagated back in one pass."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self.leaves = {name: value.detach().requires_grad_() for name, value in tensors.items()}

    def back_propagate(self) -> None:
        """Propagate the gradient that has accumulated at the leaves through the earlier part."""
        # A frozen extractor learns nothing, so its features have no graph.
        names = [name for name, value in self._tensors.items() if value.requires_grad]
        if names:
            torch.autograd.backward([self._tensors[name] for name in names], [self._gradient(name) for name in names])

    def _gradient(self, name: str) -> Tensor:
        gradient = self.leaves[name].grad
        return torch.zeros_like(self.leaves[name]) if gradient is None else gradient


class EncodedSupport:
    """One encoder's encodings of the whole support set as a leaf, made without graph, (N, width)."""

    def __init__(self, encode: Encode, items: Tensor, *, chunk: int, without_graph: Encode | None = None) -> None:
        """without_graph: an optional encoder that gives the same encodings faster, without graph."""
        self._encode, self._items = encode, items
        self.items = len(items)
        with torch.no_grad():
            encodings = torch.cat([(without_graph or encode)(items[part]) for part in chunks_of(items, chunk)])
        self.leaf = encodings.requires_grad_()

    def back_propagate(self, *, h: int, rng: np.random.Generator, chunk: int) -> None:
        """Encode h of the N items again, with graph, and back-propagate N/h times the gradient at their encodings."""
        if self.leaf.grad is None:
            raise RuntimeError("no gradient at the support encodings: the head's fit cuts it off")
        h = min(h, self.items)
        drawn = draw(self.items, h, rng)
        gradient = self.leaf.grad[drawn.to(self.leaf.device)] * (self.items / h)
        for part in chunks_of(self._items[:h], chunk):
            again = self._encode(self._items[drawn[part]])
            if again.requires_grad:  # False if the encoder is frozen
                torch.autograd.backward(again, gradient[part])
            del again


def draw(items: int, h: int, rng: np.random.Generator) -> Tensor:
    """Draw h of `items` indices uniformly without replacement; sorted, int64 (h,)."""
    return torch.from_numpy(np.sort(rng.choice(items, size=h, replace=False)))
