"""Accumulates loss and accuracy over a task's query set, batch by batch."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class TaskLoss:
    """Mean cross-entropy and accuracy over the task's query items, before the step."""

    loss: float
    accuracy: float


class QueryScore:
    """Accumulates loss and accuracy over query batches. The loss is the mean over all M items, for any batch size."""

    def __init__(self, *, loss_scale: float, items: int, device: torch.device) -> None:
        self._loss_scale, self._items = loss_scale, items
        # kept on the device: fetching a number per batch would make the CPU wait
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._right = torch.zeros((), dtype=torch.int64, device=device)

    def back_propagate(self, logits: Tensor, labels: Tensor, *, penalty: Tensor | float = 0.0) -> None:
        """Add one batch's share, (b, way) and (b,), of the task's mean loss, and back-propagate it.

        A penalty is back-propagated with it, but is not part of the reported loss.
        """
        labels = labels.to(logits.device)
        # divided by the task's M, not by the batch's b
        loss = F.cross_entropy(logits, labels, reduction="sum") / self._items
        torch.autograd.backward((loss + penalty) * self._loss_scale)
        self._loss += loss.detach()
        self._right += (logits.detach().argmax(dim=1) == labels).sum()

    def result(self) -> TaskLoss:
        """Loss and accuracy over all batches."""
        return TaskLoss(loss=float(self._loss), accuracy=int(self._right) / self._items)
