"""Rates of an inner loop: one for each step of plain gradient descent, fixed or meta-learned, and steps in windows."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from groundwork.strict_model import Strict
from orbit_lite.config import Positive

Start = Literal["zeros", "prototypes"]


class InnerSettings(Strict):
    """What every inner loop can be told, beside the learner's `steps` and `step_lr`.

    window: steps that reuse one gradient (multi-step estimation, Kim et al. 2020, arXiv 2006.04298); 1 is MAML. A
        window that does not divide the steps leaves a shorter last one.
    start: where the linear head begins: at zeros, or at the class means (Triantafillou et al. 2020, arXiv 1903.03096:
        weight 2 mu, bias -mu.mu).
    learned_rates: whether meta-training changes the rates, one for each step (and group, where there are two).
    summed_batches: the support loss is the sum of the means of batches of so many support items in a row, as in the
        code published with ORBIT (so the rate grows with their number); null is the mean over all items.
    """

    window: Positive = 1
    start: Start = "zeros"
    learned_rates: bool = False
    summed_batches: Positive | None = None


def item_weights(items: int, summed_batches: int | None, *, like: Tensor) -> Tensor | None:
    """What each support item weighs in the support loss, (items,); None where it is the mean, 1 / items each.

    >>> item_weights(5, 2, like=torch.zeros(()))
    tensor([0.5000, 0.5000, 0.5000, 0.5000, 1.0000])
    """
    if summed_batches is None:
        return None
    sizes = torch.full((items,), summed_batches)
    sizes[items - items % summed_batches :] = items % summed_batches
    return 1 / sizes.to(like)


class StepRates(nn.Module):
    """The rates of one group of parameters, (steps,); they all start alike.

    Learned ones are `rate` exp(s), with an s for each step that starts at 0. So they stay above 0, an optimizer's step
    changes them by a share of themselves, however small they are, and weight decay draws them back to `rate`.

    Plain gradient descent that takes the steps of a window along one gradient takes one step with the sum of their
    rates. So an inner loop has as many gradients as windows, and the window's rates only ever come as their sum.
    """

    log_scales: Tensor  # s

    def __init__(self, rate: float, *, steps: int, window: int, learned: bool) -> None:
        """learned: s is a parameter; if not, it is no part of a checkpoint, whose config says the rate."""
        super().__init__()
        self._rate = rate
        if learned:
            self.log_scales = nn.Parameter(torch.zeros(steps))
        else:
            self.register_buffer("log_scales", torch.zeros(steps), persistent=False)
        self._bounds = [*range(0, steps, window), steps]

    @property
    def rates(self) -> Tensor:
        """Each step's, (steps,), with graph if they are learned."""
        return self._rate * self.log_scales.exp()

    @property
    def windows(self) -> int:
        """How many gradients the steps take: steps / window, rounded up."""
        return len(self._bounds) - 1

    def sums(self) -> list[Tensor]:
        """The sum of each window's rates, with graph if they are learned."""
        rates = self.rates
        return [rates[start:end].sum() for start, end in pairwise(self._bounds)]
