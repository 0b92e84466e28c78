"""Prototype and cosine heads compared with their definitions."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.cosine import CosineHead
from orbit_lite.models.heads.prototypes import PrototypeHead


@pytest.fixture
def support() -> tuple[Tensor, Tensor]:
    features = torch.randn(6, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return features, torch.tensor([2, 0, 1, 0, 0, 1])


@pytest.fixture
def queries() -> Tensor:
    return torch.randn(4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def means(support: tuple[Tensor, Tensor]) -> list[Tensor]:
    return [support[0][support[1] == label].mean(dim=0) for label in range(3)]


def test_prototype_probabilities_are_of_minus_the_squared_distance(
    support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    distances = torch.stack([torch.stack([((x - mu) ** 2).sum() for mu in means(support)]) for x in queries])
    found = PrototypeHead.fit(*support, way=3).logits(queries)
    torch.testing.assert_close(found.softmax(dim=1), (-distances).softmax(dim=1))  # Snell et al. 2017, eq. 2


def test_prototype_logits_by_hand() -> None:
    head = PrototypeHead.fit(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]), way=2)
    # means (2, 0) and (0, 1); for (1, 1): 2*2 - 4 = 0 and 2*1 - 1 = 1
    assert head.logits(torch.tensor([[1.0, 1.0]])).tolist() == [[0.0, 1.0]]


def test_cosine_logits_are_32_times_the_cosine(support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    expected = [[32 * x.dot(mu) / (x.norm() * mu.norm()) for mu in means(support)] for x in queries]
    found = CosineHead().fit(*support, way=3).logits(queries)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(CosineHead().fit(*support, way=3).logits(1000 * queries), found)  # only angles count
