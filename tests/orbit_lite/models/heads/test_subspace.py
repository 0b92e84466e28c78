"""The subspace head compared with its definition, and its gradient compared with finite differences, even where plain
SVD has none."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.heads.subspace import SubspaceHead, leading_axes
from orbit_lite.models.inputs import NotFinite

WAY = 3
LABELS = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2])  # a class with one image


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("width", [3, 12])  # fewer than a class's items, and more
@pytest.mark.parametrize("rank", [1, 2, 5])  # 5 is more than any class has
def test_logits_are_those_of_the_definition(width: int, rank: int) -> None:
    features, queries = draw(len(LABELS), width), draw(4, width, seed=2)
    expected = []
    for label in range(WAY):
        axes = torch.linalg.svd(features[label == LABELS].T, full_matrices=False).U[:, :rank]
        expected.append((queries @ axes).square().sum(dim=1))
    fitted = SubspaceHead(rank).fit(features, LABELS, way=WAY)
    assert fitted.axes.shape == (WAY, rank, width)
    torch.testing.assert_close(fitted.logits(queries), torch.stack(expected, dim=1))


def energy(rows: Tensor, query: Tensor, rank: int) -> Tensor:
    return (leading_axes(rows, rank) @ query).square().sum()


@pytest.mark.parametrize(("items", "width"), [(5, 3), (4, 7), (1, 4)])
@pytest.mark.parametrize("rank", [1, 2, 4])
def test_the_gradient_agrees_with_finite_differences(items: int, width: int, rank: int) -> None:
    rows, query = draw(items, width).requires_grad_(), draw(width, seed=2).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: energy(a, b, rank), (rows, query))


def test_the_gradient_is_finite_and_right_where_singular_values_are_equal() -> None:
    """With two equal ones in the subspace the span has a gradient, but plain SVD divides by zero."""
    rows = torch.tensor([[2.0, 0, 0, 0], [0, 2, 0, 0], [0, 0, 1, 0]], dtype=torch.float64).requires_grad_()
    query = draw(4, seed=2)
    _, _, axes = torch.linalg.svd(rows)
    assert not torch.autograd.grad((axes[:2] @ query).square().sum(), rows)[0].isfinite().all()
    assert torch.autograd.gradcheck(lambda a: energy(a, query, 2), rows)


def test_an_image_seen_twice_adds_no_direction() -> None:
    """In float32 the two differ by rounding, which would look like another direction."""
    one, query = draw(1, 6).float(), draw(1, 6, seed=2).float()
    again = one * (1 + 2**-20) / (1 + 2**-20)
    rows = torch.cat([one, again, one + 1e-7 * draw(1, 6, seed=3).float()]).requires_grad_()
    fitted = SubspaceHead(3).fit(rows, torch.zeros(3, dtype=torch.int64), way=1)
    assert (fitted.axes[0].norm(dim=1) > 0.5).tolist() == [True, False, False]
    fitted.logits(query).sum().backward()
    assert rows.grad is not None
    assert rows.grad.norm() < 10 * query.norm() ** 2 / one.norm()


def test_features_of_zeros_give_logits_of_zeros() -> None:
    fitted = SubspaceHead(2).fit(torch.zeros(2, 3), torch.zeros(2, dtype=torch.int64), way=1)
    assert fitted.logits(torch.ones(2, 3)).tolist() == [[0], [0]]


def test_features_that_are_not_finite_are_refused() -> None:
    features = draw(3, 4)
    features[1, 2] = float("nan")
    with pytest.raises(NotFinite, match="support features are NaN or infinite"):
        SubspaceHead().fit(features, torch.arange(3), way=3)
