"""Preprocessing for the closed-form heads: roots, weights by video, and degenerate support sets."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.centered import CenteredSupport, centered
from orbit_lite.models.heads.lda import LdaHead
from orbit_lite.models.heads.ridge import RidgeHead

HEADS = {"ridge": RidgeHead(), "lda": LdaHead()}
WAY, WIDTH = 2, 6


def draw(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, WIDTH, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_roots_are_taken_where_no_support_feature_is_negative() -> None:
    features, queries = draw(6), draw(4, seed=2) - 0.2  # a query can still be negative; its root is 0
    labels = torch.arange(6) % WAY
    support = CenteredSupport.of(features, labels, None, way=WAY)
    assert support.rooted
    roots = features.sqrt() / features.sqrt().norm(dim=1, keepdim=True)
    torch.testing.assert_close(support.middle, roots.mean(dim=0), rtol=1e-4, atol=1e-4)
    asked = centered(queries, support.middle, rooted=True)
    assert torch.isfinite(asked).all()
    assert asked.equal(centered(queries.clamp_min(0), support.middle, rooted=True))
    features[3, 2] = -1e-9
    plain = CenteredSupport.of(features, labels, None, way=WAY)
    assert not plain.rooted
    torch.testing.assert_close(plain.middle, (features / features.norm(dim=1, keepdim=True)).mean(dim=0))


@pytest.mark.parametrize("name", HEADS)
def test_the_size_of_features_makes_no_difference(name: str) -> None:
    features, queries, labels = draw(8) - 0.5, draw(4, seed=2) - 0.5, torch.arange(8) % WAY
    one = HEADS[name].fit(features, labels, way=WAY).logits(queries)
    other = HEADS[name].fit(1000 * features, labels, way=WAY).logits(1000 * queries)
    torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", HEADS)
def test_a_long_video_does_not_outvote_three_short_ones(name: str) -> None:
    """Class 0's long video looks like class 1, its three short ones don't: 3 to 1 by videos, 1 to 4 by frames."""
    like_one = torch.tensor([0.1, 1.0, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    own = torch.tensor([1.0, 0.1, 0.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    noise = 0.05 * (draw(19) - 0.5)
    features = torch.cat([own.expand(3, -1), like_one.expand(12, -1), like_one.expand(4, -1)]) + noise
    labels = torch.tensor([0] * 15 + [1] * 4)
    videos = torch.tensor([0, 1, 2] + [3] * 12 + [4, 5, 6, 7])
    by_video = HEADS[name].fit(features, labels, way=WAY, videos=videos).logits(like_one[None])
    by_frame = HEADS[name].fit(features, labels, way=WAY).logits(like_one[None])
    assert by_video.argmax() == 1
    assert (by_video[:, 0] - by_video[:, 1]) < (by_frame[:, 0] - by_frame[:, 1])


@pytest.mark.parametrize("name", HEADS)
def test_video_numbers_are_only_identifiers(name: str) -> None:
    features, queries, labels = draw(8), draw(4, seed=2), torch.arange(8) % WAY
    videos = torch.tensor([0, 1, 0, 1, 0, 1, 2, 3])
    one = HEADS[name].fit(features, labels, way=WAY, videos=videos).logits(queries)
    renamed = HEADS[name].fit(features, labels, way=WAY, videos=90 - 7 * videos).logits(queries)
    torch.testing.assert_close(renamed, one)
    assert not torch.allclose(HEADS[name].fit(features, labels, way=WAY).logits(queries), one)


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("features", [torch.zeros(4, WIDTH), torch.ones(4, WIDTH), -torch.ones(4, WIDTH)])
def test_objects_that_look_the_same_give_equal_scores_without_an_error(name: str, features: Tensor) -> None:
    logits = HEADS[name].fit(features, torch.arange(4) % WAY, way=WAY).logits(draw(3).float())
    assert torch.isfinite(logits).all()
    torch.testing.assert_close(logits[:, 0], logits[:, 1])


@pytest.mark.parametrize("name", HEADS)
def test_the_gradient_is_finite_for_zero_features(name: str) -> None:
    """Dead units after a ReLU are 0 in every image, where the root has an infinite slope."""
    features = draw(8)
    features[:, 1] = 0
    features[2] = 0
    features.requires_grad_()
    logits = HEADS[name].fit(features, torch.arange(8) % WAY, way=WAY).logits(draw(3, seed=2))
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0])).backward()
    assert features.grad is not None
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("name", HEADS)
def test_the_choice_is_constant_in_the_gradient(name: str) -> None:
    """By finite differences with a fixed penalty (or shrinkage), since the choice itself passes no gradient."""
    features, queries, labels = draw(8) - 0.5, draw(3, seed=2) - 0.5, torch.arange(8) % WAY

    def loss(values: Tensor) -> Tensor:
        logits = HEADS[name].fit(values, labels, way=WAY).logits(queries)
        return torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 0]))

    assert torch.autograd.gradcheck(loss, features.requires_grad_())


@pytest.mark.parametrize("name", HEADS)
def test_float32_is_near_float64(name: str) -> None:
    features, queries, labels = draw(8), draw(4, seed=2), torch.arange(8) % WAY
    exact = HEADS[name].fit(features, labels, way=WAY).logits(queries)
    rounded = HEADS[name].fit(features.float(), labels, way=WAY).logits(queries.float())
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded.double(), exact, rtol=1e-3, atol=1e-4)
