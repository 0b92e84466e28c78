"""FineTuner's head: a linear head, fitted to the support features by gradient steps."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.fitting import LinearClassifier, linear_shapes
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord
from orbit_lite.models.settings import NoSettings


@dataclass(frozen=True)
class StepsHead:
    """Softmax regression from zeros, by full-batch steps of Adam. Not meta-learned.

    No gradient passes back to the features.
    """

    steps: int
    lr: float

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> LinearClassifier:
        """See Head. Deterministic."""
        features = features.detach()
        weight = features.new_zeros(way, features.shape[1]).requires_grad_()
        bias = features.new_zeros(way).requires_grad_()
        optimizer = torch.optim.Adam([weight, bias], lr=self.lr)
        with torch.enable_grad():
            for _ in range(self.steps):
                loss = F.cross_entropy(F.linear(features, weight, bias), labels)
                weight.grad, bias.grad = torch.autograd.grad(loss, [weight, bias])
                optimizer.step()
        return LinearClassifier(weight.detach(), bias.detach())


RECORD = HeadRecord(
    name="linear",
    summary="linear, by steps of Adam",
    settings=NoSettings,  # it uses the learner's `steps` and `step_lr`, which FiLM parameters may share
    build=lambda learner, own, width: StepsHead(learner.steps, learner.step_lr),
    fitted=LinearClassifier,
    shapes=linear_shapes,
    macs=FitMacs(
        ours=Count.BY_RUNNING,
        leaderboard=lambda head, size: head.steps * size.items * size.width * size.way,
        encodings=lambda head: 2 * head.steps,  # each step encodes every frame again, forward and backward
    ),
    passes_gradient=False,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=None,
)
