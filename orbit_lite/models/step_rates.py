"""Learning rates of an inner loop: one per step of plain gradient descent, fixed or meta-learned, grouped in
windows."""

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from groundwork.strict_model import Strict
from orbit_lite.config import Positive

Start = Literal["zeros", "prototypes"]


class InnerSettings(Strict):
    """The settings of every inner loop, in addition to the learner's `steps` and `step_lr`.

    window: how many steps reuse one gradient (multi-step estimation, Kim et al. 2020, arXiv 2006.04298); 1 is MAML. If
        it does not divide the steps, the last window is shorter.
    start: where the linear head starts: zeros, or the class means (Triantafillou et al. 2020, arXiv 1903.03096: weight
        2 mu, bias -mu.mu).
    learned_rates: whether meta-training changes the rates, one per step (and per group, if there are two).
    summed_batches: the support loss is the sum of the means over consecutive batches of this many support items, as in
        the code published with ORBIT (so the effective rate grows with the number of batches); null is the mean over
        all items.
    """

    window: Positive = 1
    start: Start = "zeros"
    learned_rates: bool = False
    summed_batches: Positive | None = None


def item_weights(items: int, summed_batches: int | None, *, like: Tensor) -> Tensor | None:
    """The weight of each support item in the support loss, (items,); None for the mean, where each weighs 1 / items.

    >>> item_weights(5, 2, like=torch.zeros(()))
    tensor([0.5000, 0.5000, 0.5000, 0.5000, 1.0000])
    """
    if summed_batches is None:
        return None
    sizes = torch.full((items,), summed_batches)
    sizes[items - items % summed_batches :] = items % summed_batches
    return 1 / sizes.to(like)


class StepRates(nn.Module):
    """The rates of one group of parameters, (steps,); all start with the same value.

    Learned rates are `rate` exp(s), with one s per step that starts at 0. So they stay positive, an optimizer's step
    changes them in proportion to their size, and weight decay pulls them back to `rate`.

    In plain gradient descent, the steps of a window along one gradient are one step with the sum of their rates. So an
    inner loop computes one gradient per window, and only the sum of a window's rates is used.
    """

    log_scales: Tensor  # s

    def __init__(self, rate: float, *, steps: int, window: int, learned: bool) -> None:
        """learned: s is a parameter; if not, it is not stored in checkpoints, whose config has the rate."""
        super().__init__()
        self._rate = rate
        if learned:
            self.log_scales = nn.Parameter(torch.zeros(steps))
        else:
            self.register_buffer("log_scales", torch.zeros(steps), persistent=False)
        self._bounds = [*range(0, steps, window), steps]

    @property
    def rates(self) -> Tensor:
        """The rate of each step, (steps,), with graph if they are learned."""
        return self._rate * self.log_scales.exp()

    @property
    def windows(self) -> int:
        """The number of gradients: steps / window, rounded up."""
        return len(self._bounds) - 1

    def sums(self) -> list[Tensor]:
        """The sum of each window's rates, with graph if they are learned."""
        rates = self.rates
        return [rates[start:end].sum() for start, end in pairwise(self._bounds)]
