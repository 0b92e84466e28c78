"""FineTuner + FiLM: fits norm parameters and a linear head to one support set by gradient steps."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from groundwork.errors import UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film import film_parameters, film_shapes
from orbit_lite.models.adapters.interface import Adapted
from orbit_lite.models.adapters.record import AdapterRecord
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.counting import PartMacs, count_macs
from orbit_lite.models.extractor import Extractor, frame_macs
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads.fitting import Head, LinearClassifier
from orbit_lite.models.inputs import NotFinite, chunks_of
from orbit_lite.models.settings import NoSettings


@dataclass(frozen=True)
class FilmTuner:
    """Full-batch steps of Adam on FiLM parameters (from the extractor's own) and a linear head (from zeros).

    The extractor never changes. Memory holds one chunk's graph: the gradient of the full batch is summed over chunks.
    """

    steps: int
    lr: float

    shares_features = False

    def fit(
        self, extractor: Extractor, items: Tensor, labels: Tensor, *, way: int, videos: Tensor | None, chunks: Chunks
    ) -> Adapted:
        """See Adapter. Returns the FiLM state and the head; videos are not used.

        Raises:
            NotFinite: if the loss becomes NaN or infinite.
        """
        film = {name: value.detach().clone().requires_grad_() for name, value in film_parameters(extractor).items()}
        weight = extractor.mean.new_zeros(way, extractor.width).requires_grad_()
        bias = extractor.mean.new_zeros(way).requires_grad_()
        learning = [*film.values(), weight, bias]
        optimizer = torch.optim.Adam(learning, lr=self.lr)
        labels = labels.to(extractor.mean.device)
        for step in range(self.steps):
            optimizer.zero_grad()
            total = extractor.mean.new_zeros(())
            for part in chunks_of(items, chunks.with_graph):
                with torch.enable_grad():
                    features = extractor.encode(items[part], state=film)
                    loss = F.cross_entropy(F.linear(features, weight, bias), labels[part], reduction="sum")
                    gradients = torch.autograd.grad(loss / len(items), learning)
                for value, gradient in zip(learning, gradients, strict=True):
                    value.grad = gradient if value.grad is None else value.grad + gradient
                total += loss.detach()
            if not torch.isfinite(total):
                raise NotFinite(
                    f"support images: the loss is {float(total)} at step {step + 1} of {self.steps}; the "
                    "extractor's weights are not finite, or the step size is too large"
                )
            optimizer.step()
        state = {name: value.detach() for name, value in film.items()}
        return Adapted(state, LinearClassifier(weight.detach(), bias.detach()))

    def gradient(self, extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """See Adapter. Raises UsageError: nothing is meta-trained."""
        raise UsageError("this learner is fitted to each support set separately and has nothing to meta-train")

    def macs(
        self, extractor: Extractor, labels: Tensor, *, way: int, rest: Callable[[], list[PartMacs]]
    ) -> list[PartMacs]:
        """See Adapter. One step on one frame is counted and multiplied by the number of steps and frames."""
        one_step, size_px = replace(self, steps=1), extractor.frame_size_px
        frame = torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8, device=extractor.mean.device)
        alone = Chunks(1, 1, 1)
        ours = count_macs(
            lambda: one_step.fit(extractor, frame, labels[:1], way=way, videos=None, chunks=alone),
        )
        leaderboard = 2 * frame_macs(extractor).leaderboard + extractor.width + way * extractor.width
        passes = self.steps * len(labels)
        return [PartMacs(f"extractor and head, {self.steps} steps", passes * ours, passes * leaderboard)]

    def parts(self) -> Mapping[str, nn.Module]:
        """See Adapter."""
        return {}

    def state_shapes(self, extractor: Extractor) -> Mapping[str, tuple[int, ...]]:
        """See Adapter."""
        return film_shapes(extractor)


RECORD = AdapterRecord(
    name="steps",
    summary="FiLM parameters by gradient steps, together with a linear head",
    settings=NoSettings,  # the learner's `steps` and `step_lr`
    build=lambda learner, own, extractor: FilmTuner(learner.steps, learner.step_lr),
    heads=("linear",),
    passes_gradient=False,
    meta_learned=False,
    refuses={},
    published={},
)
