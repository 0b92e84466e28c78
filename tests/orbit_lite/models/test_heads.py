"""Heads: every one in the table, by its properties and against its definition written out."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads import HEADS, PrototypeHead, class_means, head_tensors, with_tensors

WAY, WIDTH = 3, 5


def by_distance(query: Tensor, means: Tensor) -> Tensor:
    return torch.stack([-((query - mean) ** 2).sum() for mean in means])  # Snell et al. 2017, eq. 2


def by_angle(query: Tensor, means: Tensor) -> Tensor:
    return torch.stack([32 * query.dot(mean) / (query.norm() * mean.norm()) for mean in means])


# What a head's class probabilities are, from one query and the class means; a head without a row fails a test.
DEFINITIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"proto": by_distance, "cosine": by_angle}


@pytest.fixture
def support() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    labels = torch.tensor([2, 0, 1, 0, 0, 1])
    return torch.randn(6, WIDTH, generator=generator, dtype=torch.float64), labels


@pytest.fixture
def queries() -> Tensor:
    return torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_every_head_has_a_definition() -> None:
    assert set(DEFINITIONS) == set(HEADS)


@pytest.mark.parametrize("name", HEADS)
def test_probabilities_are_those_of_the_definition(name: str, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    means = torch.stack([features[labels == label].mean(dim=0) for label in range(WAY)])
    expected = torch.stack([DEFINITIONS[name](query, means).softmax(dim=0) for query in queries])
    fitted = HEADS[name].fit(features, labels, way=WAY)
    torch.testing.assert_close(fitted.logits(queries).softmax(dim=1), expected)


@pytest.mark.parametrize("name", HEADS)
def test_gradient_reaches_every_support_feature_and_query(
    name: str, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features, labels = support
    features, queries = features.clone().requires_grad_(), queries.clone().requires_grad_()
    logits = HEADS[name].fit(features, labels, way=WAY).logits(queries)
    torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    for gradient in (features.grad, queries.grad):
        assert gradient is not None
        assert (gradient.abs().sum(dim=1) > 0).all()


@pytest.mark.parametrize("name", HEADS)
def test_all_of_its_gradient_goes_through_its_tensors(
    name: str, support: tuple[Tensor, Tensor], queries: Tensor
) -> None:
    features = support[0].clone().requires_grad_()
    fitted = HEADS[name].fit(features, support[1], way=WAY)
    cut = with_tensors(fitted, {key: value.detach() for key, value in head_tensors(fitted).items()})
    torch.testing.assert_close(cut.logits(queries), fitted.logits(queries))
    assert not cut.logits(queries).requires_grad  # or LITE would lose what goes another way


@pytest.mark.parametrize("name", HEADS)
def test_order_of_the_support_set_does_not_matter(name: str, support: tuple[Tensor, Tensor], queries: Tensor) -> None:
    features, labels = support
    order = torch.tensor([5, 3, 0, 1, 4, 2])
    one, other = HEADS[name].fit(features, labels, way=WAY), HEADS[name].fit(features[order], labels[order], way=WAY)
    torch.testing.assert_close(one.logits(queries), other.logits(queries))


def test_prototype_logits_by_hand() -> None:
    head = PrototypeHead.fit(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0, 1]), way=2)
    # means (2, 0) and (0, 1); for (1, 1): 2*2 - 4 = 0 and 2*1 - 1 = 1
    assert head.logits(torch.tensor([[1.0, 1.0]])).tolist() == [[0.0, 1.0]]


@pytest.mark.parametrize(
    ("labels", "way", "words"),
    [([0, 2, 2], 3, "class 1 of 3"), ([0, 1, 2], 2, "outside 0..1"), ([0, 1, -1], 2, "outs")],
)
def test_a_class_without_items_is_named(labels: list[int], way: int, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        class_means(torch.ones(3, 2), torch.tensor(labels), way=way)
