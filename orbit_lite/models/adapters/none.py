"""No adapter: the extractor stays as meta-trained."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.interface import Adapted
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.lite import GradientPlan, one_graph, three_phases
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads.fitting import Head
from orbit_lite.models.settings import NoSettings


@dataclass(frozen=True)
class NoAdapter:
    """Only the head is fitted; features are the same for every support set."""

    shares_features = True

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """See Adapter."""
        return Adapted()

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """See Adapter."""
        estimate = one_graph if plan.estimator == "full" else three_phases
        return estimate(extractor, head, task, plan)

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """See Adapter."""
        return rest()

    def parts(self) -> Mapping[str, nn.Module]:
        """See Adapter."""
        return {}

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """See Adapter."""
        return {}


NO_ADAPTER = NoAdapter()

RECORD = AdapterRecord(
    name="none",
    summary="the extractor does not adapt",
    settings=NoSettings,
    build=lambda learner, own, extractor: NO_ADAPTER,
    heads=(),
    passes_gradient=True,
    meta_learned=False,
    refuses={},
    published={},
)
