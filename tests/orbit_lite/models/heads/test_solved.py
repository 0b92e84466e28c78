"""The solved head: derivatives compared with autograd; solution and gradient compared with slow methods."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from torch import Tensor

from orbit_lite.models.heads.softmax_regression import SoftmaxRegression, solve
from orbit_lite.models.heads.solved import RECORD, SolvedHead, SolvedSettings
from orbit_lite.models.inputs import NotFinite, NotSolved

WAY, WIDTH = 3, 4
LABELS = torch.tensor([0, 1, 2, 0, 1, 0, 0])
PENALTY = 0.05


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def head(**settings: Any) -> SolvedHead:
    return SolvedHead(SolvedSettings(**{"penalty": PENALTY, **settings}))


@pytest.fixture
def problem() -> SoftmaxRegression:
    return SoftmaxRegression.of(draw(7, WIDTH), LABELS, way=WAY, penalty=PENALTY)


def loss_written_out(parameters: Tensor, features: Tensor) -> Tensor:
    logits = features @ parameters[:, :-1].T + parameters[:, -1]
    return F.cross_entropy(logits, LABELS) + PENALTY / 2 * parameters.square().sum()


def test_derivatives_are_those_of_autograd(problem: SoftmaxRegression) -> None:
    features, at, vector = draw(7, WIDTH).requires_grad_(), draw(WAY, WIDTH + 1, seed=2), draw(WAY, WIDTH + 1, seed=3)
    at.requires_grad_()
    loss = loss_written_out(at, features)
    (gradient,) = torch.autograd.grad(loss, at, create_graph=True)
    product, mixed = torch.autograd.grad((gradient * vector).sum(), [at, features])
    at = at.detach()
    assert problem.loss(at) == pytest.approx(loss.item())
    torch.testing.assert_close(problem.gradient(at), gradient.detach())
    torch.testing.assert_close(problem.product(problem.probabilities(at), vector), product)
    torch.testing.assert_close((problem.hessian(at) @ vector.flatten()).reshape_as(vector), product)
    torch.testing.assert_close(problem.gradient_of_features(at, vector), mixed)


@pytest.mark.parametrize("penalty", [1e-4, 0.05, 3.0])
def test_the_solution_is_scikit_learns(penalty: float) -> None:
    """scikit-learn does not penalize its own bias, so here the column of ones is a feature."""
    features = 3 * draw(7, WIDTH)
    rows = np.c_[features.numpy(), np.ones(7)]
    model = LogisticRegression(C=1 / (7 * penalty), fit_intercept=False, tol=1e-12, max_iter=10_000)
    expected = model.fit(rows, LABELS.numpy()).coef_
    fitted = head(penalty=penalty).fit(features, LABELS, way=WAY)
    assert fitted.residual <= 1e-11
    found = torch.cat([fitted.weight, fitted.bias[:, None]], dim=1)
    torch.testing.assert_close(found, torch.from_numpy(expected), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("labels", [LABELS, torch.tensor([0, 1, 2])], ids=["several", "one image a class"])
def test_the_gradient_agrees_with_finite_differences(labels: Tensor) -> None:
    """Solves the head again for every change of a feature."""

    def logits(features: Tensor) -> Tensor:
        return head().fit(features, labels, way=WAY).logits(draw(2, WIDTH, seed=5))

    assert torch.autograd.gradcheck(logits, draw(len(labels), WIDTH).requires_grad_(), eps=1e-5, atol=1e-7)


def test_the_gradient_is_that_of_many_inner_steps() -> None:
    """Implicit differentiation agrees with 4,000 steps of gradient descent in one graph."""
    features = draw(7, WIDTH).requires_grad_()
    parameters = torch.zeros(WAY, WIDTH + 1, dtype=torch.float64, requires_grad=True)
    for _ in range(4000):
        (gradient,) = torch.autograd.grad(loss_written_out(parameters, features), parameters, create_graph=True)
        parameters = parameters - 0.3 * gradient
    queries, answers = draw(5, WIDTH, seed=2), torch.tensor([0, 1, 2, 0, 1])
    F.cross_entropy(queries @ parameters[:, :-1].T + parameters[:, -1], answers).backward()
    expected = features.grad
    features.grad = None
    F.cross_entropy(head().fit(features, LABELS, way=WAY).logits(queries), answers).backward()
    torch.testing.assert_close(features.grad, expected, rtol=1e-8, atol=1e-12)


def gradient(built: Any) -> Tensor:
    features = draw(7, WIDTH).requires_grad_()
    F.cross_entropy(built.fit(features, LABELS, way=WAY).logits(draw(5, WIDTH, seed=2)), LABELS[:5]).backward()
    assert features.grad is not None
    return features.grad


def test_full_solves_densely_and_the_others_by_conjugate_gradients() -> None:
    assert RECORD.in_training is not None
    built = {name: RECORD.in_training(head(), name, np.random.default_rng(0)) for name in ("full", "exact", "lite")}
    torch.testing.assert_close(gradient(built["exact"]), gradient(built["full"]), rtol=1e-9, atol=1e-12)
    assert gradient(built["exact"]).equal(gradient(built["lite"]))
    # one product is never enough, and full needs none
    one = head(cg_tolerance=0.9, most_cg_steps=500)
    dense = RECORD.in_training(one, "full", np.random.default_rng(0))
    torch.testing.assert_close(gradient(dense), gradient(head()), rtol=1e-9, atol=1e-12)
    assert (gradient(one) - gradient(head())).norm() > 0.01 * gradient(head()).norm()


def test_it_keeps_no_inner_history() -> None:
    """The graph from the fit to the loss stores the same tensors, for any number of steps to the solution."""

    def kept(residual: float) -> tuple[int, int]:
        sizes: list[int] = []

        def keep(value: Tensor) -> Tensor:
            sizes.append(value.numel())
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            features = (5 * draw(7, WIDTH)).requires_grad_()
            fitted = head(residual=residual, penalty=1e-4).fit(features, LABELS, way=WAY)
            fitted.logits(draw(2, WIDTH, seed=2)).sum().backward()
        return len(sizes), sum(sizes)

    assert kept(0.5) == kept(1e-12)


@pytest.mark.parametrize("settings", [{"most_steps": 2}, {"penalty": 1e-12, "most_cg_steps": 1, "most_steps": 20}])
def test_a_head_that_is_not_solved_is_an_error(settings: dict[str, Any]) -> None:
    words = "the head of 3 classes and 7 support items is not solved after"
    with pytest.raises(NotSolved, match=rf"^{words} \d+ steps .*: the residual is [\de.-]+, expected at most 1e-11"):
        head(**settings).fit(5 * draw(7, WIDTH), LABELS, way=WAY)


def test_a_gradient_that_is_not_solved_is_an_error() -> None:
    features = (5 * draw(7, WIDTH)).requires_grad_()
    fitted = head(penalty=1e-3, residual=0.1, most_cg_steps=3).fit(features, LABELS, way=WAY)
    with pytest.raises(NotSolved, match=r"^the gradient through the solved head: not solved after 3 steps"):
        fitted.logits(draw(2, WIDTH, seed=2)).square().sum().backward()


def test_features_that_are_not_finite_or_overflow_are_refused() -> None:
    features = draw(7, WIDTH)
    features[2, 1] = float("inf")
    with pytest.raises(NotFinite, match="support features are NaN or infinite"):
        head().fit(features, LABELS, way=WAY)
    with pytest.raises(NotSolved):
        head().fit(1e200 * draw(7, WIDTH), LABELS, way=WAY)


def test_uninformative_features_give_a_solved_head_of_zeros() -> None:
    problem = SoftmaxRegression.of(torch.ones(4, 2).double(), torch.tensor([0, 1, 0, 1]), way=2, penalty=0.1)
    parameters, residual = solve(problem, residual=1e-9, most_steps=5, most_cg_steps=5)
    assert parameters.abs().max() == 0
    assert residual == 0
