"""iMAML's gradient, through parameters that solve an inner problem, in the memory of one chunk.

Rajeswaran et al. 2019 (arXiv 1909.04630). With the support loss L, the query loss Q and the meta-learned parameters p
(those of the extractor that adapt, and a head of zeros), a task adapts to

    t = argmin G(t),    G(t) = L(t) + l/2 |t - p|^2.

At t, dG = 0. If p changes, t changes so that this still holds: (H + l) dt = l dp, with H the Hessian of L. So

    dQ/dp = (I + H/l)^-1 v,    v = dQ/dt:

a linear system, solved by conjugate gradients (CG) with one product with H per step, which is a sum over support items,
computed in chunks. The gradient does not depend on how t was found, so memory does not depend on the number of steps.

Parameters q that learn but don't adapt (if only a network's norms adapt) also change t: with z = (H + l)^-1 v their
gradient is dQ/dq - d<dL, z>/dq.

This is `exact`. `full` has a single graph over the support set and solves with the Hessian as a matrix, for small
networks. `lite` is refused: products over H of N items are unbiased, but the solution of a system is not linear in
them, so it would be biased.

If the inner problem is not solved, the gradient is wrong, however well CG is solved. So its solution must reach a
residual, relative to the gradient at the start. Steps of a fixed size, as in the paper, reach it only with a
well-chosen rate. Here only the first step uses the rate; the others use the step size of Barzilai and Borwein 1988,
reduced if G would grow.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from groundwork.errors import UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.conjugate import conjugate_gradients, dot, solved
from orbit_lite.models.gradients.convolution import FastSecondDerivatives
from orbit_lite.models.gradients.inner_loop import add_gradient
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.gradients.support_loss import HEAD, AdaptingNet, SupportLoss, Values, as_leaves, derivatives
from orbit_lite.models.heads.centered import solve_positive
from orbit_lite.models.inputs import NotFinite, NotSolved, chunks_of

NO_LITE = (
    "imaml has no estimator 'lite': it solves a linear system with the support set's second derivatives, and the "
    "solution from a sample of the images would be biased; use lite.estimator=exact"
)
MOST_DENSE = 5000  # the most parameters for which `full` builds the Hessian as a matrix: 200 MB in float64
RECENT = 5  # the objective may not exceed its last few values; forbidding every increase would make the steps short
SMALLER = 0.25  # factor for a step's size if the objective would grow


@dataclass(frozen=True)
class Proximal:
    """A learner's inner problem on its extractor, and the accuracy of its solution.

    names: the network's parameters that adapt, besides the head's.
    weight: l.
    steps: the number of gradients.
    first_size: the size of the first step.
    residual: the largest allowed |dG| / |dG at the start|; None accepts any.
    cg_tolerance, most_cg_steps: the largest relative residual and the most steps of the linear system for the gradient.
    """

    extractor: Extractor
    names: tuple[str, ...]
    weight: float
    steps: int
    first_size: float
    residual: float | None
    cg_tolerance: float | None
    most_cg_steps: int

    def adapt(self, items: Tensor, labels: Tensor, *, way: int, chunks: Chunks) -> tuple[AdaptingNet, Values]:
        """Solve the problem of a support set; return the network and its adapted parameters. For errors see `solve`.

        Args:
            items: uint8 frames or clips.
            labels: int64 (n,).
            way: the number of classes.
            chunks: how many frames have a graph at once.
        """
        net = AdaptingNet(self.extractor, self.names)
        return net, self.solve(SupportLoss(net, items, labels, chunks.with_graph), way=way)

    def gradient(self, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """Add a task's gradient, by `exact` or `full`.

        Raises:
            UsageError: for `lite`, and for `full` if the network is too large for it.
            NotFinite: if the weights are not finite.
            NotSolved: if the problem or the linear system for the gradient is not solved well enough.
        """
        if plan.estimator == "lite":
            raise UsageError(NO_LITE)
        net = AdaptingNet(self.extractor, self.names, plan.bf16)
        support = SupportLoss(net, task.support, task.support_labels, plan.chunks.with_graph)
        values = self.solve(support, way=task.way)
        if plan.estimator == "full":
            return self._one_graph(support, values, task, plan)
        return self._implicit(support, values, task, plan)

    @torch.no_grad()
    def solve(self, support: SupportLoss, *, way: int) -> Values:
        """The parameters after `steps` gradients. Memory does not grow with the number of steps.

        Raises:
            NotFinite: if the objective is NaN or infinite from the start.
            NotSolved: if the residual is above its bound; the message has both.
        """
        shapes = self._start(support.net, way)
        start, unflatten = _flat(shapes), partial(_like, shapes=shapes)

        def objective(values: Tensor) -> tuple[float, Tensor]:
            gradient, loss = support.gradient(unflatten(values))
            away = values - start
            return float(loss) + self.weight / 2 * dot(away, away), _flat(gradient) + self.weight * away

        # where L is convex, the curvature of G is at least l
        values, size = (
            start,
            min(self.first_size, 1 / self.weight),
        )
        value, gradient = objective(values)
        at_start = float(gradient.norm())
        if not (value < torch.inf and at_start < torch.inf):
            raise NotFinite(
                f"support images: the loss is {value} at inner step 1 of {self.steps}; the extractor's weights "
                "are not finite"
            )
        rounding = 8 * torch.finfo(values.dtype).eps * abs(value)
        recent = [value]
        for _ in range(self.steps):
            tried = values - size * gradient
            next_value, next_gradient = objective(tried)
            moved, turned = tried - values, next_gradient - gradient
            square, curvature = dot(moved, moved), dot(moved, turned)
            if not next_value <= max(recent) + rounding:
                size *= SMALLER
                continue
            size = square / curvature if curvature > 0 else size
            values, gradient = tried, next_gradient
            recent = [*recent[1 - RECENT :], next_value]
        found = float(gradient.norm()) / at_start if at_start else 0.0
        if self.residual is not None and not found <= self.residual:
            raise NotSolved(
                f"the inner problem of {len(support.items)} support items is not solved after {self.steps} steps: "
                f"the residual is {found:.2g}, expected at most {self.residual:.2g}; more steps or a larger "
                "proximal weight may help"
            )
        return unflatten(values)

    def _start(self, net: AdaptingNet, way: int) -> Values:
        like = self.extractor.mean
        zeros = like.new_zeros(way, self.extractor.width), like.new_zeros(way)
        return [*(value.detach() for value in net.own), *zeros]

    def _implicit(self, support: SupportLoss, values: Values, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        net, score = support.net, plan.score(task, self.extractor)
        leaves = as_leaves(values)
        for batch in chunks_of(task.query, plan.chunks.query):
            score.back_propagate(net.logits(leaves, task.query[batch]), task.query_labels[batch])
        v = _flat([torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves])
        ones, every = (v.new_ones(()), v.new_ones(())), torch.arange(len(support.items))

        def product(vector: Tensor) -> Tensor:
            hessian = support.product(values, _like(vector, shapes=values), ones, every).hessian
            return vector + _flat(hessian) / self.weight

        tolerance = self.cg_tolerance or 0.0
        found = conjugate_gradients(product, v, tolerance=tolerance, most_steps=self.most_cg_steps)
        solution = solved(
            found,
            tolerance=torch.inf if self.cg_tolerance is None else tolerance,
            what="the gradient through the inner problem",
            weight="proximal weight",
        )
        # the head has no meta-learned start
        for parameter, gradient in zip(net.own, _like(solution, shapes=values), strict=False):
            add_gradient(parameter, gradient)
        if net.shared:
            z = _like(solution / self.weight, shapes=values)
            for parameter, gradient in zip(net.shared, support.product(values, z, ones, every).shared, strict=True):
                add_gradient(parameter, -gradient)
        return score.result()

    def _one_graph(self, support: SupportLoss, values: Values, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """t with the gradient of a Newton step from it: t - (H + l)^-1 dG, where only dG has a graph."""
        net, size = support.net, sum(value.numel() for value in values)
        if size > MOST_DENSE:
            raise UsageError(
                f"imaml's estimator 'full' builds the matrix of second derivatives: {size:,} parameters adapt, "
                f"but at most {MOST_DENSE:,} can; use lite.estimator=exact"
            )
        leaves = as_leaves(values)
        with FastSecondDerivatives():
            loss = F.cross_entropy(net.logits(leaves, task.support), task.support_labels)
        slopes = _flat(derivatives(loss, leaves, again=True))
        rows = [_flat(derivatives(slope, leaves, again=True)).detach() for slope in slopes]
        eye = torch.eye(size, dtype=slopes.dtype, device=slopes.device)
        start = _flat([*net.own, *self._start(net, task.way)[-HEAD:]])
        step = solve_positive(
            torch.stack(rows) + self.weight * eye, (slopes + self.weight * (_flat(values) - start))[:, None]
        )[:, 0]
        moved = _like(_flat(values) - (step - step.detach()), shapes=values)
        score = plan.score(task, self.extractor)
        score.back_propagate(net.logits(moved, task.query), task.query_labels)
        return score.result()


def _flat(values: Sequence[Tensor]) -> Tensor:
    return torch.cat([value.reshape(-1) for value in values])


def _like(flat: Tensor, *, shapes: Sequence[Tensor]) -> Values:
    """Split a flat vector into tensors with the given tensors' shapes."""
    parts = flat.split([value.numel() for value in shapes])
    return [part.reshape(value.shape) for part, value in zip(parts, shapes, strict=True)]
