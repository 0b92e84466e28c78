"""The gradient through MAML's inner loop in the memory of one chunk, for any number of images and steps.

Finn et al. 2017 (arXiv 1703.03400). With the support loss L, its gradient g and its Hessian H, the query loss Q, and
step sizes a (one per group of parameters, so a diagonal matrix A), a task adapts by

    t_{k+1} = t_k - A g(t_k),    k = 0 .. K-1,    and is evaluated by Q(t_K).

The chain rule, from the end backward:

    v_K = dQ/dt_K;    v_k = v_{k+1} - H(t_k) A v_{k+1};    dQ/dt_0 = v_0.

A single graph would hold every image K times. But g is a sum over support items, and so is the product of H with a
vector (the derivative of <g, A v>). So:

    1. compute t_0 .. t_K without graph, summing g over chunks; keep the K + 1 sets of parameters; 2. compute v_K from
    the query set in batches; 3. go back, with one Hessian-vector product per step, summed over chunks.

`exact` computes each product over all N support items. `lite` computes it over H of them, times N/H, with a new draw at
each step: given the exact trajectory, v_0 is a product of independent unbiased factors, so it is unbiased. It would be
biased with one draw for all steps, or with g from H items in the forward steps, because g enters L nonlinearly. `full`
is a single graph.

Parameters that learn but don't adapt (if only a network's norms adapt) are inside L at every step. Their gradient has
one term per step: -d<g(t_k), A v_{k+1}>. A learned rate's gradient is -<g(t_k), v_{k+1}> over its group, from the same
pass. First order uses v_K in place of v_0; `lite` and `exact` are then the same.

A window of steps along one gradient (multi-step estimation) is one step whose rate is the sum of their rates.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.engines import DEFAULT_ENGINE
from orbit_lite.models.engines.encoder import ChosenEngine, CurrentEncoder
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.chain import EncodedSupport, Joint, draw
from orbit_lite.models.gradients.convolution import FastSecondDerivatives
from orbit_lite.models.gradients.folded import TaskExtractor
from orbit_lite.models.gradients.lite import GradientPlan
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.gradients.support_loss import (
    HEAD,
    AdaptingNet,
    SupportLoss,
    Values,
    as_leaves,
    derivatives,
    dot_by_group,
)
from orbit_lite.models.heads.prototypes import PrototypeHead
from orbit_lite.models.inputs import NotFinite, chunks_of
from orbit_lite.models.step_rates import Start, StepRates, item_weights

Sizes = tuple[Tensor, Tensor]  # one step's sizes, for the extractor's parameters and for the head's


@dataclass(frozen=True)
class InnerLoop:
    """A learner's inner loop on its extractor.

    names: the network's parameters that adapt, besides the head's.
    extractor_rates, head_rates: the rates of all steps.
    first_order: use v_K in place of v_0.
    query_weights: the weights of the query loss after each window, summing to 1: (0, .., 0, 1), or others for the
        multi-step loss.
    summed_batches: see InnerSettings.
    """

    extractor: Extractor
    names: tuple[str, ...]
    extractor_rates: StepRates
    head_rates: StepRates
    start: Start
    first_order: bool
    query_weights: tuple[float, ...]
    summed_batches: int | None = None

    @torch.no_grad()
    def adapt(self, items: Tensor, labels: Tensor, *, way: int, chunks: Chunks) -> tuple[AdaptingNet, Values]:
        """Run the loop on a support set; return the network and its adapted parameters.

        Raises:
            NotFinite: if the loop diverges; the message names the step.
        """
        net = AdaptingNet(self.extractor, self.names)
        features = None
        if self.start == "prototypes":
            encoder = CurrentEncoder(ChosenEngine(DEFAULT_ENGINE), self.extractor)
            features = torch.cat(list(encoder.in_chunks(items, chunks.no_graph)))
        values: Values = [*net.own, *self.first_head(features, labels, way)]
        for after in self._walk(self._support_loss(net, items, labels, chunks), values):
            values = after
        return net, values

    def gradient(self, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        """Add a task's gradient, by the plan's estimator; returns the loss after the last step.

        Raises:
            NotFinite: if the loop diverges; the message names the step. `full` does not raise it; its loss is then not
                finite.
        """
        return self._one_graph(task, plan) if plan.estimator == "full" else self._walk_back(task, plan)

    def _walk_back(self, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        net = AdaptingNet(self.extractor, self.names, plan.bf16)
        support = self._support_loss(net, task.support, task.support_labels, plan.chunks)
        start = _HeadStart(self, task, plan)
        trajectory = [[*net.own, *start.values]]
        trajectory += self._walk(support, trajectory[0])

        result, v = self._query(net, task, plan, trajectory.pop(), self.query_weights[-1])
        along = []
        for sizes in reversed(self._sizes()):
            values = trajectory.pop()
            v, by_rates = self._step_back(support, plan, values, v, sizes)
            along.append(by_rates)
            # add the loss after the previous step, if it has a weight
            if trajectory and (weight := self.query_weights[len(trajectory) - 1]):
                _, more = self._query(net, task, plan, values, weight)
                v = [one + other for one, other in zip(v, more, strict=True)]
            if not _are_finite(v):
                step = len(trajectory) + 1
                raise _diverged("the gradient of the query loss is NaN or infinite", step, len(self.query_weights))

        for parameter, gradient in zip(net.own, v[:-HEAD], strict=True):
            add_gradient(parameter, gradient)
        start.back_propagate(v[-HEAD:], plan)
        for rates, group in ((self.extractor_rates, 0), (self.head_rates, 1)):
            if rates.log_scales.requires_grad:
                torch.autograd.backward(rates.sums(), [-by_group[group] for by_group in reversed(along)])
        return result

    def _step_back(
        self, support: SupportLoss, plan: GradientPlan, values: Values, v: Values, sizes: Sizes
    ) -> tuple[Values, Sizes]:
        """Compute v at the beginning of a step from v at its end, and <g, v> of both groups."""
        sizes = sizes[0].detach(), sizes[1].detach()
        if not self.first_order:
            drawn = draw(len(support.items), plan.draws(len(support.items)), plan.rng)
            product = support.product(values, v, sizes, drawn)
            for parameter, gradient in zip(support.net.shared, product.shared, strict=True):
                add_gradient(parameter, -gradient)
            return [one - other for one, other in zip(v, product.hessian, strict=True)], product.along
        if self.extractor_rates.log_scales.requires_grad:
            slopes, _ = support.gradient(values)
            return v, dot_by_group(slopes, v)
        return v, sizes  # no products are needed

    def _query(
        self, net: AdaptingNet, task: TaskPixels, plan: GradientPlan, values: Values, weight: float
    ) -> tuple[TaskLoss, Values]:
        """The query loss at some values; adds its gradient, times a weight, at these values and the shared
        parameters."""
        score = replace(plan, loss_scale=plan.loss_scale * weight).score(task, self.extractor)
        leaves = as_leaves(values)
        for batch in chunks_of(task.query, plan.chunks.query):
            score.back_propagate(net.logits(leaves, task.query[batch]), task.query_labels[batch])
        return score.result(), [torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves]

    def _one_graph(self, task: TaskPixels, plan: GradientPlan) -> TaskLoss:
        net = AdaptingNet(self.extractor, self.names, plan.bf16)
        features = self.extractor.encode(task.support, bf16=plan.bf16) if self.start == "prototypes" else None
        # copies: class means also depend on the extractor's parameters, but a step treats them as constants
        own = [value.clone() for value in net.own]
        values = [*own, *self.first_head(features, task.support_labels, task.way)]
        # a frozen extractor or a head of zeros has no graph further back, but the steps still need gradients
        values = [value if value.requires_grad else value.requires_grad_() for value in values]
        support = self._support_loss(net, task.support, task.support_labels, plan.chunks)
        query_labels, earlier = task.query_labels.to(values[-1].device), values[-1].new_zeros(())
        last = len(self.query_weights) - 1
        for number, sizes in enumerate(self._sizes()):
            with FastSecondDerivatives():
                loss = support.one_graph(values)
            gradient = derivatives(loss, values, again=not self.first_order)
            values = _stepped(values, gradient, sizes)
            if number < last and (weight := self.query_weights[number]):
                earlier = earlier + weight * F.cross_entropy(net.logits(values, task.query), query_labels)
        scale = self.query_weights[-1]
        score = replace(plan, loss_scale=plan.loss_scale * scale).score(task, self.extractor)
        score.back_propagate(net.logits(values, task.query), query_labels, penalty=earlier / scale)
        return score.result()

    def _walk(self, support: SupportLoss, values: Values) -> Iterator[Values]:
        """Yield the values after each step, without graph."""
        every = self._sizes()
        for number, sizes in enumerate(every, start=1):
            gradient, loss = support.gradient(values)
            values = [value.detach() for value in _stepped(values, gradient, sizes)]
            wrong = "" if torch.isfinite(loss) else f"the loss is {float(loss)}"
            if not wrong and not _are_finite(values):
                wrong = "the parameters are NaN or infinite"
            if wrong:
                raise _diverged(wrong, number, len(every))
            yield values

    def _support_loss(self, net: AdaptingNet, items: Tensor, labels: Tensor, chunks: Chunks) -> SupportLoss:
        weights = item_weights(len(items), self.summed_batches, like=self.extractor.mean)
        return SupportLoss(net, items, labels, chunks.with_graph, weights)

    def _sizes(self) -> list[Sizes]:
        return list(zip(self.extractor_rates.sums(), self.head_rates.sums(), strict=True))

    def first_head(self, features: Tensor | None, labels: Tensor, way: int) -> list[Tensor]:
        """The head's start: zeros, or the class means of the support features, with their graph."""
        if features is None:
            zeros = partial(torch.zeros, device=labels.device, dtype=self.extractor.mean.dtype)
            return [zeros(way, self.extractor.width), zeros(way)]
        linear = PrototypeHead.fit(features, labels, way=way).as_linear()
        return [linear.weight, linear.bias]


class _HeadStart:
    """The head's start as leaves, and back-propagation from it: one more joint, with its own draw."""

    def __init__(self, loop: InnerLoop, task: TaskPixels, plan: GradientPlan) -> None:
        self._support: EncodedSupport | None = None
        features = None
        if loop.start == "prototypes":
            self._extractor = TaskExtractor(loop.extractor, bf16=plan.bf16)
            encode, without_graph = self._extractor.encode, self._extractor.without_graph
            self._support = EncodedSupport(
                encode, task.support, chunk=plan.chunks.no_graph, without_graph=without_graph
            )
            features = self._support.leaf
        weight, bias = loop.first_head(features, task.support_labels, task.way)
        self._fit = Joint({"weight": weight, "bias": bias})
        self.values = [value.detach() for value in self._fit.leaves.values()]

    def back_propagate(self, gradients: Sequence[Tensor], plan: GradientPlan) -> None:
        """Propagate the gradient at the start through the class means; zeros need no back-propagation."""
        if self._support is None:
            return
        for leaf, gradient in zip(self._fit.leaves.values(), gradients, strict=True):
            leaf.grad = gradient
        self._fit.back_propagate()
        h = plan.draws(self._support.items)
        self._support.back_propagate(h=h, rng=plan.rng, chunk=plan.chunks.with_graph)
        self._extractor.back_propagate()


def query_weights(windows: int, *, spread: float) -> tuple[float, ...]:
    """The weights of the query losses after each window, summing to 1 (Antoniou et al. 2019, arXiv 1810.09502).

    spread: the share of the weight that is spread evenly over all windows, in [0, 1]; the rest is on the last. 0 is
        MAML's loss.
    """
    even = spread / windows
    return (*(even for _ in range(windows - 1)), 1 - even * (windows - 1))


def add_gradient(parameter: Tensor, gradient: Tensor) -> None:
    """Add to a parameter's `.grad`, if the parameter learns."""
    if parameter.requires_grad:
        parameter.grad = gradient.clone() if parameter.grad is None else parameter.grad + gradient


def _diverged(what: str, step: int, steps: int) -> NotFinite:
    return NotFinite(
        f"support images: {what} at inner step {step} of {steps}; "
        "the weights are not finite, or the inner rates (step_lr) are too large"
    )


def _are_finite(values: Sequence[Tensor]) -> bool:
    # a single synchronization with the GPU
    return bool(torch.stack([value.isfinite().all() for value in values]).all())


def _stepped(values: Sequence[Tensor], gradient: Sequence[Tensor], sizes: Sizes) -> Values:
    of_extractor, of_head = sizes
    each = [*(of_extractor for _ in values[:-HEAD]), *(of_head for _ in values[-HEAD:])]
    return [value - size * slope for value, slope, size in zip(values, gradient, each, strict=True)]
