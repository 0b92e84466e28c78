"""LITE: the gradient of one task in the memory of one chunk, however many images the task has.

Bronskill et al. 2021 (arXiv 2107.01105), with the gradient caching of Gao et al. 2021 (arXiv 2101.06983).

A task has N support items x_n and M query items q_m, and one loss for all parameters w of the encoder f:

    e_n = f(x_n)            encodings, (N, width)
    t   = fit(e_1 .. e_N)   the head's tensors (class means)
    L   = 1/M sum_m loss(t, f(q_m))

    dL/dw = sum_m dL/df(q_m) df(q_m)/dw  +  sum_n dL/de_n df(x_n)/dw
            the query path                  the support path

Each item's term stands alone once dL/de_n is known. So the chain is cut at every joint, and done in three phases:

    1. encode the support set in chunks, without graph; take the encodings as leaves; fit the head to them;
    2. encode the query set in batches, with graph; loss, backward. The gradient at the head's tensors adds up over the
       batches, and then goes back through the fit, once: dL/de_n. The query path is done, exactly;
    3. draw H of the N items, encode them again with graph, in chunks, and send N/H dL/de_n back through each.

Each item is drawn with probability H/N, so the mean of phase 3 over draws is the support path: `lite` is unbiased, at
every H. With H = N nothing is left to chance: `exact`. Both are the same lines of code. `full` is one graph over
everything: the yardstick, and a lot of memory.

This holds for an encoder that gives an item the same encoding each time, alone or in a batch; see Extractor.

Two encoders in a row are two more cuts: an earlier encoder's encodings, which are EncodedSupport, and what is
made of them for the later one (FiLM parameters), which is a Joint. On the way back the joints and encoders are gone
through in reverse, each EncodedSupport with a draw of its own: the gradient that reaches the first is a product of both
estimates, and the mean of a product is the product of the means only if the two are independent.
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
    """How a task's gradient is estimated: what `task_gradient` was asked for."""

    estimator: Estimator
    h: int
    rng: np.random.Generator
    chunks: Chunks
    loss_scale: float = 1.0
    bf16: bool = False
    film_penalty: FilmPenalty = field(default_factory=FilmPenalty)

    def draws(self, items: int) -> int:
        """How many of so many support items get a gradient."""
        return min(self.h, items) if self.estimator == "lite" else items

    def score(self, task: TaskPixels, extractor: Extractor) -> QueryScore:
        """What adds up the task's loss and right answers."""
        return QueryScore(loss_scale=self.loss_scale, items=len(task.query), device=extractor.mean.device)


class Upstream(Protocol):
    """What an adapter makes of the support set before the extractor runs, cut at its joints."""

    @property
    def state(self) -> Mapping[str, Tensor]:
        """Leaves that stand in for the extractor's own parameters; their gradient adds up in the three phases."""
        ...

    def back_propagate(self, plan: GradientPlan) -> None:
        """Send that gradient on, through all that comes before, with a draw of its own for each encoder."""
        ...


def three_phases(
    extractor: Extractor, head: Head, task: TaskPixels, plan: GradientPlan, upstream: Upstream | None = None
) -> TaskLoss:
    """Add the gradient of a task by `lite` or `exact`, as the module says.

    Args:
        extractor, head: what encodes, and what is fitted to the encodings; their parameters get a gradient.
        task: checked; its support labels and videos are on the extractor's device.
        plan: estimator, draws and chunks.
        upstream: what comes before the extractor, its first phase done.
    """
    score = plan.score(task, extractor)

    # Phase 1: the support set, without graph.
    folded = TaskExtractor(extractor, upstream.state if upstream else None, bf16=plan.bf16)
    encode = folded.encode
    support = EncodedSupport(encode, task.support, chunk=plan.chunks.no_graph, without_graph=folded.without_graph)
    fitted = head.fit(support.leaf, task.support_labels, way=task.way, videos=task.support_videos)
    fit = Joint(head_tensors(fitted))

    # Phase 2: the query set, with graph, a batch at a time; then back through the head's fit.
    fitted = with_tensors(fitted, fit.leaves)
    for batch in chunks_of(task.query, plan.chunks.query):
        features = encode(task.query[batch])
        query = Joint({"features": features})
        score.back_propagate(fitted.logits(query.leaves["features"]), task.query_labels[batch])
        query.back_propagate()
        del features, query  # or this batch's graph would live until the next one's is whole
    fit.back_propagate()

    # Phase 3: H of the support set, with graph; for each encoder another H, from the head back.
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
    """Add the gradient of a task by `full`. state: with its graph."""
    score = plan.score(task, extractor)
    encode = partial(extractor.encode, state=state, bf16=plan.bf16)
    fitted = head.fit(encode(task.support), task.support_labels, way=task.way, videos=task.support_videos)
    score.back_propagate(fitted.logits(encode(task.query)), task.query_labels)
    return score.result()
