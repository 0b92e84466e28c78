"""The ridge head compared with its definition, and its penalty compared with leaving out videos by refitting."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.centered import CenteredSupport
from orbit_lite.models.heads.ridge import DEFAULT_PENALTY, PENALTIES, RECORD, SCALE, RidgeHead, choose_penalty
from orbit_lite.models.inputs import NotFinite

WAY = 3
LABELS = torch.tensor([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2])
VIDEOS = torch.tensor([4, 4, 9, 1, 1, 1, 2, 7, 7, 8, 8, 3])  # the classes have two, two and three videos


def draw(count: int, width: int, seed: int = 1) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def separable(width: int, spread: float) -> Tensor:
    return 3 * torch.eye(width, dtype=torch.float64)[LABELS] + spread * draw(len(LABELS), width)


def item_weights(labels: Tensor, videos: Tensor) -> Tensor:
    """1 / (videos of the class x frames of the video), scaled to mean 1; by loops."""
    pairs = list(zip(labels.tolist(), videos.tolist(), strict=True))
    weights = [1 / (len({v for k, v in pairs if k == label}) * pairs.count((label, video))) for label, video in pairs]
    return torch.tensor(weights, dtype=torch.float64) * len(weights) / sum(weights)


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


def by_definition(features: Tensor, queries: Tensor, penalty: float) -> Tensor:
    """Least squares by a general solver, with the penalty as additional rows; scores without scale."""
    weights = item_weights(LABELS, VIDEOS)
    middle = (weights[:, None] * unit(features)).sum(dim=0) / weights.sum()
    rows, aims = unit(unit(features) - middle), torch.eye(WAY, dtype=torch.float64)[LABELS] - 1 / WAY
    width = rows.shape[1]
    left = torch.cat([rows * weights.sqrt()[:, None], penalty**0.5 * torch.eye(width, dtype=torch.float64)])
    right = torch.cat([aims * weights.sqrt()[:, None], torch.zeros(width, WAY, dtype=torch.float64)])
    return unit(unit(queries) - middle) @ torch.linalg.lstsq(left, right).solution


@pytest.mark.parametrize("width", [5, 40])  # fewer than items, and more
@pytest.mark.parametrize("penalty", [0.01, 0.7])
def test_logits_are_those_of_the_definition(width: int, penalty: float) -> None:
    features, queries = draw(len(LABELS), width), draw(4, width, seed=2)
    fitted = RidgeHead(penalty).fit(features, LABELS, way=WAY, videos=VIDEOS)
    torch.testing.assert_close(fitted.logits(queries), SCALE * by_definition(features, queries, penalty))


def error_by_refitting(support: CenteredSupport, aims: Tensor, penalty: float) -> float:
    """The mean squared error of left-out videos, solving again for each video that can be left out."""
    errors = []
    for number in range(len(support.leavable)):
        if not support.leavable[number]:
            continue
        out = support.video == number
        rows, weights = support.rows[~out], support.weights[~out]
        square = rows.T @ (weights[:, None] * rows) + penalty * torch.eye(rows.shape[1], dtype=torch.float64)
        solution = torch.linalg.solve(square, rows.T @ (weights[:, None] * aims[~out]))
        errors.append((support.rows[out] @ solution - aims[out]).square().sum(dim=1).mean())
    return float(torch.stack(errors).mean())


@pytest.mark.parametrize("width", [5, 40])
@pytest.mark.parametrize("spread", [0.1, 0.5, 1.0, 2.0, 6.0])
def test_the_penalty_is_the_best_on_videos_left_out(width: int, spread: float) -> None:
    videos = VIDEOS.clone()
    videos[LABELS == 1] = 1  # a class with one video, which is never left out
    support = CenteredSupport.of(separable(width, spread), LABELS, videos, way=WAY)
    aims = torch.eye(WAY, dtype=torch.float64)[LABELS] - 1 / WAY
    errors = [error_by_refitting(support, aims, penalty) for penalty in PENALTIES]
    assert choose_penalty(support, aims) == PENALTIES[errors.index(min(errors))]


def test_the_choice_is_not_always_the_same() -> None:
    aims = torch.eye(WAY, dtype=torch.float64)[LABELS] - 1 / WAY
    supports = [CenteredSupport.of(separable(5, spread), LABELS, VIDEOS, way=WAY) for spread in (0.1, 6.0)]
    low, high = (choose_penalty(support, aims) for support in supports)
    assert low < high


def test_with_nothing_to_leave_out_the_penalty_is_the_usual() -> None:
    features, queries = draw(len(LABELS), 5), draw(4, 5, seed=2)
    one_each = LABELS  # one video per class
    chosen = RidgeHead().fit(features, LABELS, way=WAY, videos=one_each)
    assert chosen.weight.equal(RidgeHead(DEFAULT_PENALTY).fit(features, LABELS, way=WAY, videos=one_each).weight)
    assert not chosen.weight.equal(RidgeHead(1.0).fit(features, LABELS, way=WAY, videos=one_each).weight)
    assert chosen.logits(queries).std() > 0.01


def test_logits_sum_to_zero_and_grow_with_the_scale() -> None:
    features, queries = draw(len(LABELS), 5), draw(4, 5, seed=2)
    one = RidgeHead(0.3, scale=1.0).fit(features, LABELS, way=WAY).logits(queries)
    torch.testing.assert_close(one.sum(dim=1), torch.zeros(4, dtype=torch.float64))
    torch.testing.assert_close(RidgeHead(0.3, scale=7.0).fit(features, LABELS, way=WAY).logits(queries), 7 * one)


def test_features_that_have_diverged_are_refused() -> None:
    features = draw(len(LABELS), 5)
    features[3, 2] = torch.nan
    with pytest.raises(NotFinite, match="NaN or infinite: the weights have diverged"):
        RidgeHead().fit(features, LABELS, way=WAY)


@pytest.mark.parametrize("spread", [0.5, 2.0])
@pytest.mark.parametrize("videos", [VIDEOS, None])
def test_settled_it_fits_as_before_and_keeps_its_penalty_for_other_features(
    spread: float, videos: Tensor | None
) -> None:
    features, others = separable(5, spread), separable(5, 2.5 - spread)
    settled = RidgeHead(scale=2.0).settled(features, LABELS, videos, way=WAY)
    support = CenteredSupport.of(features, LABELS, videos, way=WAY)
    aims = torch.eye(WAY, dtype=torch.float64)[LABELS] - 1 / WAY
    assert settled == RidgeHead(choose_penalty(support, aims), 2.0)
    fitted = RidgeHead(scale=2.0).fit(features, LABELS, way=WAY, videos=videos)
    assert torch.equal(settled.fit(features, LABELS, way=WAY, videos=videos).weight, fitted.weight)
    by_hand = RidgeHead(settled.penalty, 2.0).fit(others, LABELS, way=WAY, videos=videos)
    assert torch.equal(settled.fit(others, LABELS, way=WAY, videos=videos).weight, by_hand.weight)


def test_a_penalty_that_is_given_is_settled() -> None:
    given = RidgeHead(0.7)
    assert given.settled(separable(5, 1.0), LABELS, VIDEOS, way=WAY) is given
    assert RECORD.settle is not None
    assert RECORD.settle(given, separable(5, 1.0), LABELS, VIDEOS, WAY) is given
