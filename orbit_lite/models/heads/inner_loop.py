"""ANIL's head: a linear head, fitted by plain gradient descent that meta-training differentiates through.

Raghu et al. 2020 (arXiv 1909.09157): MAML whose inner loop only changes the head. Features are the same at every step,
each support item is encoded once, and the whole inner loop is a function of the encodings, as for any other head.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.heads.fitting import LinearClassifier, class_members, linear_shapes
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.models.heads.record import Count, FitMacs, HeadRecord
from orbit_lite.models.inputs import NotFinite
from orbit_lite.models.step_rates import InnerSettings, Start, StepRates, item_weights


class InnerLoopHead(nn.Module):
    """Softmax regression by full-batch gradient steps that start at zeros or at the class means.

    The gradient of the mean cross-entropy is written in closed form, so the graph over the steps only has matrix
    products of the encodings and stores (n, way) numbers per step. It gives the exact second-order gradient.
    """

    def __init__(self, rates: StepRates, *, start: Start, summed_batches: int | None = None) -> None:
        super().__init__()
        self.rates = rates
        self.start = start
        self.summed_batches = summed_batches

    @property
    def steps(self) -> int:
        """The number of gradients in a fit."""
        return self.rates.windows

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> LinearClassifier:
        """See Head. Videos are not used.

        Raises:
            NotFinite: if the steps diverge; the message names the step.
        """
        members = class_members(labels, way=way).to(features.dtype)
        if self.start == "prototypes":
            first = PrototypeHead.fit(features, labels, way=way).as_linear()
            weight, bias = first.weight, first.bias
        else:
            weight, bias = features.new_zeros(way, features.shape[1]), features.new_zeros(way)
        weights = item_weights(len(features), self.summed_batches, like=features)
        for number, size in enumerate(self.rates.sums(), start=1):
            # the gradient of each item's loss with respect to its logits
            slope = F.linear(features, weight, bias).softmax(dim=1) - members
            slope = slope / len(features) if weights is None else slope * weights[:, None]
            weight, bias = weight - size * slope.T @ features, bias - size * slope.sum(dim=0)
            if not torch.isfinite(weight.detach()).all():
                raise NotFinite(
                    f"support features: NaN or infinite weights at inner step {number} of {self.steps}; "
                    "the features are not finite, or the inner rate (step_lr) is too large"
                )
        return LinearClassifier(weight, bias)


RECORD = HeadRecord(
    name="inner_loop",
    summary="linear, by gradient steps that meta-training differentiates through",
    settings=InnerSettings,  # in addition to the learner's `steps` and `step_lr`
    build=lambda learner, own, width: InnerLoopHead(
        StepRates(learner.step_lr, steps=learner.steps, window=own.window, learned=own.learned_rates),
        start=own.start,
        summed_batches=own.summed_batches,
    ),
    fitted=LinearClassifier,
    shapes=linear_shapes,
    macs=FitMacs(
        ours=Count.BY_RUNNING,
        # as for FineTuner, forward and backward, but features are encoded once
        leaderboard=lambda head, size: 2 * head.steps * size.items * size.width * size.way,
    ),
    passes_gradient=True,
    meta_learned=lambda own: own.learned_rates,
    adds_objects=True,
    settle=None,
    in_training=None,
)
