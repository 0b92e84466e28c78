"""The interface of adapters, which adapt an extractor to one support set. Fitting returns a value and changes
nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor, nn

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs
from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads.fitting import FittedHead, Head


@dataclass(frozen=True, eq=False)
class Adapted:
    """The result of adapting an extractor to a support set.

    state: parameters that replace the extractor's own, by name; None if nothing is replaced.
    head: the head that the adapter has fitted; None if the learner's head is fitted to the features.
    """

    state: ExtractorState | None = None
    head: FittedHead | None = None


class Adapter(Protocol):
    """How a learner adapts its extractor: a plain class, or a module if it has meta-learned weights."""

    @property
    def shares_features(self) -> bool:
        """Whether features are the same for every support set, because the extractor does not adapt."""
        ...

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """Adapt to a support set, without graph.

        Args:
            extractor: the extractor, which does not change.
            items: uint8 frames or clips, on any device; see Recognizer.
            labels: int64 (n,); every class in 0..way-1 occurs.
            way: the number of classes.
            videos: int64 (n,), the number of each item's video; None: each item is its own video.
            chunks: how many frames to encode at once.

        Raises:
            NotFinite: if weights or results are NaN or infinite.
        """
        ...

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """Add a task's gradient to the `.grad` of all parameters that require one.

        Args:
            extractor, head: the learner's other parts.
            task: a task that was checked, with support labels and videos on the extractor's device.
            plan: the estimator, its random draws and the chunk sizes.

        Raises:
            UsageError: for an estimator that would be wrong for this adapter; the message says why.
        """
        ...

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """The MACs to personalize, by both counts.

        Args:
            extractor: the learner's extractor.
            labels: the support items' labels, int64 (n,).
            way: the number of classes.
            rest: counts encoding the items and fitting the head, for adapters that don't fit a head themselves.
        """
        ...

    def parts(self) -> Mapping[str, nn.Module]:
        """Its meta-learned modules, by the names used in tables of costs."""
        ...

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the state that `fit` returns, which a file must hold; empty if the state is None."""
        ...
