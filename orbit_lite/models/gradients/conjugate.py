"""Conjugate gradients: a linear system solved by products with its matrix alone, in the memory of five vectors.

Hestenes and Stiefel 1952; as written in Nocedal and Wright, Numerical Optimization, algorithm 5.2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from orbit_lite.models.inputs import NotSolved


@dataclass(frozen=True, eq=False)
class Solution:
    """What was found, how far from solved it is (|b - Ax| / |b|), and after how many products with A.

    curved_down: a direction was met along which A is not positive; x is what had been found before it.
    """

    x: Tensor
    residual: float
    steps: int
    curved_down: bool = False


def conjugate_gradients(
    product: Callable[[Tensor], Tensor], right: Tensor, *, tolerance: float, most_steps: int
) -> Solution:
    """Ax = b, from zeros, until |b - Ax| is at most `tolerance` |b| or the steps are used up.

    Args:
        product: A times a tensor of b's shape; A symmetric and positive definite.
        right: b, of any shape.
        tolerance: above 0; 0 takes all the steps.
        most_steps: products at most.
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
    """The solution, if it is one.

    Args:
        tolerance: what its residual must not exceed.
        what: what was to be solved. weight: the setting that makes the system easier the larger it is.

    Raises:
        NotSolved: names the residual and the steps.
    """
    if found.curved_down:
        raise NotSolved(
            f"{what}: the matrix is not positive definite (seen at step {found.steps}); a larger {weight} may help"
        )
    if not found.residual <= tolerance:
        raise NotSolved(
            f"{what}: not solved after {found.steps} steps of conjugate gradients, residual {found.residual:.2g}, "
            f"expected {tolerance:.2g} or less; a larger {weight} or more most_cg_steps may help"
        )
    return found.x


def dot(one: Tensor, other: Tensor) -> float:
    """The sum of the products of two tensors' entries."""
    return float(torch.dot(one.flatten(), other.flatten()))
