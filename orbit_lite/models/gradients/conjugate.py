"""Conjugate gradients: solves a linear system with only products with its matrix, in the memory of five vectors.

Source: Hestenes and Stiefel 1952; Nocedal and Wright, Numerical Optimization, algorithm 5.2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from orbit_lite.models.inputs import NotSolved


@dataclass(frozen=True, eq=False)
class Solution:
    """The solution x, its residual |b - Ax| / |b|, and the number of products with A.

    curved_down: whether A was found not to be positive definite; x is then the result before that step.
    """

    x: Tensor
    residual: float
    steps: int
    curved_down: bool = False


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, *, tolerance: float, most_steps: int
) -> Solution:
    """Solve Ax = b, starting from zeros, until |b - Ax| is at most `tolerance` |b| or the steps are used up.

    Args:
        product: multiplies A with a tensor of b's shape; A is symmetric and positive definite.
        right: b, of any shape.
        tolerance: the relative residual to reach; 0 always takes all steps.
        most_steps: the most products.
    """
    x = torch.zeros_like(right)
    residual = right.clone()
    direction = residual.clone()
    square = dot(residual, residual)
    whole = square**0.5
    steps = 0
    while steps < most_steps and square**0.5 > tolerance * whole:
        turned = product(direction)
        steps += 1
        curvature = dot(direction, turned)
        if not curvature > 0:
            return Solution(x, square**0.5 / whole, steps, curved_down=True)
        x += square / curvature * direction
        residual -= square / curvature * turned
        before, square = square, dot(residual, residual)
        direction = residual + square / before * direction
    return Solution(x, square**0.5 / whole if whole else 0.0, steps)


def solved(found: Solution, *, tolerance: float, what: str, weight: str) -> Tensor:
    """Return the solution if its residual is small enough.

    Args:
        tolerance: the largest allowed residual.
        what: what the system is for, for the message.
        weight: the name of the setting that makes the system easier when increased, for the message.

    Raises:
        NotSolved: otherwise; the message has the residual and the steps.
    """
    if found.curved_down:
        raise NotSolved(
            f"{what}: the matrix is not positive definite (found at step {found.steps}); a larger {weight} may help"
        )
    if not found.residual <= tolerance:
        raise NotSolved(
            f"{what}: not solved after {found.steps} steps of conjugate gradients; the residual is "
            f"{found.residual:.2g}, expected at most {tolerance:.2g}. A larger {weight} or more most_cg_steps may help"
        )
    return found.x


def dot(one: Tensor, other: Tensor) -> float:
    """The dot product of two tensors of the same shape."""
    return float(torch.dot(one.flatten(), other.flatten()))
