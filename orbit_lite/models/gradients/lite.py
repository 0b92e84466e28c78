"""LITE: the gradient of one task in the memory of one chunk, for any number of images.

Bronskill et al. 2021 (arXiv 2107.01105), with the gradient caching of Gao et al. 2021 (arXiv 2101.06983).

A task has N support items x_n and M query items q_m, and one loss for all parameters w of the encoder f:

    e_n = f(x_n)            encodings, (N, width)
    t   = fit(e_1 .. e_N)   the head's tensors (class means)
    L   = 1/M sum_m loss(t, f(q_m))

    dL/dw = sum_m dL/df(q_m) df(q_m)/dw  +  sum_n dL/de_n df(x_n)/dw
            the query path                  the support path

Once dL/de_n is known, each item's term is independent of the others. So the chain is cut at every joint and computed in
three phases:

    1. encode the support set in chunks, without graph; use the encodings as leaves; fit the head to them;
    2. encode the query set in batches, with graph; compute loss and gradient. The gradient at the head's tensors is
       summed over the batches and then propagated through the fit once, which gives dL/de_n. This computes the query
       path exactly;
    3. draw H of the N items, encode them again with graph, in chunks, and back-propagate N/H dL/de_n through each.

Each item is drawn with probability H/N, so the expectation of phase 3 is the support path: `lite` is unbiased for every
H. With H = N there is no randomness: this is `exact`, computed by the same code. `full` is a single graph over
everything, a reference that takes a lot of memory.

The encoder must give an item the same encoding each time, alone or in a batch; see Extractor.

Two encoders in a row need two more cuts: the first encoder's encodings (an EncodedSupport), and the FiLM parameters
made of them for the second encoder (a Joint). The backward pass visits joints and encoders in reverse, with an
independent draw for each EncodedSupport: the gradient that reaches the first encoder is a product of two estimates, and
the mean of a product is the product of the means only if the two are independent.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, get_args

import numpy as np
from torch import Tensor

from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.extractor import Extractor, ExtractorState
from orbit_lite.models.gradients.chain import EncodedSupport, Joint
from orbit_lite.models.gradients.film_penalty import FilmPenalty
from orbit_lite.models.gradients.folded import TaskExtractor
from orbit_lite.models.gradients.score import QueryScore, TaskLoss
from orbit_lite.models.heads.fitting import Head, head_tensors, with_tensors
from orbit_lite.models.inputs import chunks_of

Estimator = Literal["lite", "exact", "full"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)


@dataclass(frozen=True)
class GradientPlan:
    """How to estimate a task's gradient: the arguments of `task_gradient`."""

    estimator: Estimator
    h: int
    rng: np.random.Generator
    chunks: Chunks
    loss_scale: float = 1.0
    bf16: bool = False
    film_penalty: FilmPenalty = field(default_factory=FilmPenalty)

    def draws(self, items: int) -> int:
        """How many of the support items get a gradient."""
        return min(self.h, items) if self.estimator == "lite" else items

    def score(self, task: TaskPixels, extractor: Extractor) -> QueryScore:
        """An accumulator for the task's loss and accuracy."""
        return QueryScore(loss_scale=self.loss_scale, items=len(task.query), device=extractor.mean.device)


class Upstream(Protocol):
    """The part of an adapter that processes the support set before the extractor runs, cut at its joints."""

    @property
    def state(self) -> Mapping[str, Tensor]:
        """Leaves that replace the extractor's own parameters; their gradient accumulates in the three phases."""
        ...

    def back_propagate(self, plan: GradientPlan) -> None:
        """Propagate that gradient through all earlier parts, with an independent draw for each encoder."""
        ...


def three_phases(
    extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan, upstream: Upstream | None = None
) -> TaskLoss:
    """Add the gradient of a task by `lite` or `exact`; see the module's docstring.

    Args:
        extractor, head: the learner's parts, whose parameters get a gradient.
        task: a task that was checked, with support labels and videos on the extractor's device.
        plan: the estimator, its random draws and the chunk sizes.
        upstream: the part before the extractor, after its first phase.
    """
    score = plan.score(task, extractor)

    # Phase 1: the support set, without graph.
    folded = TaskExtractor(extractor, upstream.state if upstream else None, bf16=plan.bf16)
    encode = folded.encode
    support = EncodedSupport(encode, task.support, chunk=plan.chunks.no_graph, without_graph=folded.without_graph)
    fitted = head.fit(support.leaf, task.support_labels, way=task.way, videos=task.support_videos)
    fit = Joint(head_tensors(fitted))

    # Phase 2: the query set, with graph, in batches; then back through the head's fit.
    fitted = with_tensors(fitted, fit.leaves)
    for batch in chunks_of(task.query, plan.chunks.query):
        features = encode(task.query[batch])
        query = Joint({"features": features})
        score.back_propagate(fitted.logits(query.leaves["features"]), task.query_labels[batch])
        query.back_propagate()
        del features, query  # otherwise this batch's graph would stay in memory until the next one is complete
    fit.back_propagate()

    # Phase 3: H of the support items, with graph, and an independent draw for each encoder, from the head backward.
    support.back_propagate(h=plan.draws(len(task.support)), rng=plan.rng, chunk=plan.chunks.with_graph)
    folded.back_propagate()
    if upstream:
        upstream.back_propagate(plan)
    return score.result()


def one_graph(
    extractor: Extractor,
    head: Head,
    task: TaskPixels,
    plan: GradientPlan,
    *,
    state: ExtractorState | None = None,
) -> TaskLoss:
    """Add the gradient of a task by `full`. state: the adapter's state, with its graph."""
    score = plan.score(task, extractor)
    encode = partial(extractor.encode, state=state, bf16=plan.bf16)
    fitted = head.fit(encode(task.support), task.support_labels, way=task.way, videos=task.support_videos)
    score.back_propagate(fitted.logits(encode(task.query)), task.query_labels)
    return score.result()
