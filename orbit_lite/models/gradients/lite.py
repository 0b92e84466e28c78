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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from groundwork.errors import AskedWrong, FoundWrong
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.adapters.film_tuner import FilmTuner
from orbit_lite.models.heads.fitting import head_tensors, with_tensors
from orbit_lite.models.inputs import check_images, check_labels, check_support_labels, check_videos, chunks_of
from orbit_lite.models.recognizer import Recognizer

Estimator = Literal["lite", "exact", "full"]
ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)
Encode = Callable[[Tensor], Tensor]  # items of one chunk to encodings, with graph if gradients are on


@dataclass(frozen=True)
class GradientChunks:
    """Frames encoded at once: they set memory and speed, and change the result by rounding only.

    The defaults are what a CPU is quick with: small chunks stay in its cache. `GPU_CHUNKS` suit a GPU.
    """

    no_graph: int = 8
    with_graph: int = 4
    query: int = 4


GPU_CHUNKS = GradientChunks(no_graph=256, with_graph=64, query=64)


@dataclass(frozen=True)
class TaskLoss:
    """Mean cross-entropy and share of right answers over the task's query items, before the step."""

    loss: float
    accuracy: float


def task_gradient(
    recognizer: Recognizer,
    pixels: TaskPixels,
    *,
    h: int,
    rng: np.random.Generator,
    estimator: Estimator = "lite",
    chunks: GradientChunks = GradientChunks(),
    loss_scale: float = 1.0,
    bf16: bool = False,
) -> TaskLoss:
    """Add one task's gradient, times `loss_scale`, to the `.grad` of the recogniser's parameters.

    Args:
        recognizer: its parameters that require a gradient get one.
        pixels: the task.
        h: support items (frames, or clips) that `lite` gives a gradient, >= 1; more than there are means all.
        rng: draws them; keyed by the task, so that a run can be resumed.
        estimator: `lite`, `exact` (h is all of them), or `full`.
        chunks: frames encoded at once.
        loss_scale: 1 / tasks a step, where gradients of several tasks add up.
        bf16: run both encoders in bfloat16; encodings, head and gradients stay float32.

    Returns:
        loss and accuracy, not scaled. A loss that is not finite is left to the caller, who knows which task it is.

    Raises:
        AskedWrong: if h < 1, the estimator is unknown, or the learner has nothing to meta-train.
        FoundWrong: if the images or labels are not as they should be.
    """
    if estimator not in ESTIMATORS:
        raise AskedWrong(f"unknown estimator {estimator!r}; known: {', '.join(ESTIMATORS)}")
    if h < 1:
        raise AskedWrong(f"h = {h}: LITE needs at least 1 support item with a gradient")
    _check(recognizer, pixels)
    score = QueryScore(loss_scale=loss_scale, items=len(pixels.query), device=recognizer.device)
    extractor, adapter, labels = recognizer.extractor, recognizer.adapter, pixels.support_labels.to(recognizer.device)
    videos = pixels.support_videos.to(recognizer.device) if pixels.support_videos is not None else None
    if isinstance(adapter, FilmTuner) or not any(value.requires_grad for value in recognizer.parameters()):
        raise AskedWrong("this learner is fitted to each support set alone: it has nothing to meta-train")
    if estimator == "full":
        _one_graph(recognizer, pixels, score, bf16=bf16)
        return score.result()

    # Phase 1: the support set, without graph; by the set encoder first, where there is one.
    film = None
    if adapter is not None:
        set_encode = partial(adapter.encode, extractor, bf16=bf16)
        task_set = EncodedSupport(set_encode, pixels.support, chunk=chunks.no_graph)
        film = Joint(adapter.film(extractor, task_set.leaf))
    encode = partial(extractor.encode, film=film.leaves if film else None, bf16=bf16)
    support = EncodedSupport(encode, pixels.support, chunk=chunks.no_graph)
    head = recognizer.head.fit(support.leaf, labels, way=pixels.way, videos=videos)
    fit = Joint(head_tensors(head))

    # Phase 2: the query set, with graph, a batch at a time; then back through the head's fit.
    head = with_tensors(head, fit.leaves)
    for batch in chunks_of(pixels.query, chunks.query):
        features = encode(pixels.query[batch])
        query = Joint({"features": features})
        score.back_propagate(head.logits(query.leaves["features"]), pixels.query_labels[batch])
        query.back_propagate()
        del features, query  # or this batch's graph would live until the next one's is whole
    fit.back_propagate()

    # Phase 3: H of the support set, with graph; for each encoder another H, from the head back.
    draws = len(pixels.support) if estimator == "exact" else h
    support.back_propagate(h=draws, rng=rng, chunk=chunks.with_graph)
    if adapter is not None and film is not None:
        film.back_propagate()
        task_set.back_propagate(h=draws, rng=rng, chunk=chunks.with_graph)
        torch.autograd.backward(adapter.penalty() * loss_scale)
    return score.result()


class Joint:
    """A cut in the chain: what comes behind uses the leaves, and their gradient is sent through in one go."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)
        self.leaves = {name: value.detach().requires_grad_() for name, value in tensors.items()}

    def back_propagate(self) -> None:
        """Send the gradient that has added up at the leaves through what came before."""
        # A frozen extractor has nothing to learn: its features have no graph.
        names = [name for name, value in self._tensors.items() if value.requires_grad]
        if names:
            torch.autograd.backward([self._tensors[name] for name in names], [self._gradient(name) for name in names])

    def _gradient(self, name: str) -> Tensor:
        gradient = self.leaves[name].grad
        return torch.zeros_like(self.leaves[name]) if gradient is None else gradient


class EncodedSupport:
    """One encoder's encodings of the whole support set: made without graph, as a leaf, (N, width)."""

    def __init__(self, encode: Encode, items: Tensor, *, chunk: int) -> None:
        self._encode, self._items = encode, items
        with torch.no_grad():
            encodings = torch.cat([encode(items[part]) for part in chunks_of(items, chunk)])
        self.leaf = encodings.requires_grad_()

    def back_propagate(self, *, h: int, rng: np.random.Generator, chunk: int) -> None:
        """Encode h of the N again, with graph, and send N/h times the gradient at their encodings through."""
        if self.leaf.grad is None:
            raise RuntimeError("no gradient at the support encodings: the head's fit has cut it off")
        count = len(self._items)
        h = min(h, count)
        drawn = torch.from_numpy(np.sort(rng.choice(count, size=h, replace=False)))
        gradient = self.leaf.grad[drawn.to(self.leaf.device)] * (count / h)
        for part in chunks_of(self._items[:h], chunk):
            again = self._encode(self._items[drawn[part]])
            if again.requires_grad:  # nothing to learn in a frozen one
                torch.autograd.backward(again, gradient[part])
            del again


class QueryScore:
    """Adds up loss and right answers over query batches. The loss is the mean over all M items, however cut."""

    def __init__(self, *, loss_scale: float, items: int, device: torch.device) -> None:
        self._loss_scale, self._items = loss_scale, items
        # on the device: a number fetched for each batch would make the CPU wait for it
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._right = torch.zeros((), dtype=torch.int64, device=device)

    def back_propagate(self, logits: Tensor, labels: Tensor, *, penalty: Tensor | float = 0.0) -> None:
        """One batch, (b, way) and (b,): add its share of the task's mean loss, and send its gradient back.

        A penalty gets its gradient with it, and is not counted in the loss that is told.
        """
        labels = labels.to(logits.device)
        loss = F.cross_entropy(logits, labels, reduction="sum") / self._items  # M of the task, not b of the batch
        torch.autograd.backward((loss + penalty) * self._loss_scale)
        self._loss += loss.detach()
        self._right += (logits.detach().argmax(dim=1) == labels).sum()

    def result(self) -> TaskLoss:
        """Loss and accuracy over all batches."""
        return TaskLoss(loss=float(self._loss), accuracy=int(self._right) / self._items)


def _one_graph(recognizer: Recognizer, pixels: TaskPixels, score: QueryScore, *, bf16: bool) -> None:
    extractor, adapter = recognizer.extractor, recognizer.adapter
    film, penalty = None, torch.zeros(())
    if isinstance(adapter, FilmAdapter):
        encodings = adapter.encode(extractor, pixels.support, bf16=bf16)
        film, penalty = adapter.film(extractor, encodings), adapter.penalty()
    encode = partial(extractor.encode, film=film, bf16=bf16)
    labels = pixels.support_labels.to(recognizer.device)
    videos = pixels.support_videos.to(recognizer.device) if pixels.support_videos is not None else None
    head = recognizer.head.fit(encode(pixels.support), labels, way=pixels.way, videos=videos)
    score.back_propagate(head.logits(encode(pixels.query)), pixels.query_labels, penalty=penalty)


def _check(recognizer: Recognizer, pixels: TaskPixels) -> None:
    size = recognizer.extractor.frame_size_px
    check_images(pixels.support, frame_size_px=size, what="support images")
    check_images(pixels.query, frame_size_px=size, what="query images")
    check_support_labels(pixels.support_labels, items=len(pixels.support), way=pixels.way, what="support labels")
    check_videos(pixels.support_videos, pixels.support_labels, what="support videos")
    check_labels(pixels.query_labels, items=len(pixels.query), what="query labels")
    highest = int(pixels.query_labels.max())
    if highest >= pixels.way:
        raise FoundWrong(
            f"query labels: label {highest} in a task of {pixels.way} classes; expected 0..{pixels.way - 1}"
        )
