"""Familiarity: two signs standardized on held-out frames, and the objects' means that one of them uses."""

import numpy as np
import pytest
import torch

from orbit_lite.personal.decision.familiarity import (
    Familiarity,
    nearest_cosine,
    object_means,
    weights_by_video,
)

LABELS, VIDEOS = [0, 0, 0, 2, 2, 1, 0], [4, 4, 9, 7, 8, 2, 4]  # object 0 has videos 4 (three frames) and 9 (one)


def features(frames, width=8, seed=0):
    return torch.randn(frames, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_held_out_frames_have_a_mean_of_0_and_each_sign_a_spread_of_1():
    rng = np.random.default_rng(0)
    scores, cosines = 5 + 3 * rng.normal(size=500), 0.6 + 0.1 * rng.normal(size=500)
    found = Familiarity.of_held_out(scores, cosines)
    assert found(scores, cosines).mean() == pytest.approx(0, abs=1e-9)
    assert (found.score_weight * scores).std() == pytest.approx(1)
    assert (found.cosine_weight * cosines).std() == pytest.approx(1)


def test_by_hand():
    # scores 1 and 3: mean 2, standard deviation 1; cosines .5 and .7: mean .6, standard deviation .1
    found = Familiarity.of_held_out([1, 3], [0.7, 0.5])
    assert found([4, 2, 2], [0.6, 0.9, 0.6]) == pytest.approx([2, 3, 0], abs=1e-6)


def test_the_units_of_both_signs_do_not_matter():
    rng = np.random.default_rng(1)
    scores, cosines = rng.normal(size=50), rng.normal(size=50)
    once = Familiarity.of_held_out(scores, cosines)(scores, cosines)
    again = Familiarity.of_held_out(100 * scores - 7, 0.01 * cosines + 3)(100 * scores - 7, 0.01 * cosines + 3)
    assert again == pytest.approx(once, abs=1e-6)


def test_each_sign_alone_makes_a_frame_more_familiar():
    found = Familiarity.of_held_out([1, 2, 3], [0.3, 0.1, 0.2])
    (least, by_score, by_cosine) = found([2, 2.5, 2], [0.2, 0.2, 0.25])
    assert by_score > least and by_cosine > least


def test_frames_that_all_look_the_same_give_finite_numbers():
    found = Familiarity.of_held_out([2.0, 2.0], [0.5, 0.5])
    assert np.isfinite([found.score_weight, found.cosine_weight, found.offset]).all()
    assert found([2.0], [0.5]) == pytest.approx([0])


def test_uncalibrated_it_is_the_cosine():
    assert Familiarity()([9.0, -9.0], [0.25, 0.75]) == pytest.approx([0.25, 0.75])


def test_each_video_weighs_1():
    assert weights_by_video([4, 4, 9, 7, 4]) == pytest.approx([1 / 3, 1 / 3, 1, 1, 1 / 3])
    assert weights_by_video(np.array([3])) == pytest.approx([1])
    videos = np.random.default_rng(0).integers(0, 20, 300)
    weights = weights_by_video(videos)
    assert np.bincount(videos, weights=weights) == pytest.approx(np.ones(20))


def test_an_objects_mean_is_the_mean_of_its_videos_means():
    taught, labels, videos = features(7), torch.tensor(LABELS), torch.tensor(VIDEOS)
    directions = taught / taught.norm(dim=1, keepdim=True)
    expected = []
    for label in range(3):
        numbers = sorted(set(videos[labels == label].tolist()))
        expected.append(torch.stack([directions[videos == number].mean(dim=0) for number in numbers]).mean(dim=0))
    found = object_means(taught, labels, videos, way=3)
    assert torch.allclose(found, torch.stack(expected))
    order = torch.randperm(7, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(object_means(taught[order], labels[order], videos[order], way=3), found)


def test_a_longer_copy_of_a_video_changes_no_mean():
    taught, labels, videos = features(7), torch.tensor(LABELS), torch.tensor(VIDEOS)
    again = torch.cat([torch.arange(7), torch.tensor([2] * 50)])  # the one frame of video 9
    longer = object_means(taught[again], labels[again], videos[again], way=3)
    assert torch.allclose(longer, object_means(taught, labels, videos, way=3))


def test_the_length_of_features_does_not_matter():
    """So the gradient has no component along a feature."""
    labels, videos = torch.tensor(LABELS), torch.tensor(VIDEOS)
    taught = features(7).requires_grad_()
    queries = features(5, seed=1).requires_grad_()
    means = object_means(taught, labels, videos, way=3)
    stretch = torch.linspace(0.1, 9, 7, dtype=torch.float64)[:, None]
    assert torch.allclose(object_means(taught * stretch, labels, videos, way=3), means)
    nearest_cosine(queries, means).square().sum().backward()
    for given in (taught, queries):
        assert given.grad is not None and given.grad.abs().max() > 1e-3
        assert (given.grad * given).sum(dim=1).abs().max() < 1e-12


def test_the_cosine_is_that_of_the_nearest_mean():
    means, queries = 7 * features(3, seed=2), features(20, seed=3)
    found = nearest_cosine(queries, means)
    for query, cosine in zip(queries, found, strict=True):
        every = [float(query @ mean / query.norm() / mean.norm()) for mean in means]
        assert float(cosine) == pytest.approx(max(every))
    assert nearest_cosine(0.3 * means, means) == pytest.approx(torch.ones(3))
    assert nearest_cosine(-means[:1], means[:1]) == pytest.approx(-torch.ones(1))
