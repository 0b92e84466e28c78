"""Loss and right answers over a task's query set, added up batch by batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class TaskLoss:
    """Mean cross-entropy and share of right answers over the task's query items, before the step."""

    loss: float
    accuracy: float


class QueryScore:
    """Adds up loss and right answers over query batches. The loss is the mean over all M items, however cut."""

    def __init__(self, *, loss_scale: float, items: int, device: torch.device) -> None:
        self._loss_scale, self._items = loss_scale, items
        # on the device: a number fetched for each batch would make the CPU wait for it
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._right = torch.zeros((), dtype=torch.int64, device=device)

    def back_propagate(self, logits: Tensor, labels: Tensor, *, penalty: Tensor | float = 0.0) -> None:
        """One batch, (b, way) and (b,): add its share of the task's mean loss, and send its gradient back.

        A penalty gets its gradient with it, and is not counted in the loss that is told.
        """
        labels = labels.to(logits.device)
        loss = F.cross_entropy(logits, labels, reduction="sum") / self._items  # M of the task, not b of the batch
        torch.autograd.backward((loss + penalty) * self._loss_scale)
        self._loss += loss.detach()
        self._right += (logits.detach().argmax(dim=1) == labels).sum()

    def result(self) -> TaskLoss:
        """Loss and accuracy over all batches."""
        return TaskLoss(loss=float(self._loss), accuracy=int(self._right) / self._items)
