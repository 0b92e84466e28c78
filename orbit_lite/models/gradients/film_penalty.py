"""The penalty on generated FiLM: how much of it a step of meta-training adds."""

import math
from dataclasses import dataclass

from torch import Tensor

PUBLISHED_WEIGHT = 0.001


@dataclass(frozen=True)
class FilmPenalty:
    """Added to the loss of meta-training: `weight` times the sum of all r squared (r: see FilmAdapter).

    batch: None adds it once to each task's loss, so a step has the mean of that over its tasks. A number adds it once
    for every so many query items of a task, a short last batch counting as a whole one, and a step has the sum over its
    tasks: so does the published code, for its query batches. They are counted only: how many query items are computed
    at once is Chunks', and changes nothing.

    With 16 tasks a step and up to 256 query items a task, a batch of 256 is 16 times as strong as None.
    """

    weight: float = PUBLISHED_WEIGHT
    batch: int | None = None

    def of_task(self, squares: Tensor, *, query_items: int, loss_scale: float) -> Tensor:
        """One task's part, from the sum of all r squared; loss_scale: 1 / tasks of the step."""
        times = loss_scale if self.batch is None else math.ceil(query_items / self.batch)
        return squares * self.weight * times
