"""A linear head that is solved to a given residual and differentiated implicitly, so no inner steps are stored.

The head is T*(x_1 .. x_N) = argmin g(T; x), see SoftmaxRegression. There dg stays zero when x changes: H dT* = -(d/dx
dg) dx. So for a query loss f whose gradient at T* is v,

    z = H^-1 v,     by conjugate gradients (CG), using only products with H
    df/dx_n = -d/dx_n <dg, z>,     for constant z, in closed form

This is memory-reduced meta-learning, Yang et al. 2025 (arXiv 2412.12030), except that the head is solved first: away
from the solution an implicit gradient is wrong, however many CG steps are used.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.autograd.function import once_differentiable

from groundwork.strict_model import Strict
from orbit_lite.config import Positive
from orbit_lite.models.gradients.conjugate import conjugate_gradients, solved
from orbit_lite.models.heads.centered import solve_positive
from orbit_lite.models.heads.fitting import LinearClassifier, class_members, linear_shapes
from orbit_lite.models.heads.record import Count, FitMacs, FitSize, HeadRecord
from orbit_lite.models.heads.softmax_regression import SoftmaxRegression, solve
from orbit_lite.models.inputs import NotFinite

PENALTY = 0.01
RESIDUAL = CG_TOLERANCE = 1e-11
MOST_STEPS, MOST_CG_STEPS = 100, 2000


class SolvedSettings(Strict):
    """penalty: half of it times the squared weights and biases is added to the mean cross-entropy.
    residual, most_steps: Newton's method must reach this gradient norm, relative to that at zeros, within this many
    steps. cg_tolerance, most_cg_steps: the same for conjugate gradients, when a gradient passes back through the fit.
    """

    penalty: Annotated[float, Field(gt=0)] = PENALTY
    residual: Annotated[float, Field(gt=0)] = RESIDUAL
    most_steps: Positive = MOST_STEPS
    cg_tolerance: Annotated[float, Field(gt=0)] = CG_TOLERANCE
    most_cg_steps: Positive = MOST_CG_STEPS


@dataclass(frozen=True)
class SolvedHead:
    """Solved softmax regression. in_one_graph: differentiate with a dense Hessian and autograd, for `full`."""

    own: SolvedSettings
    in_one_graph: bool = False

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "SolvedClassifier":
        """See Head. Computed in float64; videos are not used.

        Raises:
            ValueError: if labels are invalid.
            NotFinite: if the features are NaN or infinite.
            NotSolved: if the residual is not reached, by the fit or later by its gradient.
        """
        class_members(labels, way=way)
        if not torch.isfinite(features).all():
            raise NotFinite("support features are NaN or infinite: the weights have diverged")
        own, exact = self.own, features.double()
        problem = SoftmaxRegression.of(exact.detach(), labels, way=way, penalty=own.penalty)
        parameters, residual = solve(
            problem, residual=own.residual, most_steps=own.most_steps, most_cg_steps=own.most_cg_steps
        )
        if self.in_one_graph:
            parameters = _newton_step(SoftmaxRegression.of(exact, labels, way=way, penalty=own.penalty), parameters)
        else:
            parameters = _Implicit.apply(exact, parameters, problem, own)
        parameters = parameters.to(features.dtype)
        return SolvedClassifier(parameters[:, :-1].contiguous(), parameters[:, -1].contiguous(), residual)


@dataclass(frozen=True, eq=False)
class SolvedClassifier(LinearClassifier):
    """The solution, as a linear classifier. residual: |dg| / |dg at zeros|."""

    residual: float


class _Implicit(torch.autograd.Function):
    """The solution, with the implicit gradient in the module's docstring."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, parameters: Tensor, problem: SoftmaxRegression, own: SolvedSettings
    ) -> Tensor:
        ctx.save_for_backward(parameters)
        ctx.problem, ctx.own = problem, own
        return parameters.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (parameters,) = ctx.saved_tensors
        problem, own = ctx.problem, ctx.own
        found = conjugate_gradients(
            partial(problem.product, problem.probabilities(parameters)),
            gradient,
            tolerance=own.cg_tolerance,
            most_steps=own.most_cg_steps,
        )
        z = solved(
            found,
            tolerance=own.cg_tolerance,
            what="the gradient through the solved head",
            weight="penalty",
        )
        return -problem.gradient_of_features(parameters, z), None, None, None


def _newton_step(problem: SoftmaxRegression, parameters: Tensor) -> Tensor:
    """T - H^-1 dg, where only dg has a graph: at the solution it has the same value and the right gradient."""
    hessian = problem.hessian(parameters).detach()
    step = solve_positive(hessian, problem.gradient(parameters).reshape(-1, 1))
    return parameters - step.reshape_as(parameters)


# Of a typical fit: measured for 10 classes and 200 random features of width 1,280. Only for the leaderboard's count.
NEWTON_STEPS, PRODUCTS = 6, 66


def _leaderboard_macs(head: SolvedHead, size: FitSize) -> int:
    """Two passes over rows and parameters, following FineTuner's rule, for each gradient and each Hessian product of a
    typical fit; the true number depends on the features. We know of no published code."""
    return 2 * (NEWTON_STEPS + PRODUCTS) * size.items * size.width * size.way


RECORD = HeadRecord(
    name="solved",
    summary="linear with an L2 penalty, solved; its gradient is implicit",
    settings=SolvedSettings,
    build=lambda learner, own, width: SolvedHead(own),
    fitted=SolvedClassifier,
    shapes=linear_shapes,
    macs=FitMacs(
        ours=Count.BY_RUNNING,
        leaderboard=_leaderboard_macs,
        part="head's fit (the number of steps depends on the features)",
    ),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=lambda head, estimator, rng: replace(head, in_one_graph=estimator == "full"),
)
