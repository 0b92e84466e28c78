"""MAML's adapter: fits the extractor (or its norms) and a linear head by plain gradient descent on the support set;
meta-training differentiates through the steps. Finn et al. 2017 (arXiv 1703.03400)."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from groundwork.strict_model import validator_error
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.adapting import Adapts, adapting_names
from orbit_lite.models.adapters.interface import Adapted
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs, count_macs
from orbit_lite.models.extractor import Extractor, frame_macs
from orbit_lite.models.gradients.inner_loop import InnerLoop, query_weights
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.gradients.support_loss import AdaptingNet, SupportLoss
from orbit_lite.models.heads.fitting import Head
from orbit_lite.models.settings import LearnerSettings
from orbit_lite.models.step_rates import InnerSettings, Start, StepRates


class InnerLoopSettings(InnerSettings):
    """MAML's settings, in addition to those of every inner loop and the learner's `steps` and `step_lr` (the head's).

    adapts: `all` of the extractor, or its norms (`film`); the head always adapts. To adapt only the head, use the
        learner anil, which encodes features once.
    extractor_lr_scale: the extractor's inner learning rate divided by the head's.
    first_order: drop second derivatives from the meta-gradient.
    multi_step_loss: the share of the query loss that is spread evenly over the steps (windows), in [0, 1]; the rest is
        on the last step.
    """

    adapts: Adapts = "all"
    extractor_lr_scale: Annotated[float, Field(gt=0)] = 1.0
    first_order: bool = False
    multi_step_loss: Annotated[float, Field(ge=0, le=1)] = 0.0

    @field_validator("adapts", mode="before")
    @classmethod
    def _head_alone_is_anil(cls, adapts: object) -> object:
        if adapts == "head":
            raise validator_error("an inner loop of the head alone needs no adapter; use head: inner_loop (as in anil)")
        return adapts


class InnerLoopAdapter(nn.Module):
    """Full-batch gradient steps that start at the extractor's own parameters and at a linear head of zeros or class
    means.

    The extractor itself never changes; the adapted parameters are the state. Memory holds one chunk's graph.
    """

    shares_features = False

    def __init__(self, learner: LearnerSettings, own: InnerLoopSettings, extractor: Extractor) -> None:
        """Raises UsageError if the extractor can't adapt: no norms for `film`, or a BatchNorm without running
        statistics."""
        super().__init__()
        self.names = adapting_names(extractor, own.adapts)
        rates = partial(StepRates, steps=learner.steps, window=own.window, learned=own.learned_rates)
        self.extractor_rates = rates(learner.step_lr * own.extractor_lr_scale)
        self.head_rates = rates(learner.step_lr)
        self._start: Start = own.start
        self._first_order, self._summed_batches = own.first_order, own.summed_batches
        self._query_weights = query_weights(self.head_rates.windows, spread=own.multi_step_loss)

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """See Adapter. Returns the adapted parameters and the head; videos are not used.

        Raises:
            NotFinite: if the steps diverge; the message names the step.
        """
        net, values = self._loop(extractor).adapt(items, labels.to(extractor.mean.device), way=way, chunks=chunks)
        return Adapted(net.state(values), net.head(values))

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """See Adapter. The inner loop fits its own head; `head` is not used.

        Raises:
            NotFinite: if the steps diverge; the message names the step.
        """
        return self._loop(extractor).gradient(task, plan)

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """See Adapter. One step on one frame is counted and multiplied; the leaderboard's count follows FineTuner's
        rule."""
        frame, support, width = frame_macs(extractor), len(labels), extractor.width
        size_px = extractor.frame_size_px
        image = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=extractor.mean.device)
        net = AdaptingNet(extractor, self.names)
        values = [*net.own, extractor.mean.new_zeros(way, width), extractor.mean.new_zeros(way)]
        one_step = count_macs(lambda: SupportLoss(net, image, labels[:1], chunk=1).gradient(values))
        windows = self.head_rates.windows
        passes = windows * support
        theirs = passes * (2 * frame.leaderboard + width + way * width)
        counted = [PartMacs(f"extractor and head, {windows} steps", passes * one_step, theirs)]
        if self._start == "prototypes":
            means = way * support * width  # one matrix product
            counted.insert(
                0, PartMacs("class means", support * frame.ours + means, support * frame.leaderboard + means)
            )
        return counted

    def parts(self) -> Mapping[str, nn.Module]:
        """See Adapter. These are the learned rates, if there are any."""
        rates = nn.ModuleList([self.extractor_rates, self.head_rates])
        return {"inner rates": rates} if any(True for _ in rates.parameters()) else {}

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """See Adapter."""
        return {name: tuple(extractor.net.get_parameter(name).shape) for name in self.names}

    def _loop(self, extractor: Extractor) -> InnerLoop:
        return InnerLoop(
            extractor=extractor,
            names=self.names,
            extractor_rates=self.extractor_rates,
            head_rates=self.head_rates,
            start=self._start,
            first_order=self._first_order,
            query_weights=self._query_weights,
            summed_batches=self._summed_batches,
        )


def _build(learner: LearnerSettings, own: Any, extractor: Extractor) -> InnerLoopAdapter:
    return InnerLoopAdapter(learner, own, extractor)


RECORD = AdapterRecord(
    name="inner_loop",
    summary="the extractor or its norms, and a linear head, by steps that meta-training differentiates through",
    settings=InnerLoopSettings,
    build=_build,
    heads=("linear",),
    passes_gradient=True,
    meta_learned=lambda own: own.learned_rates,
    refuses={},
    published={},
)
