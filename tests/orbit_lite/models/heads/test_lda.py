"""The LDA head compared with its definition, and its shrinkage compared with leaving out videos by refitting."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.centered import CenteredSupport
from orbit_lite.models.heads.lda import RECORD, SCALE, LdaHead
from orbit_lite.models.heads.lda_shrinkage import DEFAULT_SHRINKAGE, SHRINKAGES, Scatter, choose_shrinkage

WAY = 3
LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
VIDEOS = torch.tensor([4, 4, 9, 1, 1, 1, 2, 7, 7, 8, 8, 3])  # the classes have two, two and three videos


def draw(count: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def separable(width: int, spread: float) -> Tensor:
    return 3 * torch.eye(width, dtype=torch.float64)[LABELS] + spread * draw(len(LABELS), width)


def support_of(features: Tensor, videos: Tensor = VIDEOS) -> CenteredSupport:
    return CenteredSupport.of(features, LABELS, videos, way=WAY)


def classifier(rows: Tensor, labels: Tensor, weights: Tensor, shrinkage: float, level: float, degrees: int) -> Tensor:
    """Weights and biases, (way, width + 1), from the explicit covariance and a general inverse."""
    width = rows.shape[1]
    means = torch.stack([torch.einsum("n,nd->d", weights[labels == k], rows[labels == k]) for k in range(WAY)])
    means = means / torch.stack([weights[labels == k].sum() for k in range(WAY)])[:, None]
    covariance = torch.zeros(width, width, dtype=torch.float64)
    for row, label, weight in zip(rows, labels, weights, strict=True):
        covariance += weight * torch.outer(row - means[label], row - means[label]) / degrees
    inverse = torch.linalg.inv((1 - shrinkage) * covariance + shrinkage * level * torch.eye(width, dtype=torch.float64))
    bias = torch.stack([-mean @ inverse @ mean / 2 for mean in means])
    return torch.cat([means @ inverse, bias[:, None]], dim=1)


@pytest.mark.parametrize("width", [5, 40])  # fewer than items, and more
@pytest.mark.parametrize("shrinkage", [0.05, 0.7, 1.0])
def test_logits_are_those_of_the_definition(width: int, shrinkage: float) -> None:
    features, queries = draw(len(LABELS), width), draw(4, width, seed=2)
    support = support_of(features)
    degrees = len(LABELS) - WAY + 1  # one more row, at distance 1 from its mean
    spread = sum(
        float(weight * (row - _share(support, label) @ support.rows[label == LABELS]).square().sum())
        for row, label, weight in zip(support.rows, LABELS.tolist(), support.weights, strict=True)
    )
    level = (spread + 1) / degrees / width
    found = classifier(support.rows, LABELS, support.weights, shrinkage, level, degrees)
    asked = queries / queries.norm(dim=1, keepdim=True) - support.middle
    asked = asked / asked.norm(dim=1, keepdim=True)
    expected = SCALE * (asked @ found[:, :-1].T + found[:, -1])
    fitted = LdaHead(shrinkage).fit(features, LABELS, way=WAY, videos=VIDEOS)
    torch.testing.assert_close(fitted.logits(queries), expected)


def _share(support: CenteredSupport, label: int) -> Tensor:
    weights = support.weights[label == LABELS]
    return weights / weights.sum()


def loss_by_refitting(support: CenteredSupport, shrinkage: float) -> float:
    """The mean cross-entropy of left-out videos, refitting for each video that can be left out."""
    scatter, losses = Scatter.of(support, LABELS), []
    for number in range(len(support.leavable)):
        if not support.leavable[number]:
            continue
        out = support.video == number
        rows, labels, weights = support.rows[~out], LABELS[~out], support.weights[~out]
        found = classifier(rows, labels, weights, shrinkage, float(scatter.level), scatter.degrees)
        logits = support.rows[out] @ found[:, :-1].T + found[:, -1]
        losses.append(torch.nn.functional.cross_entropy(logits, LABELS[out]))
    return float(torch.stack(losses).mean())


@pytest.mark.parametrize("width", [5, 40])
@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 2.0, 6.0])
def test_the_shrinkage_is_the_best_on_videos_left_out(width: int, spread: float) -> None:
    videos = VIDEOS.clone()
    videos[LABELS == 1] = 1  # a class with one video, which is never left out
    support = support_of(separable(width, spread), videos)
    losses = [loss_by_refitting(support, shrinkage) for shrinkage in SHRINKAGES]
    chosen = choose_shrinkage(support, Scatter.of(support, LABELS), LABELS)
    assert chosen == SHRINKAGES[losses.index(min(losses))]


def test_the_choice_is_not_always_the_same() -> None:
    supports = [support_of(separable(width, spread)) for width, spread in ((5, 0.5), (40, 2.0))]
    chosen = [choose_shrinkage(support, Scatter.of(support, LABELS), LABELS) for support in supports]
    assert chosen[0] != chosen[1]


def test_with_nothing_to_leave_out_the_shrinkage_is_the_usual() -> None:
    features = draw(len(LABELS), 5)
    chosen = LdaHead().fit(features, LABELS, way=WAY, videos=LABELS)
    assert chosen.weight.equal(LdaHead(DEFAULT_SHRINKAGE).fit(features, LABELS, way=WAY, videos=LABELS).weight)
    assert not chosen.weight.equal(LdaHead(0.3).fit(features, LABELS, way=WAY, videos=LABELS).weight)


@pytest.mark.parametrize("features", [torch.eye(4, dtype=torch.float64)[:3], torch.eye(4).double()[[0, 1, 2, 0, 1, 2]]])
def test_objects_without_spread_are_distinguished(features: Tensor) -> None:
    """With one item per class, or the same item twice, the covariance is zero, which leaves the nearest mean."""
    labels = torch.arange(len(features)) % WAY
    logits = LdaHead().fit(features, labels, way=WAY).logits(features)
    assert logits.argmax(dim=1).equal(labels)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("spread", [0.3, 2.0])
@pytest.mark.parametrize("videos", [VIDEOS, None])
def test_settled_it_fits_as_before_and_keeps_its_shrinkage_for_other_features(
    spread: float, videos: Tensor | None
) -> None:
    features, others = separable(5, spread), separable(5, 2.3 - spread)
    settled = LdaHead(scale=2.0).settled(features, LABELS, videos, way=WAY)
    support = CenteredSupport.of(features, LABELS, videos, way=WAY)
    assert settled == LdaHead(choose_shrinkage(support, Scatter.of(support, LABELS), LABELS), 2.0)
    fitted = LdaHead(scale=2.0).fit(features, LABELS, way=WAY, videos=videos)
    assert torch.equal(settled.fit(features, LABELS, way=WAY, videos=videos).weight, fitted.weight)
    by_hand = LdaHead(settled.shrinkage, 2.0).fit(others, LABELS, way=WAY, videos=videos)
    assert torch.equal(settled.fit(others, LABELS, way=WAY, videos=videos).weight, by_hand.weight)


def test_a_shrinkage_that_is_given_is_settled() -> None:
    given = LdaHead(0.4)
    assert given.settled(separable(5, 1.0), LABELS, VIDEOS, way=WAY) is given
    assert RECORD.settle is not None
    assert RECORD.settle(given, separable(5, 1.0), LABELS, VIDEOS, WAY) is given
