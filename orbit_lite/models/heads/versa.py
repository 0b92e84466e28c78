"""Versa's head: two small networks turn each class's mean feature into the class's weight and bias.

Gordon et al. 2019 (arXiv 1805.09921); in the form used by CNAPs, Requeima et al. 2019 (arXiv 1906.07697).
"""

import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.heads.fitting import LinearClassifier, class_means, linear_shapes
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord
from orbit_lite.models.settings import NoSettings


class VersaHead(nn.Module):
    """Meta-learned, with 3 layers of width -> width for the weights and 3 layers of width -> 1 for the bias."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight_processor = ThreeLayers(width, width)
        self.bias_processor = ThreeLayers(width, 1)

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> LinearClassifier:
        """See Head."""
        means = class_means(features, labels, way=way)
        return LinearClassifier(weight=self.weight_processor(means), bias=self.bias_processor(means).squeeze(1))


class ThreeLayers(nn.Module):
    """Linear, ELU, Linear, ELU, Linear; the input is added if it has the output's width. Hidden layers have that
    width."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.linear1 = nn.Linear(width, out)
        self.linear2 = nn.Linear(out, out)
        self.linear3 = nn.Linear(out, out)

    def forward(self, values: Tensor) -> Tensor:
        """(n, width) to (n, out)."""
        hidden = F.elu(self.linear2(F.elu(self.linear1(values))))
        out: Tensor = self.linear3(hidden)
        return out + values if out.shape == values.shape else out


def _leaderboard_macs(head: VersaHead, size: FitSize) -> int:
    networks = 3 * size.width**2 + size.width + 2  # per class: inputs x outputs of both networks' three layers
    return size.class_means + size.way * networks


RECORD = HeadRecord(
    name="versa",
    summary="linear, its weights generated from the class means",
    settings=NoSettings,
    build=lambda learner, own, width: VersaHead(width),
    fitted=LinearClassifier,
    shapes=linear_shapes,
    macs=FitMacs(ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs),
    passes_gradient=True,
    meta_learned=True,
    adds_objects=True,
    settle=None,
    in_training=None,
)
