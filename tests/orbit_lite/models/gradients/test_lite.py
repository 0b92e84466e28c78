"""LITE: properties of the estimators, for every meta-trained learner and each of its parts."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from groundwork.errors import DataError, UsageError
from orbit_lite.config import builtin_names
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.chunks import GPU_CHUNKS, Chunks
from orbit_lite.models.gradients.lite import ESTIMATORS, Estimator
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.heads import HEADS
from orbit_lite.models.heads.feat import FeatHead
from orbit_lite.models.learner import LearnerConfig, load_learner
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import own_generator, task_gradient

SIZE_PX = 32
UNEVEN = Chunks(no_graph=3, with_graph=2, query=3)  # 7 query items in batches of 3, 3 and 1
EXTRACTOR, SET_ENCODER, GENERATOR, HEAD = "extractor.", "adapter.set_encoder.", "adapter.generator.", "head."
Parts = dict[str, Tensor]  # the gradient of each meta-learned part, as one vector

# Every built-in learner is in one of these four tables, with the parts that meta-training changes.
META_TRAINED: dict[str, tuple[str, ...]] = {
    "protonets": (EXTRACTOR,),
    "protonets_cosine": (EXTRACTOR,),
    "cnaps": (SET_ENCODER, GENERATOR, HEAD),
    "simple_cnaps": (SET_ENCODER, GENERATOR),
    "ridge": (EXTRACTOR,),
    "lda": (EXTRACTOR,),
    "feat": (EXTRACTOR, HEAD),
    "subspace": (EXTRACTOR,),
    "anil": (EXTRACTOR,),
    "anil_implicit": (EXTRACTOR,),
}
INNER_LOOP = ("maml", "maml_first_order", "maml_window")  # tested in test_inner_loop.py
EXACT_ONLY = ("imaml",)  # in test_proximal.py
FITTED_ONLY = ("finetuner", "finetuner_film", "ridge_two_views")
# Other compositions of the parts.
VARIANTS: dict[str, tuple[LearnerConfig, tuple[str, ...]]] = {
    "cnaps, extractor learned": (
        load_learner("cnaps").model_copy(update={"extractor": "learned"}),
        (EXTRACTOR, SET_ENCODER, GENERATOR, HEAD),
    ),
    "simple_cnaps, extractor learned": (
        load_learner("simple_cnaps").model_copy(update={"extractor": "learned"}),
        (EXTRACTOR, SET_ENCODER, GENERATOR),
    ),
    "cnaps, extractor learned, two views": (
        load_learner("cnaps").model_copy(update={"extractor": "learned", "middle_view": 0.6}),
        (EXTRACTOR, SET_ENCODER, GENERATOR, HEAD),
    ),
    "Versa on frozen features": (LearnerConfig(head="versa", extractor="frozen"), (HEAD,)),
}
PARTS = META_TRAINED | {name: parts for name, (_, parts) in VARIANTS.items()}


def random_frames(count: int, seed: int, clip: tuple[int, ...] = ()) -> Tensor:
    """Smooth frames of different colors, because encodings of noise hardly differ."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, *clip, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(SIZE_PX // 4, dim=-1).repeat_interleave(SIZE_PX // 4, dim=-2)


def make_task(
    support_labels: tuple[int, ...] = (0, 1, 2, 0, 1, 0),
    queries: int = 7,
    clip: tuple[int, ...] = (),
    videos: tuple[int, ...] | None = None,
) -> TaskPixels:
    way = max(support_labels) + 1
    return TaskPixels(
        support=random_frames(len(support_labels), 1, clip),
        support_labels=torch.tensor(support_labels),
        query=random_frames(queries, 2, clip),
        query_labels=torch.arange(queries) % way,
        way=way,
        support_videos=None if videos is None else torch.tensor(videos),
    )


def make_recognizer(learner: str, dtype: torch.dtype = torch.float64, backbone: str = "tiny") -> Recognizer:
    """With r of order 1: an untrained adapter's is 0.001, so the support set would hardly affect FiLM."""
    config = VARIANTS[learner][0] if learner in VARIANTS else load_learner(learner)
    recognizer = build_recognizer(config, backbone, weights="random", frame_size_px=SIZE_PX)
    if isinstance(recognizer.adapter, FilmAdapter):
        generator = torch.Generator().manual_seed(3)
        for r in recognizer.adapter.generator.regularizers:
            torch.nn.init.normal_(r, generator=generator)
    return recognizer.to(dtype)


def collect(recognizer: Recognizer) -> Parts:
    """The content of `.grad`, by part."""
    found = {
        part: [value.grad.flatten() for name, value in recognizer.named_parameters() if name.startswith(part)
               and value.grad is not None]
        for part in (EXTRACTOR, SET_ENCODER, GENERATOR, HEAD)
    }  # fmt: skip
    return {part: torch.cat(gradients) for part, gradients in found.items() if gradients}


def gradient(
    recognizer: Recognizer,
    task: TaskPixels,
    estimator: Estimator,
    *,
    h: int = 1,
    rng: int | np.random.Generator = 0,
    chunks: Chunks = UNEVEN,
) -> tuple[TaskLoss, Parts]:
    """The loss and the gradient of each part."""
    recognizer.zero_grad(set_to_none=True)
    loss = task_gradient(recognizer, task, h=h, rng=np.random.default_rng(rng), estimator=estimator, chunks=chunks)
    return loss, collect(recognizer)


def apart(one: Parts, other: Parts) -> dict[str, float]:
    """|one - other| / |other| for each part."""
    assert one.keys() == other.keys()
    return {part: float((one[part] - other[part]).norm() / other[part].norm()) for part in one}


def furthest(one: Parts, other: Parts) -> float:
    return max(apart(one, other).values())


def mean(gradients: Iterable[Parts]) -> Parts:
    listed = list(gradients)
    return {part: torch.stack([found[part] for found in listed]).mean(dim=0) for part in listed[0]}


TASKS = {
    "several a class": make_task(),
    "one image a class": make_task((0, 1, 2)),
    "one item in a class of many": make_task((0, 0, 0, 0, 1)),
    "one query item": make_task(queries=1),
    "clips": make_task((0, 1, 0, 1, 1), queries=4, clip=(3,)),
    "several items a video": make_task((0, 0, 0, 1, 1, 1), videos=(0, 0, 1, 2, 2, 3)),
}


def test_every_built_in_learner_is_in_a_table_and_every_head_in_a_learner() -> None:
    assert sorted([*META_TRAINED, *INNER_LOOP, *EXACT_ONLY, *FITTED_ONLY]) == builtin_names("learner")
    assert all(load_learner(name).meta_learned for name in META_TRAINED)
    tried = {load_learner(name).head for name in META_TRAINED} | {config.head for config, _ in VARIANTS.values()}
    # no gradient passes through the others, and the config refuses to train them
    assert tried == {name for name, record in HEADS.items() if record.passes_gradient}


@pytest.mark.parametrize("learner", PARTS)
@pytest.mark.parametrize("task", TASKS)
def test_exact_is_full(learner: str, task: str) -> None:
    recognizer = make_recognizer(learner)
    full_loss, full = gradient(recognizer, TASKS[task], "full")
    loss, exact = gradient(recognizer, TASKS[task], "exact")
    learned = [parameter for parameter in recognizer.parameters() if parameter.requires_grad]
    assert tuple(full) == PARTS[learner]
    assert sum(part.numel() for part in full.values()) == sum(parameter.numel() for parameter in learned)
    assert furthest(exact, full) < 1e-9
    assert loss.loss == pytest.approx(full_loss.loss, rel=1e-9)
    assert loss.accuracy == full_loss.accuracy


@pytest.mark.parametrize("learner", PARTS)
def test_exact_is_full_in_float32(learner: str) -> None:
    recognizer = make_recognizer(learner, torch.float32)
    exact, full = gradient(recognizer, make_task(), "exact")[1], gradient(recognizer, make_task(), "full")[1]
    assert furthest(exact, full) < 1e-3  # measured: 2e-6; float32 rounding depends on the processor


@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_exact_is_full_through_batchnorm(learner: str) -> None:
    recognizer = make_recognizer(learner, backbone="efficientnet_b0")
    task = make_task((0, 1, 0, 1), queries=3)
    assert furthest(gradient(recognizer, task, "exact")[1], gradient(recognizer, task, "full")[1]) < 1e-9


def loss_written_out(recognizer: Recognizer, task: TaskPixels) -> tuple[Tensor, Tensor]:
    """Cross-entropy and penalty from the definitions of FiLM and the loss."""
    film, penalty = None, torch.zeros((), dtype=torch.float64)
    if isinstance(adapter := recognizer.adapter, FilmAdapter):
        embedding = adapter.set_encoder(recognizer.extractor.pixels(task.support)).mean(dim=0)
        own = dict(recognizer.extractor.net.named_parameters())
        film = {}
        for name, block, r in zip(
            adapter.names, adapter.generator.generators, adapter.generator.regularizers, strict=True
        ):
            film[name] = (
                own[name] * (1 + r * block(embedding)) if "weight" in name else own[name] + r * block(embedding)
            )
            penalty = penalty + 0.001 * (r**2).sum()
    features = recognizer.extractor.encode(task.support, state=film)
    head = recognizer.head
    if in_training := recognizer.head_record.in_training:  # with the dropout of a gradient with rng 0
        head = in_training(head, "full", own_generator(np.random.default_rng(0)))
    fitted = head.fit(features, task.support_labels, way=task.way)
    logits = fitted.logits(recognizer.extractor.encode(task.query, state=film))
    losses = [-row.log_softmax(dim=0)[label] for row, label in zip(logits, task.query_labels, strict=True)]
    return torch.stack(losses).mean(), penalty


@pytest.mark.parametrize("learner", PARTS)
def test_full_is_the_loss_written_out(learner: str) -> None:
    recognizer, task = make_recognizer(learner), make_task()
    loss, penalty = loss_written_out(recognizer, task)
    (loss + penalty).backward()
    expected = collect(recognizer)
    found, full = gradient(recognizer, task, "full")
    assert found.loss == pytest.approx(loss.item())
    assert furthest(full, expected) < 1e-9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_penalty_adds_its_gradient_and_scales_with_the_task(estimator: Estimator) -> None:
    recognizer, task = make_recognizer("cnaps"), make_task()
    rng = np.random.default_rng(0)
    task_gradient(recognizer, task, h=2, rng=rng, estimator=estimator, loss_scale=0.5)
    with_penalty = collect(recognizer)[GENERATOR]
    recognizer.zero_grad()
    assert isinstance(recognizer.adapter, FilmAdapter)
    recognizer.adapter.squares = lambda: torch.zeros((), requires_grad=True)  # type: ignore[method-assign]
    task_gradient(recognizer, task, h=2, rng=np.random.default_rng(0), estimator=estimator, loss_scale=0.5)
    without = collect(recognizer)[GENERATOR]
    # d/dr of 0.001 r^2 is 0.002 r, halved; the networks get nothing
    expected = torch.cat(
        [
            0.001 * value.detach().flatten() if "regularizers" in name else torch.zeros_like(value).flatten()
            for name, value in recognizer.adapter.generator.named_parameters()
        ]
    )
    torch.testing.assert_close(with_penalty - without, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("learner", PARTS)
def test_h_of_all_or_more_is_exact(learner: str) -> None:
    recognizer = make_recognizer(learner)
    exact = gradient(recognizer, make_task(), "exact")[1]
    for h in (6, 7, 1000):
        assert furthest(gradient(recognizer, make_task(), "lite", h=h)[1], exact) < 1e-9


def query_path(recognizer: Recognizer, task: TaskPixels) -> Parts:
    """The gradient without the part through the head's fit, as in the published code."""
    with torch.no_grad():
        fitted = recognizer.head.fit(recognizer.extractor.encode(task.support), task.support_labels, way=task.way)
    recognizer.zero_grad(set_to_none=True)
    logits = fitted.logits(recognizer.extractor.encode(task.query))
    torch.nn.functional.cross_entropy(logits, task.query_labels).backward()
    return collect(recognizer)


@pytest.mark.parametrize("learner", ["protonets", "protonets_cosine"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_gradient_goes_through_the_support_set(learner: str, estimator: Estimator) -> None:
    recognizer, task = make_recognizer(learner), make_task()
    assert furthest(gradient(recognizer, task, estimator, h=2)[1], query_path(recognizer, task)) > 0.1


class Scripted(np.random.Generator):
    """Returns these subsets, one per draw."""

    def __init__(self, subsets: Iterable[tuple[int, ...]]) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = list(subsets)

    def choice(self, *_: Any, **__: Any) -> Any:
        return np.array(self.left.pop(0))


def over_every_draw(recognizer: Recognizer, task: TaskPixels, h: int, *, shared: bool) -> Parts:
    """The mean of `lite` over all subsets; with two encoders over all pairs, or over pairs of the same subset."""
    subsets = list(combinations(range(len(task.support)), h))
    draws = 2 if not recognizer.shares_features else 1
    scripts = [(subset,) * draws for subset in subsets] if shared else list(product(subsets, repeat=draws))
    found = []
    for script in scripts:
        rng = Scripted(script)
        found.append(gradient(recognizer, task, "lite", h=h, rng=rng)[1])
        assert not rng.left  # one draw per encoder
    return mean(found)


SMALL = make_task((0, 0, 1), queries=4)  # a class with one image; the query batches have 3 and 1 items


@pytest.mark.parametrize("learner", PARTS)
@pytest.mark.parametrize("h", [1, 2])
def test_mean_of_lite_over_every_draw_is_full(learner: str, h: int) -> None:
    recognizer = make_recognizer(learner)
    full = gradient(recognizer, SMALL, "full")[1]
    assert furthest(over_every_draw(recognizer, SMALL, h, shared=False), full) < 1e-9


@pytest.mark.parametrize("learner", ["cnaps", "simple_cnaps", "cnaps, extractor learned"])
def test_one_subset_for_both_encoders_would_be_biased_at_the_first(learner: str) -> None:
    """Two draws are needed because the set encoder's gradient is a product of both; the other parts' are not."""
    recognizer = make_recognizer(learner)
    full = gradient(recognizer, SMALL, "full")[1]
    bias = apart(over_every_draw(recognizer, SMALL, 1, shared=True), full)
    assert bias.pop(SET_ENCODER) > 0.05
    assert max(bias.values()) < 1e-9


class OneDraw(np.random.Generator):
    """The published code's error: the second draw returns the first subset again."""

    def __init__(self, seed: int) -> None:
        super().__init__(np.random.PCG64(seed))
        self.first: Any = None

    def choice(self, *args: Any, **kwargs: Any) -> Any:
        if self.first is None:
            self.first = super().choice(*args, **kwargs)
        return self.first


DIRECTIONS = 20
AT_MOST = 2.5  # standard errors, root mean square over directions; about 1 in 80 correct estimators would exceed it


@cache
def directions(size: int) -> Tensor:
    return torch.randn(DIRECTIONS, size, generator=torch.Generator().manual_seed(4), dtype=torch.float64)


def lite_less_full(
    recognizer: Recognizer,
    task: TaskPixels,
    *,
    h: int,
    draws: int,
    rng: Callable[[int], np.random.Generator] = np.random.default_rng,
) -> dict[str, Tensor]:
    """The errors of each draw of `lite` relative to `full`, for each part along random directions: (draws,
    directions)."""
    full = gradient(recognizer, task, "full")[1]
    whole = Chunks(100, 100, 100)
    drawn = [gradient(recognizer, task, "lite", h=h, rng=rng(seed), chunks=whole)[1] for seed in range(draws)]
    return {
        part: torch.stack([directions(len(full[part])) @ (one[part] - full[part]) for one in drawn]) for part in full
    }


def standard_errors(off: Tensor) -> float:
    """The mean over draws in units of its standard error; root mean square over the directions."""
    return float((off.mean(dim=0) / (off.std(dim=0) / len(off) ** 0.5)).square().mean().sqrt())


# All learners are tested exactly above, over all draws; here one per kind of path, and the others in the long tests.
DRAWN = ("protonets", "cnaps", "anil_implicit")


@pytest.mark.parametrize(
    "learner", [*DRAWN, *(pytest.param(x, marks=pytest.mark.long) for x in PARTS if x not in DRAWN)]
)
def test_mean_of_lite_over_many_draws_is_full_within_its_error(learner: str) -> None:
    recognizer = make_recognizer(learner)
    if isinstance(recognizer.head, FeatHead):
        recognizer.head.dropout = 0.0  # each seed would have its own dropout, which is not part of LITE
    off = lite_less_full(recognizer, make_task(), h=2, draws=100)
    head = off.pop(HEAD, None)
    assert {part: error for part, value in off.items() if (error := standard_errors(value)) > AT_MOST} == {}
    assert head is None or head.abs().max() < 1e-9  # it is computed before the draws, so it is not random


def test_the_bound_detects_a_missing_scale_and_a_scaled_query_path() -> None:
    recognizer, task, draws = make_recognizer("protonets"), make_task(), 100
    off = lite_less_full(recognizer, task, h=2, draws=draws)[EXTRACTOR]
    full = gradient(recognizer, task, "full")[1][EXTRACTOR]
    to_full = directions(len(full)) @ full
    query = directions(len(full)) @ query_path(recognizer, task)[EXTRACTOR]
    unscaled = query + (off + to_full - query) * 2 / 6
    assert standard_errors(unscaled - to_full) > 2 * AT_MOST
    assert standard_errors(unscaled * 6 / 2 - to_full) > 2 * AT_MOST


def test_the_bound_detects_one_subset_for_both_encoders() -> None:
    recognizer, task = make_recognizer("cnaps"), make_task((0, 0, 1, 0), queries=3)
    apart_draws = lite_less_full(recognizer, task, h=1, draws=150)
    assert standard_errors(apart_draws[SET_ENCODER]) < AT_MOST
    shared = lite_less_full(recognizer, task, h=1, draws=150, rng=OneDraw)
    assert standard_errors(shared[SET_ENCODER]) > 2 * AT_MOST
    assert standard_errors(shared[GENERATOR]) < AT_MOST


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_chunks_do_not_change_the_gradient(learner: str, estimator: Estimator) -> None:
    recognizer, task = make_recognizer(learner), make_task()
    whole = gradient(recognizer, task, estimator, h=3, chunks=Chunks(100, 100, 100))[1]
    for chunks in (Chunks(1, 1, 1), Chunks(4, 2, 5)):
        assert furthest(gradient(recognizer, task, estimator, h=3, chunks=chunks)[1], whole) < 1e-9


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_gradients_of_tasks_add_up_scaled(learner: str, estimator: Estimator) -> None:
    recognizer, one, other = make_recognizer(learner), make_task(), make_task((1, 0, 0))
    expected = mean([gradient(recognizer, one, estimator)[1], gradient(recognizer, other, estimator)[1]])
    recognizer.zero_grad(set_to_none=True)
    for task in (one, other):
        rng = np.random.default_rng(0)
        task_gradient(recognizer, task, h=1, rng=rng, estimator=estimator, chunks=UNEVEN, loss_scale=0.5)
    assert furthest(collect(recognizer), expected) < 1e-9


@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_a_draw_depends_only_on_its_generator(learner: str) -> None:
    recognizer, task = make_recognizer(learner), make_task()
    one = gradient(recognizer, task, "lite", rng=1)[1]
    torch.manual_seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state must not matter
    again = gradient(recognizer, task, "lite", rng=1)[1]
    assert all(torch.equal(again[part], value) for part, value in one.items())
    assert any(furthest(gradient(recognizer, task, "lite", rng=seed)[1], one) > 0.01 for seed in range(2, 6))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_frozen_parameters_get_none_and_others_the_same(estimator: Estimator) -> None:
    recognizer, task = make_recognizer("protonets"), make_task()
    gradient(recognizer, task, estimator)
    parameters = list(recognizer.parameters())
    assert parameters[-1].grad is not None
    expected = parameters[-1].grad.clone()
    for parameter in parameters[:-1]:
        parameter.requires_grad_(False)
    gradient(recognizer, task, estimator)
    assert all(parameter.grad is None for parameter in parameters[:-1])
    torch.testing.assert_close(parameters[-1].grad, expected)


@pytest.mark.parametrize("estimator", ["lite", "exact"])
@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_nothing_is_encoded_with_graph_but_chunks(learner: str, estimator: Estimator) -> None:
    """Passes through each encoder: N without graph, M and H with graph (the first encoder only H), at most one chunk at
    once."""
    recognizer, task = make_recognizer(learner), make_task()
    calls: dict[str, list[tuple[bool, int]]] = {"extractor": [], "set encoder": []}

    def count(name: str) -> Callable[[torch.nn.Module, tuple[Tensor, ...]], None]:
        return lambda _, args: calls[name].append((torch.is_grad_enabled(), len(args[0])))

    recognizer.extractor.register_forward_pre_hook(count("extractor"))
    if isinstance(recognizer.adapter, FilmAdapter):
        encoder, counted_at = recognizer.adapter.set_encoder, count("set encoder")
        folded = encoder.forward_folded
        encoder.forward_folded = lambda pixels: (counted_at(encoder, (pixels,)), folded(pixels))[1]
    gradient(recognizer, task, estimator, h=3)
    h = 3 if estimator == "lite" else 6
    expected = {"extractor": 7 + h, "set encoder": h if learner == "cnaps" else 0}
    for encoder, counted in calls.items():
        assert sum(items for graph, items in counted if graph) == expected[encoder]
        assert sum(items for graph, items in counted if not graph) == (6 if expected[encoder] else 0)
        assert all(items <= 3 for _, items in counted)


@pytest.mark.parametrize("learner", ["protonets_cosine", "cnaps"])
def test_bfloat16_gradients_are_near(learner: str) -> None:
    recognizer, task = make_recognizer(learner, torch.float32), make_task()
    full = gradient(recognizer, task, "full")[1]
    recognizer.zero_grad(set_to_none=True)
    task_gradient(recognizer, task, h=6, rng=np.random.default_rng(0), chunks=UNEVEN, bf16=True)
    off = apart(collect(recognizer), full)
    # measured: 0.02 to 0.11; for a wrong gradient: 1 and more
    assert all(0 < value < 0.4 for value in off.values()), off


def test_bfloat16_is_in_both_encoders_and_in_nothing_else() -> None:
    recognizer, seen = make_recognizer("cnaps", torch.float32), set()
    for name, module in recognizer.named_modules():
        # the set encoder's convolutions are folded, so their outputs are observed at the pooling
        seen_at = torch.nn.MaxPool2d if name.startswith(SET_ENCODER) else torch.nn.Conv2d | torch.nn.Linear
        if isinstance(module, seen_at):
            part = next(part for part in (EXTRACTOR, SET_ENCODER, GENERATOR, HEAD) if name.startswith(part))
            module.register_forward_hook(lambda _, __, output, part=part: seen.add((part, output.dtype)))
    task_gradient(recognizer, make_task(), h=2, rng=np.random.default_rng(0), bf16=True)
    rounded, exact = torch.bfloat16, torch.float32
    assert seen == {(EXTRACTOR, rounded), (SET_ENCODER, rounded), (GENERATOR, exact), (HEAD, exact)}
    assert all(value.grad.dtype == exact for value in recognizer.parameters() if value.grad is not None)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"support": random_frames(6, 1).float()}, "support images: dtype float32"),
        ({"query": random_frames(7, 1)[..., :-1]}, "query images: shape"),
        ({"support_labels": torch.tensor([0, 1, 2])}, "support labels: shape"),
        ({"support_labels": torch.tensor([0, 0, 2, 2, 0, 0])}, "support labels: class 1 has no item"),
        ({"query_labels": torch.tensor([0, 1, 2, 3, 0, 0, 0])}, "query labels: label 3 in a task with 3"),
        ({"way": 4}, "class 3 has no item"),
    ],
)
def test_invalid_tasks_are_refused(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        gradient(make_recognizer("protonets"), replace(make_task(), **changed), "lite")


def test_h_below_one_and_unknown_estimators_are_refused() -> None:
    with pytest.raises(UsageError, match="h = 0"):
        gradient(make_recognizer("protonets"), make_task(), "lite", h=0)
    with pytest.raises(UsageError, match="unknown estimator 'light'; known: lite, exact, full"):
        gradient(make_recognizer("protonets"), make_task(), "light")  # type: ignore[arg-type]


@pytest.mark.parametrize("learner", FITTED_ONLY)
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_learner_with_nothing_to_meta_train_is_refused(learner: str, estimator: Estimator) -> None:
    with pytest.raises(UsageError, match="nothing to meta-train"):
        gradient(make_recognizer(learner), make_task(), estimator)


on_a_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("learner", META_TRAINED)
def test_a_gpu_gives_the_cpus_gradient(learner: str, estimator: Estimator) -> None:
    """In float64, where TensorFloat-32 is not used; the pixels stay on their device."""
    task = make_task()
    loss, expected = gradient(make_recognizer(learner), task, estimator, h=3)
    on_gpu, found = gradient(make_recognizer(learner).cuda(), task, estimator, h=3, chunks=GPU_CHUNKS)
    assert on_gpu.loss == pytest.approx(loss.loss, rel=1e-9)
    assert all(value.is_cuda for value in found.values())
    assert furthest({part: value.cpu() for part, value in found.items()}, expected) < 1e-9


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("learner", META_TRAINED)
def test_bfloat16_on_a_gpu_is_near(learner: str) -> None:
    recognizer, task = make_recognizer(learner, torch.float32), make_task()
    expected = gradient(recognizer, task, "full")[1]
    recognizer.cuda().zero_grad(set_to_none=True)
    task_gradient(recognizer, task, h=6, rng=np.random.default_rng(0), chunks=GPU_CHUNKS, bf16=True)
    off = apart({part: value.cpu() for part, value in collect(recognizer).items()}, expected)
    # measured: 0.02 to 0.11; for a wrong gradient: 1 and more
    assert all(0 < value < 0.4 for value in off.values()), off


@pytest.mark.gpu
@on_a_gpu
@pytest.mark.parametrize("estimator", ["lite", "exact"])
@pytest.mark.parametrize("learner", ["protonets", "cnaps"])
def test_memory_on_a_gpu_does_not_grow_with_the_support_set(learner: str, estimator: Estimator) -> None:
    recognizer = make_recognizer(learner, torch.float32).cuda()
    chunks = Chunks(no_graph=64, with_graph=32, query=32)
    # so that libraries are loaded
    gradient(recognizer, make_task((0, 1) * 50, queries=40), estimator, h=16, chunks=chunks)
    peaks = []
    for half in (50, 500):
        task = make_task((0, 1) * half, queries=40)
        recognizer.zero_grad(set_to_none=True)
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        task_gradient(recognizer, task, h=16, rng=np.random.default_rng(0), estimator=estimator, chunks=chunks)
        peaks.append(torch.cuda.max_memory_allocated() - before)
    assert peaks[1] < 1.15 * peaks[0]
