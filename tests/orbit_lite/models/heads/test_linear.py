"""The linear head: its steps are those of a plain loop."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from orbit_lite.models.heads.linear import StepsHead


def make_support(way: int, width: int = 8, count: int = 12) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % way
    noise = torch.randn(count, width, generator=torch.Generator().manual_seed(way), dtype=torch.float64)
    return noise + torch.eye(width, dtype=torch.float64)[labels], labels


@pytest.mark.parametrize("way", [2, 3])
def test_steps_are_those_of_a_plain_loop(way: int) -> None:
    features, labels = make_support(way)
    layer = nn.Linear(8, way).double()
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.01, betas=(0.9, 0.999), eps=1e-8)
    for _ in range(20):
        optimizer.zero_grad()
        F.cross_entropy(layer(features), labels).backward()
        optimizer.step()
    with torch.no_grad():  # as in personalization
        fitted = StepsHead(steps=20, lr=0.01).fit(features, labels, way=way)
    torch.testing.assert_close(fitted.weight, layer.weight.detach())
    torch.testing.assert_close(fitted.bias, layer.bias.detach())


def test_more_steps_fit_better() -> None:
    features, labels = make_support(3)
    losses = [
        float(F.cross_entropy(StepsHead(steps, 0.01).fit(features, labels, way=3).logits(features), labels))
        for steps in (1, 5, 50)
    ]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] < torch.log(torch.tensor(3.0))  # from zeros
