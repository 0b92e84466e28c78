"""Softmax regression with an L2 penalty on weights and bias: loss, derivatives in closed form, and its solution.

With a_n = (x_n, 1) the rows, T the (way, width + 1) parameters, p_n = softmax(T a_n) and y_n one-hot:

    g(T)  = 1/N sum_n -log p_n[y_n] + penalty/2 |T|^2
    dg    = 1/N sum_n (p_n - y_n) a_n' + penalty T
    H V   = 1/N sum_n (D_n V a_n) a_n' + penalty V,     D_n = diag(p_n) - p_n p_n'

The bias is penalized as the weights are: adding a number to all biases leaves p as it is, so that without a penalty H
would have a direction of no curvature, and no inverse.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.gradients.conjugate import conjugate_gradients, dot
from orbit_lite.models.inputs import NotSolved

CLOSER = 1e-4  # Armijo: a step must bring this share of what the slope promises
HALVINGS = 40
LOOSEST = 0.1  # of a Newton step's own system; near the solution it is solved as well as the gradient is small


@dataclass(frozen=True, eq=False)
class SoftmaxRegression:
    """One support set's problem. rows: (n, width + 1), the last column ones. targets: one-hot (n, way)."""

    rows: Tensor
    targets: Tensor
    penalty: float

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, *, way: int, penalty: float) -> "SoftmaxRegression":
        """(n, width) and int64 (n,) to their problem, with the features' graph."""
        rows = torch.cat([features, features.new_ones(len(features), 1)], dim=1)
        return cls(rows, F.one_hot(labels, way).to(features.dtype), penalty)

    def probabilities(self, parameters: Tensor) -> Tensor:
        """p, (n, way)."""
        return (self.rows @ parameters.T).softmax(dim=1)

    def loss(self, parameters: Tensor) -> float:
        """g."""
        logs = (self.rows @ parameters.T).log_softmax(dim=1)
        return -dot(logs, self.targets) / len(self.rows) + self.penalty / 2 * dot(parameters, parameters)

    def gradient(self, parameters: Tensor) -> Tensor:
        """dg, as the parameters, with graph if gradients are on."""
        off = self.probabilities(parameters) - self.targets
        return off.T @ self.rows / len(self.rows) + self.penalty * parameters

    def product(self, probabilities: Tensor, vector: Tensor) -> Tensor:
        """H V, at the parameters that give these probabilities."""
        return _turned(probabilities, self.rows @ vector.T).T @ self.rows / len(self.rows) + self.penalty * vector

    def hessian(self, parameters: Tensor) -> Tensor:
        """H as a matrix of way (width + 1) rows: for small problems."""
        p = self.probabilities(parameters)
        blocks = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / len(self.rows)
        size = parameters.numel()
        whole = torch.einsum("nij,nk,nl->ikjl", blocks, self.rows, self.rows).reshape(size, size)
        return whole + self.penalty * torch.eye(size, dtype=p.dtype, device=p.device)

    def gradient_of_features(self, parameters: Tensor, vector: Tensor) -> Tensor:
        """The gradient of <dg, V> with respect to each feature, (n, width), V held constant."""
        p = self.probabilities(parameters)
        along = (p - self.targets) @ vector + _turned(p, self.rows @ vector.T) @ parameters
        return along[:, :-1] / len(self.rows)


def _turned(probabilities: Tensor, values: Tensor) -> Tensor:
    """D_n times row n of the values, (n, way)."""
    weighed = probabilities * values
    return weighed - probabilities * weighed.sum(dim=1, keepdim=True)


@torch.no_grad()
def solve(problem: SoftmaxRegression, *, residual: float, most_steps: int, most_cg_steps: int) -> tuple[Tensor, float]:
    """The parameters, by Newton's method from zeros, and how far from solved they are: |dg| / |dg at zeros|.

    Each step's direction is found by conjugate gradients, and is halved until the loss falls enough.

    Raises:
        NotSolved: if `residual` is not reached in so many steps, or no step makes the loss fall.
    """
    way, items = problem.targets.shape[1], len(problem.rows)
    parameters = problem.rows.new_zeros(way, problem.rows.shape[1])
    gradient = problem.gradient(parameters)
    at_zeros = float(gradient.norm())
    loss, found = problem.loss(parameters), 1.0 if at_zeros else 0.0
    for step in range(most_steps + 1):
        if found <= residual:
            return parameters, found
        if step == most_steps:
            break
        product = partial(problem.product, problem.probabilities(parameters))
        direction = conjugate_gradients(product, -gradient, tolerance=min(LOOSEST, found), most_steps=most_cg_steps).x
        slope = dot(gradient, direction)
        rounding = 1e-14 * abs(loss)  # near the solution the loss no longer tells two steps apart
        for halving in range(HALVINGS):
            size = 0.5**halving
            tried = problem.loss(parameters + size * direction)
            if tried <= loss + CLOSER * size * slope + rounding:
                break
        else:
            break
        parameters = parameters + size * direction
        gradient, loss = problem.gradient(parameters), tried
        found = float(gradient.norm()) / at_zeros
    raise NotSolved(
        f"the head of {way} classes and {items} support items is not solved after {step} steps of Newton's method: "
        f"residual {found:.2g}, expected {residual:.2g} or less; a larger penalty or residual, or more most_steps, may "
        "help"
    )
