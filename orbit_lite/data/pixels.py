"""A task's images in memory: what the loader reads, and what a task's gradient is taken of."""

from dataclasses import dataclass, replace

from torch import Tensor


@dataclass(frozen=True, eq=False)
class TaskPixels:
    """One task.

    Attributes:
        support, query: items, uint8: frames (n, 3, s, s), or clips (n, frames, 3, s, s).
        support_labels, query_labels: int64 (n,) in 0..way-1, each class in the support.
        way: number of classes.
        support_videos: int64 (n,), which video each support item is from; None: each item is a video of its own.
    """

    support: Tensor
    support_labels: Tensor
    query: Tensor
    query_labels: Tensor
    way: int
    support_videos: Tensor | None = None

    def pin_memory(self) -> "TaskPixels":
        """With images that can be copied to a GPU while it computes; what a DataLoader calls."""
        return replace(self, support=self.support.pin_memory(), query=self.query.pin_memory())
