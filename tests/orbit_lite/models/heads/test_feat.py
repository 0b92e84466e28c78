"""FEAT's head compared with its definition, and its dropout, which is only used in meta-training."""

import numpy as np
import pytest
import torch
from torch import Tensor

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.heads.feat import RECORD, FeatHead
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

WAY, WIDTH = 3, 6
LABELS = torch.tensor([0, 1, 2, 0, 1, 1])


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def head() -> FeatHead:
    torch.manual_seed(4)
    return FeatHead(WIDTH, temperature=7.0).double()


def test_logits_are_those_of_the_definition(head: FeatHead) -> None:
    """Entry by entry: attention over the class means, residual, norm, distance."""
    features, queries = draw(6, WIDTH), draw(4, WIDTH, seed=2)
    means = [features[label == LABELS].mean(dim=0) for label in range(WAY)]
    prototypes = []
    for mean in means:
        scores = torch.stack([(head.block.query.weight @ mean) @ (head.block.key.weight @ other) for other in means])
        shares = torch.exp(scores / WIDTH**0.5) / torch.exp(scores / WIDTH**0.5).sum()
        mixed = sum(share * (head.block.value.weight @ other) for share, other in zip(shares, means, strict=True))
        row = mean + head.block.out.weight @ mixed + head.block.out.bias
        row = (row - row.mean()) / (row.var(unbiased=False) + 1e-5).sqrt()
        prototypes.append(row * head.block.norm.weight + head.block.norm.bias)
    expected = torch.stack([-(queries - row).square().sum(dim=1) / 7 for row in prototypes], dim=1)
    found = head.fit(features, LABELS, way=WAY).logits(queries)
    torch.testing.assert_close(found.log_softmax(dim=1), expected.log_softmax(dim=1))


def in_training(head: FeatHead, seed: int) -> Tensor:
    drawn = RECORD.in_training
    assert drawn is not None
    fitted = drawn(head, "lite", np.random.default_rng(seed)).fit(draw(6, WIDTH), LABELS, way=WAY)
    return fitted.logits(draw(4, WIDTH, seed=2))


def test_dropout_is_drawn_from_the_generator_and_right_on_average(head: FeatHead) -> None:
    assert in_training(head, 0).equal(in_training(head, 0))
    assert not in_training(head, 0).equal(in_training(head, 1))
    head.block.norm = torch.nn.Identity()  # type: ignore[assignment]  # behind it the mean of draws would be bent
    kept = [RECORD.in_training(head, "lite", np.random.default_rng(seed)) for seed in range(4000)]  # type: ignore[misc]
    prototypes = [drawn.fit(draw(6, WIDTH), LABELS, way=WAY).prototypes.detach() for drawn in kept]  # type: ignore[attr-defined]
    expected = head.fit(draw(6, WIDTH), LABELS, way=WAY).prototypes.detach()
    spread = torch.stack(prototypes).std(dim=0) / len(prototypes) ** 0.5
    assert spread.min() > 0
    assert ((torch.stack(prototypes).mean(dim=0) - expected).abs() < 5 * spread).all()


def test_without_dropout_it_is_the_same_head(head: FeatHead) -> None:
    head.dropout = 0.0
    assert in_training(head, 0).equal(head.fit(draw(6, WIDTH), LABELS, way=WAY).logits(draw(4, WIDTH, seed=2)))


def small(dropout: float) -> Recognizer:
    learner = LearnerConfig(head="feat", head_settings={"dropout": dropout}, extractor="learned")
    return build_recognizer(learner, "tiny", weights="random", frame_size_px=32)


def test_a_tasks_gradient_has_dropout_and_personalizing_has_none() -> None:
    """Even with the module in train mode, which a caller may have set."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (9, 3, 32, 32), dtype=torch.uint8, generator=generator)
    task = TaskPixels(images[:6], LABELS, images[6:], torch.tensor([0, 1, 2]), WAY)
    with_dropout, without = small(0.5), small(0.0)
    losses = [
        task_gradient(recognizer, task, h=6, rng=np.random.default_rng(seed)).loss
        for recognizer in (with_dropout.train(), without.train())
        for seed in (0, 1)
    ]
    assert losses[0] != losses[1]
    assert losses[2] == losses[3]
    one, other = (found.personalize(images[:6], LABELS).logits(images[6:]) for found in (with_dropout, without))
    assert one.equal(other)
