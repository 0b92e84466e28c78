"""The penalty on generated FiLM parameters in meta-training."""

import math
from dataclasses import dataclass

from torch import Tensor

PUBLISHED_WEIGHT = 0.001


@dataclass(frozen=True)
class FilmPenalty:
    """Added to the loss of meta-training: `weight` times the sum of all r squared (r: see FilmAdapter).

    batch: None adds it once to each task's loss, so a step has the mean over its tasks. A number adds it once per query
        batch of this size, counting a short last batch as one, and a step has the sum over its tasks, as in the
        published code. The batches are only counted: how many query items are computed at once is set by Chunks and
        makes no difference.

    With 16 tasks per step and up to 256 query items per task, a batch of 256 is 16 times as strong as None.
    """

    weight: float = PUBLISHED_WEIGHT
    batch: int | None = None

    def of_task(self, squares: Tensor, *, query_items: int, loss_scale: float) -> Tensor:
        """One task's penalty, given the sum of all r squared; loss_scale: 1 / the number of tasks in the step."""
        times = loss_scale if self.batch is None else math.ceil(query_items / self.batch)
        return squares * self.weight * times
