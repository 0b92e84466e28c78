"""Conjugate gradients compared with a dense solver, and errors if they don't converge."""

import pytest
import torch
from torch import Tensor

from orbit_lite.models.gradients.conjugate import conjugate_gradients, solved
from orbit_lite.models.inputs import NotSolved


def matrix(*eigenvalues: float) -> Tensor:
    """A symmetric matrix with these eigenvalues."""
    size = len(eigenvalues)
    draw = torch.randn(size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    axes = torch.linalg.qr(draw).Q
    return axes @ torch.diag(torch.tensor(eigenvalues, dtype=torch.float64)) @ axes.T


def right(size: int) -> Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_it_solves_and_says_how_well() -> None:
    a, b = matrix(1, 2, 5, 9, 30), right(5)
    found = conjugate_gradients(lambda v: a @ v, b, tolerance=1e-12, most_steps=50)
    torch.testing.assert_close(found.x, torch.linalg.solve(a, b))
    assert found.residual <= 1e-12
    few = conjugate_gradients(lambda v: a @ v, b, tolerance=1e-12, most_steps=2)
    assert few.steps == 2
    assert few.residual == pytest.approx(float((b - a @ few.x).norm() / b.norm()))


def test_as_many_steps_as_there_are_different_eigenvalues() -> None:
    a = matrix(1, 1, 1, 4, 4)
    assert conjugate_gradients(lambda v: a @ v, right(5), tolerance=1e-9, most_steps=50).steps == 2


def test_any_shape_and_a_right_side_of_zeros() -> None:
    b = right(6).reshape(2, 3)
    assert conjugate_gradients(lambda v: 4 * v, b, tolerance=1e-9, most_steps=5).x.equal(b / 4)
    nothing = conjugate_gradients(lambda v: v, torch.zeros(3), tolerance=1e-9, most_steps=5)
    assert (nothing.x.tolist(), nothing.residual, nothing.steps) == ([0, 0, 0], 0, 0)


def test_what_is_not_solved_is_an_error_that_names_the_residual() -> None:
    a, b = matrix(1, 2, 5, 9, 3000), right(5)
    found = conjugate_gradients(lambda v: a @ v, b, tolerance=1e-9, most_steps=2)
    with pytest.raises(
        NotSolved, match=r"^the thing: not solved after 2 steps .*; the residual is 0\.\d+, expected at most 1e-09"
    ):
        solved(found, tolerance=1e-9, what="the thing", weight="weight")
    assert solved(found, tolerance=1.0, what="the thing", weight="weight") is found.x


@pytest.mark.parametrize("least", [-1.0, float("nan")])
def test_a_matrix_that_is_not_positive_definite_is_found(least: float) -> None:
    a, b = matrix(2, 2, 2, 2, 2), right(5)
    a[0, 0] += least * 10
    found = conjugate_gradients(lambda v: a @ v, b, tolerance=1e-9, most_steps=50)
    assert found.curved_down
    with pytest.raises(NotSolved, match=r"not positive definite .*; a larger weight may help$"):
        solved(found, tolerance=1e9, what="the thing", weight="weight")
