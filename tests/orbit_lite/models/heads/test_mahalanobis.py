"""The Mahalanobis head compared with its definition, with an inverse in float64."""

import pytest
import torch
from torch import Tensor

from groundwork.errors import DataError
from orbit_lite.models.heads.mahalanobis import MahalanobisHead

WIDTH = 6
LABELS = torch.tensor([0, 1, 0, 2, 1, 0, 0])  # four, two, and one of class 2


def draw(count: int, width: int = WIDTH, seed: int = 1) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(features: Tensor, labels: Tensor, queries: Tensor, of_one_item: str) -> Tensor:
    """Bateni et al. 2020, eq. 2 to 4; torch.cov divides by n - 1."""
    width = features.shape[1]
    columns = []
    for label in range(int(labels.max()) + 1):
        members = features[labels == label]
        n = len(members)
        if n > 1:
            covariance = torch.cov(members.T)
        elif of_one_item == "zero":
            covariance = torch.zeros(width, width, dtype=torch.float64)
        else:  # the published quirk: the same number in every entry
            mean = members.sum() / width
            covariance = torch.full((width, width), float(((members - mean) ** 2).sum() / (width - 1))).double()
        share = n / (n + 1)
        q = share * covariance + (1 - share) * torch.cov(features.T) + torch.eye(width, dtype=torch.float64)
        inverse, mean = torch.linalg.inv(q), members.mean(dim=0)
        columns.append(torch.stack([-((x - mean) @ inverse @ (x - mean)) for x in queries]))
    return torch.stack(columns, dim=1)


@pytest.mark.parametrize(("published_quirks", "of_one_item"), [(False, "zero"), (True, "quirk")])
def test_logits_are_those_of_the_definition(published_quirks: bool, of_one_item: str) -> None:
    features, queries = draw(7), draw(5, seed=2)
    fitted = MahalanobisHead(published_quirks).fit(features, LABELS, way=3)
    torch.testing.assert_close(fitted.logits(queries), by_definition(features, LABELS, queries, of_one_item))


def test_the_quirk_touches_classes_of_one_item_alone() -> None:
    features, queries = draw(7), draw(5, seed=2)
    plain, quirk = (MahalanobisHead(quirks).fit(features, LABELS, way=3).logits(queries) for quirks in (False, True))
    assert plain[:, :2].equal(quirk[:, :2])
    assert (plain[:, 2] - quirk[:, 2]).abs().max() > 0.01


def test_wide_float32_features_lose_nothing_to_the_inverse() -> None:
    """Features of very different size, and more features than items, as from a backbone."""
    width = 300
    sizes = torch.logspace(-2, 2, width, dtype=torch.float64)
    features, queries = draw(20, width) * sizes, draw(4, width, seed=2) * sizes
    labels = torch.arange(20) % 4
    fitted = MahalanobisHead().fit(features.float(), labels, way=4)
    expected = by_definition(features.float().double(), labels, queries.float().double(), "zero")
    assert fitted.whitenings.dtype == torch.float32
    torch.testing.assert_close(fitted.logits(queries.float()).double(), expected, rtol=1e-4, atol=1e-2)


def test_a_class_that_spreads_is_nearer_to_a_far_query() -> None:
    """The purpose of this head: by Euclidean distance the query would belong to the second class."""
    wide = torch.tensor([[-10.0, 0.0], [10.0, 0.0], [-8.0, 0.0], [8.0, 0.0]])
    narrow = torch.tensor([[12.0, 0.1], [12.1, 0.0], [12.0, -0.1], [11.9, 0.0]])
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    fitted = MahalanobisHead().fit(torch.cat([wide, narrow]), labels, way=2)
    assert fitted.logits(torch.tensor([[-7.0, 0.0]])).argmax() == 0
    assert fitted.logits(torch.tensor([[12.0, 0.0]])).argmax() == 1
    assert fitted.logits(wide).max() <= 0


@pytest.mark.parametrize("wrong", [float("nan"), 1e30])
def test_features_without_a_covariance_are_refused_by_name(wrong: float) -> None:
    features = draw(7)
    features[3] = wrong * draw(1, seed=3)
    with pytest.raises(DataError, match=r"support features of class \d.*no Cholesky factor .*; the weights have div"):
        MahalanobisHead().fit(features, LABELS, way=3)
