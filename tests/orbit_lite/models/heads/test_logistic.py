"""The logistic head finds the optimum of one objective."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.heads.logistic import LogisticHead


def make_support(way: int, width: int = 8, count: int = 12) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % way
    noise = torch.randn(count, width, generator=torch.Generator().manual_seed(way), dtype=torch.float64)
    return noise + torch.eye(width, dtype=torch.float64)[labels], labels


@pytest.mark.parametrize("way", [2, 3, 5])
@pytest.mark.parametrize("penalty", [1.0, 0.1])
def test_logistic_is_the_optimum_of_one_objective_for_any_number_of_classes(way: int, penalty: float) -> None:
    features, labels = make_support(way)
    fitted = LogisticHead(penalty).fit(features, labels, way=way)
    weight, bias = fitted.weight.clone().requires_grad_(), fitted.bias.clone().requires_grad_()
    objective = F.cross_entropy(F.linear(features, weight, bias), labels, reduction="sum")
    objective = objective + penalty / 2 * weight.square().sum()
    objective.backward()
    assert weight.grad is not None
    assert bias.grad is not None
    # scikit-learn stops at 1e-4 of the mean over items
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-4 * len(labels)
    assert weight.detach().abs().max() > 0.1


def test_logistic_is_finite_where_classes_can_be_told_apart_for_sure() -> None:
    features, labels = make_support(3)
    fitted = LogisticHead().fit(100 * features, labels, way=3)
    assert fitted.logits(100 * features).argmax(dim=1).equal(labels)
