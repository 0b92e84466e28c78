"""Heads: what every one in the table promises. What each computes is tested in its own module's file."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from orbit_lite.config import LearnerConfig
from orbit_lite.models.heads import HEADS
from orbit_lite.models.heads.fitting import FittedHead, Head, head_tensors, with_tensors

WAY, WIDTH = 3, 5
# Whether a gradient goes back to the support features. A head without a row fails a test.
PASSES_GRADIENT = {
    "proto": True,
    "cosine": True,
    "versa": True,
    "mahalanobis": True,
    "linear": False,
    "logistic": False,
}


@pytest.fixture
def support() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([2, 0, 1, 0, 0, 1])
    return torch.randn(6, WIDTH, generator=generator, dtype=torch.float64), labels


@pytest.fixture
def queries() -> Tensor:
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


@pytest.fixture(params=HEADS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def head(name: str) -> Head:
    torch.manual_seed(5)
    # few steps, and not tiny ones: the properties are to be seen, not the optimum
    learner = LearnerConfig.model_construct(head=name, steps=5, step_lr=0.1, published_quirks=False)
    built = HEADS[name](learner, WIDTH)
    return built.double() if isinstance(built, torch.nn.Module) else built


def test_every_head_is_known_here_and_to_the_config() -> None:
    assert set(PASSES_GRADIENT) == set(HEADS)
    assert set(get_args(LearnerConfig.model_fields["head"].annotation)) == set(HEADS)


@pytest.mark.parametrize("name", [name for name in HEADS if PASSES_GRADIENT[name]], indirect=True)
def test_gradient_reaches_every_support_feature_and_query(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features, labels = support
    features, queries = features.clone().requires_grad_(), queries.clone().requires_grad_()
    logits = head.fit(features, labels, way=WAY).logits(queries)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for gradient in (features.grad, queries.grad):
        assert gradient is not None
        assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", [name for name in HEADS if not PASSES_GRADIENT[name]], indirect=True)
def test_a_head_fitted_by_steps_takes_its_features_as_given(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features, labels = support
    features = features.clone().requires_grad_()
    with torch.no_grad():  # as personalisation is
        fitted = head.fit(features, labels, way=WAY)
    assert not fitted.logits(queries).requires_grad
    assert features.grad is None
    assert fitted.logits(queries).std() > 0.01  # and the steps were made all the same


def test_all_of_its_gradient_goes_through_its_tensors(
    head: Head, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    fitted = head.fit(support[0].clone().requires_grad_(), support[1], way=WAY)
    cut = with_tensors(fitted, {key: value.detach() for key, value in head_tensors(fitted).items()})
    torch.testing.assert_close(cut.logits(queries), fitted.logits(queries))
    assert not cut.logits(queries).requires_grad  # or LITE would lose what goes another way


def test_order_of_the_support_set_does_not_matter(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    assert_same(head.fit(features, labels, way=WAY), head.fit(features[order], labels[order], way=WAY), queries)


def test_classes_have_no_order(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    renamed = torch.tensor([1, 2, 0])  # class 0 is called 1, 1 is called 2, 2 is called 0
    one, other = head.fit(features, labels, way=WAY), head.fit(features, renamed[labels], way=WAY)
    logits = other.logits(queries)[:, renamed]
    torch.testing.assert_close(logits.softmax(dim=1), one.logits(queries).softmax(dim=1), rtol=1e-4, atol=1e-5)


def test_the_same_support_set_gives_the_same_head(head: Head, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    one, other = head.fit(*support, way=WAY), head.fit(*support, way=WAY)
    assert torch.equal(one.logits(queries), other.logits(queries))


@pytest.mark.parametrize("way", [1, 2])
def test_few_classes(head: Head, support: tuple[Tensor, Tensor], queries: Tensor, way: int) -> None:
    logits = head.fit(support[0], torch.arange(6) % way, way=way).logits(queries)
    assert logits.shape == (4, way)
    assert logits.dtype == torch.float64
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", [name for name in HEADS if name != "versa"], indirect=True)  # its networks must learn
def test_well_apart_classes_are_told_apart(head: Head) -> None:
    labels = torch.tensor([0, 1, 2]).repeat(4)
    noise = torch.randn(12, WIDTH, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    features = 10 * torch.eye(WIDTH, dtype=torch.float64)[labels] + noise
    assert head.fit(features, labels, way=WAY).logits(features).argmax(dim=1).equal(labels)


def assert_same(one: FittedHead, other: FittedHead, queries: Tensor) -> None:
    torch.testing.assert_close(one.logits(queries), other.logits(queries), rtol=1e-5, atol=1e-5)
