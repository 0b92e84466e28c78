"""What an adapter is: it makes an extractor suit one support set. Fitting returns a value; nothing is changed."""

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
    """What a support set made of an extractor.

    state: parameters that stand in for the extractor's own, by name; None where it stays as it is. head: where the
    adapter fits one together with them; None where the learner's head is fitted to the features.
    """

    state: ExtractorState | None = None
    head: FittedHead | None = None


class Adapter(Protocol):
    """How a learner adapts its extractor. A class of its own, or a module that holds what was meta-learned."""

    @property
    def shares_features(self) -> bool:
        """Whether one set of features serves every support set: the extractor stays as it is."""
        ...

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """Adapt to a support set, without graph.

        Args:
            extractor: is not changed.
            items: uint8 frames or clips, on any device, as Recognizer says.
            labels: int64 (n,), every class of 0..way-1 present.
            way: number of classes.
            videos: int64 (n,), which video each item is of; None: each its own.
            chunks: frames encoded at once.

        Raises:
            NotFinite: if weights or what comes of them are NaN or infinite.
        """
        ...

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """Add a task's gradient to the `.grad` of all parameters that require one.

        Args:
            extractor, head: the learner's other parts.
            task: checked; its support labels and videos are on the extractor's device.
            plan: estimator, draws and chunks.

        Raises:
            UsageError: for an estimator that would be wrong for this adapter; says why.
        """
        ...

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """What personalizing takes, by both counts.

        Args:
            extractor: the learner's.
            labels: of the support items, int64 (n,).
            way: number of classes.
            rest: counts what follows where the adapter fits no head itself: encoding the items, and the head's fit.
        """
        ...

    def parts(self) -> Mapping[str, nn.Module]:
        """Its meta-learned modules, by what a table of costs calls them."""
        ...

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """Names and shapes of the state that `fit` gives: what a file must hold; none if it gives None."""
        ...
