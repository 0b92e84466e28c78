"""A task's images in memory, as the loader reads them and task gradients use them."""

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TaskPixels:
    """One task.

    Attributes:
        support, query: items, uint8: frames (n, 3, s, s), or clips (n, frames, 3, s, s).
        support_labels, query_labels: int64 (n,) in 0..way-1; every class must be in the support set.
        way: the number of classes.
        support_videos: int64 (n,), the number of each support item's video; None: each item is its own video.
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    way: int
    support_videos: Tensor | None = None

    def pin_memory(self) -> "TaskPixels":
        """Copy to pinned memory, which a GPU can read while it computes; called by the DataLoader."""
        return replace(self, support=self.support.pin_memory(), query=self.query.pin_memory())
