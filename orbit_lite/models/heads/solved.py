"""A linear head solved to a stated residual, whose gradient is that of the solution: no inner step is kept.

The head is T*(x_1 .. x_N) = argmin g(T; x), see SoftmaxRegression. Where its gradient is zero, so is the change of that
gradient: H dT* = -(d/dx dg) dx. So for a query loss f whose gradient at T* is v,

    z = H^-1 v,     by conjugate gradients (CG): products with H alone
    df/dx_n = -d/dx_n <dg, z>,     z held constant, in closed form

Memory-reduced meta-learning, Yang et al. 2025 (arXiv 2412.12030), with the head solved first: an implicit gradient at a
point that is not the solution is wrong, however many steps of CG are spent on it.
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

    residual, most_steps: Newton's method stops at this gradient, in units of that at zeros, and must within so many
    steps. cg_tolerance, most_cg_steps: the same of conjugate gradients, when a gradient goes back through the fit.
    """

    penalty: Annotated[float, Field(gt=0)] = PENALTY
    residual: Annotated[float, Field(gt=0)] = RESIDUAL
    most_steps: Positive = MOST_STEPS
    cg_tolerance: Annotated[float, Field(gt=0)] = CG_TOLERANCE
    most_cg_steps: Positive = MOST_CG_STEPS


@dataclass(frozen=True)
class SolvedHead:
    """Softmax regression, solved. in_one_graph: its gradient by a dense Hessian and autograd, for `full`."""

    own: SolvedSettings
    in_one_graph: bool = False

    def fit(self, features: Tensor, labels: Tensor, *, way: int, videos: Tensor | None = None) -> "SolvedClassifier":
        """(n, width) and int64 (n,) to a linear classifier. Computed in float64; videos make no difference.

        Raises:
            ValueError: if labels are not as Head says.
            NotFinite: if the features are NaN or infinite.
            NotSolved: if the residual is not reached; the same of the gradient, when one goes back.
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
    """One matrix product. residual: how far from solved it is, |dg| / |dg at zeros|."""

    residual: float


class _Implicit(torch.autograd.Function):
    """The solution as it is; its gradient as the module says."""

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
    """T - H^-1 dg, with the graph of dg alone: no change at the solution, and its gradient."""
    hessian = problem.hessian(parameters).detach()
    step = solve_positive(hessian, problem.gradient(parameters).reshape(-1, 1))
    return parameters - step.reshape_as(parameters)


# Of a usual fit: what 10 classes took on 200 random features of width 1,280. For the leaderboard's count alone.
NEWTON_STEPS, PRODUCTS = 6, 66


def _leaderboard_macs(head: SolvedHead, size: FitSize) -> int:
    """Two passes over rows and parameters, as FineTuner's rule has them, for each gradient and each product with the
    Hessian of a usual fit: how many it takes depends on the features. No published code has been seen."""
    return 2 * (NEWTON_STEPS + PRODUCTS) * size.items * size.width * size.way


RECORD = HeadRecord(
    name="solved",
    summary="linear with an L2 penalty, solved; its gradient is implicit",
    settings=SolvedSettings,
    build=lambda learner, own, width: SolvedHead(own),
    fitted=SolvedClassifier,
    shapes=linear_shapes,
    macs=FitMacs(
        ours=Count.BY_RUNNING, leaderboard=_leaderboard_macs, part="head's fit (its steps depend on the features)"
    ),
    passes_gradient=True,
    meta_learned=False,
    adds_objects=True,
    settle=None,
    in_training=lambda head, estimator, rng: replace(head, in_one_graph=estimator == "full"),
)
