"""iMAML's adapter: fits the extractor (or its norms) and a linear head; a proximal term keeps them near their start.
Rajeswaran et al. 2019 (arXiv 1909.04630); see models/gradients/proximal.py."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from groundwork.strict_model import Strict
from orbit_lite.config import Positive
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.adapting import Adapts, adapting_names
from orbit_lite.models.adapters.interface import Adapted
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs, count_macs
from orbit_lite.models.extractor import Extractor, frame_macs
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.proximal import NO_LITE, Proximal
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.gradients.support_loss import AdaptingNet, SupportLoss
from orbit_lite.models.heads.fitting import Head
from orbit_lite.models.settings import LearnerSettings

# For four layers, the paper uses a weight of 2, 16 steps of gradient descent and 5 of conjugate gradients. With 2 the
# objective of larger networks was not convex. K steps of MAML at rate a move about as far as a proximal weight of 1 /
# (a K) allows: 667 for the extractor with the rates published with ORBIT, and 67 for the head.
WEIGHT = 100.0
RESIDUAL, CG_TOLERANCE, MOST_CG_STEPS = 0.05, 1e-6, 100


class ProximalSettings(Strict):
    """iMAML's settings, in addition to the learner's `steps` (gradients per fit) and `step_lr` (the size of the first
    step).

    adapts: `all` of the extractor, or its norms (`film`); the head always adapts.
    proximal: half of it times the squared distance to the start is added to the support loss.
    residual: the gradient norm that a fit must reach, relative to that at the start; null accepts any.
    cg_tolerance, most_cg_steps: the relative residual and the most steps of the linear system for the meta-gradient; a
        null tolerance accepts any.
    """

    adapts: Adapts = "all"
    proximal: Annotated[float, Field(gt=0)] = WEIGHT
    residual: Annotated[float, Field(gt=0)] | None = RESIDUAL
    cg_tolerance: Annotated[float, Field(gt=0)] | None = CG_TOLERANCE
    most_cg_steps: Positive = MOST_CG_STEPS


class ProximalAdapter:
    """The extractor itself never changes; the adapted parameters are the state. Memory holds one chunk's graph and a
    few sets of parameters, for any number of steps."""

    shares_features = False

    def __init__(self, learner: LearnerSettings, own: ProximalSettings, extractor: Extractor) -> None:
        """Raises UsageError if the extractor can't adapt; see `adapting_names`."""
        self.names = adapting_names(extractor, own.adapts)
        self._learner, self._own = learner, own

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """See Adapter. Gives the adapted parameters and the head; videos make no difference.

        Raises:
            NotFinite: if the weights are not finite.
            NotSolved: if the steps don't reach the residual.
        """
        net, values = self._problem(extractor).adapt(items, labels.to(extractor.mean.device), way=way, chunks=chunks)
        return Adapted(net.state(values), net.head(values))

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """See Adapter. The inner problem has its own head; `head` is not used. For errors see `Proximal.gradient`."""
        return self._problem(extractor).gradient(task, plan)

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """See Adapter. One gradient on one frame is counted and multiplied; the leaderboard's count follows FineTuner's
        rule."""
        frame, width, size_px = frame_macs(extractor), extractor.width, extractor.frame_size_px
        image = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=extractor.mean.device)
        net = AdaptingNet(extractor, self.names)
        values = [*net.own, extractor.mean.new_zeros(way, width), extractor.mean.new_zeros(way)]
        one = count_macs(lambda: SupportLoss(net, image, labels[:1], chunk=1).gradient(values))
        gradients = self._learner.steps + 1  # one more, which measures the final residual
        passes = gradients * len(labels)
        dots = sum(value.numel() for value in values) * (3 * self._learner.steps + 1)
        theirs = passes * (2 * frame.leaderboard + width + way * width)
        return [PartMacs(f"extractor and head, {self._learner.steps} steps", passes * one + dots, theirs)]

    def parts(self) -> Mapping[str, nn.Module]:
        """See Adapter. There are none."""
        return {}

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """See Adapter."""
        return {name: tuple(extractor.net.get_parameter(name).shape) for name in self.names}

    def _problem(self, extractor: Extractor) -> Proximal:
        own = self._own
        return Proximal(
            extractor=extractor,
            names=self.names,
            weight=own.proximal,
            steps=self._learner.steps,
            first_size=self._learner.step_lr,
            residual=own.residual,
            cg_tolerance=own.cg_tolerance,
            most_cg_steps=own.most_cg_steps,
        )


def _build(learner: LearnerSettings, own: Any, extractor: Extractor) -> ProximalAdapter:
    return ProximalAdapter(learner, own, extractor)


RECORD = AdapterRecord(
    name="proximal",
    summary="the extractor or its norms, and a linear head, kept near their start; the gradient is implicit",
    settings=ProximalSettings,
    build=_build,
    heads=("linear",),
    passes_gradient=True,
    meta_learned=False,
    refuses={"lite": NO_LITE},
    published={},
)
