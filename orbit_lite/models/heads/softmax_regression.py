"""Softmax regression with an L2 penalty on weights and bias: loss, closed-form derivatives, and solution.

With rows a_n = (x_n, 1), parameters T (way, width + 1), p_n = softmax(T a_n) and y_n one-hot:

    g(T)  = 1/N sum_n -log p_n[y_n] + penalty/2 |T|^2
    dg    = 1/N sum_n (p_n - y_n) a_n' + penalty T
    H V   = 1/N sum_n (D_n V a_n) a_n' + penalty V,     D_n = diag(p_n) - p_n p_n'

The bias is penalized like the weights: adding a number to all biases does not change p, so without a penalty H would be
singular.
"""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.models.gradients.conjugate import conjugate_gradients, dot
from orbit_lite.models.inputs import NotSolved

CLOSER = 1e-4  # Armijo: a step must achieve this share of the decrease that the slope predicts
HALVINGS = 40
LOOSEST = 0.1  # largest residual of a Newton step's system; near the solution it shrinks with the gradient


@dataclass(frozen=True, eq=False)
class SoftmaxRegression:
    """One support set's problem. rows: (n, width + 1), the last column ones. targets: one-hot (n, way)."""

    rows: Tensor
    targets: Tensor
    penalty: float

    @classmethod
    def of(cls, features: Tensor, labels: Tensor, *, way: int, penalty: float) -> "SoftmaxRegression":
        """The problem for features (n, width) and labels int64 (n,), with the features' graph."""
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
        """dg, of the parameters' shape, with graph if gradients are on."""
        off = self.probabilities(parameters) - self.targets
        return off.T @ self.rows / len(self.rows) + self.penalty * parameters

    def product(self, probabilities: Tensor, vector: Tensor) -> Tensor:
        """H V, at the parameters with these probabilities."""
        return _turned(probabilities, self.rows @ vector.T).T @ self.rows / len(self.rows) + self.penalty * vector

    def hessian(self, parameters: Tensor) -> Tensor:
        """H as a matrix with way (width + 1) rows, for small problems."""
        p = self.probabilities(parameters)
        blocks = (torch.diag_embed(p) - p[:, :, None] * p[:, None, :]) / len(self.rows)
        size = parameters.numel()
        whole = torch.einsum("nij,nk,nl->ikjl", blocks, self.rows, self.rows).reshape(size, size)
        return whole + self.penalty * torch.eye(size, dtype=p.dtype, device=p.device)

    def gradient_of_features(self, parameters: Tensor, vector: Tensor) -> Tensor:
        """The gradient of <dg, V> with respect to each feature, (n, width), for constant V."""
        p = self.probabilities(parameters)
        along = (p - self.targets) @ vector + _turned(p, self.rows @ vector.T) @ parameters
        return along[:, :-1] / len(self.rows)


def _turned(probabilities: Tensor, values: Tensor) -> Tensor:
    """D_n times row n of the values, (n, way)."""
    weighed = probabilities * values
    return weighed - probabilities * weighed.sum(dim=1, keepdim=True)


@torch.no_grad()
def solve(problem: SoftmaxRegression, *, residual: float, most_steps: int, most_cg_steps: int) -> tuple[Tensor, float]:
    """Solve for the parameters by Newton's method from zeros; returns them and the residual |dg| / |dg at zeros|.

    Each step's direction is computed by conjugate gradients, and halved until the loss falls enough.

    Raises:
        NotSolved: if `residual` is not reached within the steps, or no step reduces the loss.
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
        rounding = 1e-14 * abs(loss)  # near the solution two steps no longer differ in the loss
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
        f"the head of {way} classes and {items} support items is not solved after {step} steps of Newton's "
        f"method: the residual is {found:.2g}, expected at most {residual:.2g}; a larger penalty or residual, or "
        "more most_steps, may "
        "help"
    )
