"""The gradient through an inner loop: properties of the estimators, for all settings that change it."""

import weakref
from collections.abc import Iterable
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from groundwork.errors import UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.gradients.inner_loop import query_weights
from orbit_lite.models.gradients.lite import ESTIMATORS, Estimator
from orbit_lite.models.gradients.score import TaskLoss
from orbit_lite.models.inputs import NotFinite
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

SIZE_PX, STEPS, RATE = 32, 3, 0.02
UNEVEN = Chunks(no_graph=3, with_graph=2, query=3)
Parts = dict[str, Tensor]

# Settings that change the gradient. Each is an inner loop of 3 steps, with windows of 2 and 1 if there are windows.
SETTINGS: dict[str, dict[str, Any]] = {
    "second order": {},
    "two rates": {"extractor_lr_scale": 0.1},
    "learned rates": {"learned_rates": True},
    "from prototypes": {"start": "prototypes"},
    "windows": {"window": 2, "learned_rates": True},
    "multi-step loss": {"multi_step_loss": 0.6},
    "norms alone": {"adapts": "film"},
    "summed batches": {"summed_batches": 2},
    "first order": {"first_order": True},
    "first order, all else": {
        "first_order": True, "start": "prototypes", "learned_rates": True, "multi_step_loss": 0.6, "window": 2,
    },
    "norms, all else": {
        "adapts": "film", "start": "prototypes", "learned_rates": True, "multi_step_loss": 1.0, "window": 2,
    },
}  # fmt: skip


def random_frames(count: int, seed: int, clip: tuple[int, ...] = ()) -> Tensor:
    """Smooth frames of different colors, because encodings of noise hardly differ."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randint(0, 256, (count, *clip, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return coarse.repeat_interleave(SIZE_PX // 4, dim=-1).repeat_interleave(SIZE_PX // 4, dim=-2)


def make_task(labels: tuple[int, ...] = (0, 1, 2, 0, 1), queries: int = 4, clip: tuple[int, ...] = ()) -> TaskPixels:
    way = max(labels) + 1
    return TaskPixels(
        support=random_frames(len(labels), 1, clip),
        support_labels=torch.tensor(labels),
        query=random_frames(queries, 2, clip),
        query_labels=torch.arange(queries) % way,
        way=way,
    )


TASKS = {
    "several a class": make_task(),
    "one image a class": make_task((0, 1, 2)),
    "one item in a class of many": make_task((0, 0, 0, 1), queries=1),
    "clips": make_task((0, 1, 0), clip=(3,)),
}
SMALL = make_task((0, 0, 1))


def make_recognizer(
    settings: dict[str, Any], *, extractor: Any = "learned", steps: int = STEPS, rate: float = RATE, **built: Any
) -> Recognizer:
    config = LearnerConfig(
        adapter="inner_loop", head="linear", extractor=extractor, steps=steps, step_lr=rate, adapter_settings=settings
    )
    backbone = built.pop("backbone", "tiny")
    return build_recognizer(config, backbone, weights="random", frame_size_px=SIZE_PX, **built).double()


def gradient(
    recognizer: Recognizer,
    task: TaskPixels,
    estimator: Estimator,
    *,
    h: int = 1,
    rng: int | np.random.Generator = 0,
    chunks: Chunks = UNEVEN,
    loss_scale: float = 1.0,
) -> tuple[TaskLoss, Parts]:
    """The loss and the gradient of each parameter."""
    recognizer.zero_grad(set_to_none=True)
    rng = np.random.default_rng(rng)
    loss = task_gradient(recognizer, task, h=h, rng=rng, estimator=estimator, chunks=chunks, loss_scale=loss_scale)
    return loss, {name: p.grad.clone() for name, p in recognizer.named_parameters() if p.grad is not None}


def apart(one: Parts, other: Parts) -> dict[str, float]:
    """|one - other| / |other| for each parameter."""
    assert one.keys() == other.keys() and one
    return {name: float((one[name] - other[name]).norm() / other[name].norm()) for name in one}


def furthest(one: Parts, other: Parts) -> float:
    return max(apart(one, other).values())


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("settings", SETTINGS)
def test_exact_is_full(settings: str, task: str) -> None:
    recognizer = make_recognizer(SETTINGS[settings])
    full_loss, full = gradient(recognizer, TASKS[task], "full", loss_scale=0.5)
    loss, exact = gradient(recognizer, TASKS[task], "exact", loss_scale=0.5)
    assert full.keys() == {name for name, value in recognizer.named_parameters() if value.requires_grad}
    assert ("adapter.head_rates.log_scales" in full) == SETTINGS[settings].get("learned_rates", False)
    assert furthest(exact, full) < 1e-9
    assert loss.loss == pytest.approx(full_loss.loss, rel=1e-9)
    assert loss.accuracy == full_loss.accuracy


def test_exact_is_full_through_batchnorm() -> None:
    recognizer = make_recognizer(
        {"start": "prototypes", "learned_rates": True}, backbone="resnet18", rate=1e-3, steps=2
    )
    task = make_task((0, 1), queries=1)
    exact, full = gradient(recognizer, task, "exact")[1], gradient(recognizer, task, "full")[1]
    assert furthest(exact, full) < 1e-9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_rates_are_learned_over_a_frozen_extractor(estimator: Estimator) -> None:
    recognizer = make_recognizer({"learned_rates": True, "start": "prototypes"}, extractor="frozen")
    found = gradient(recognizer, make_task(), estimator, h=5)[1]
    assert found.keys() == {"adapter.extractor_rates.log_scales", "adapter.head_rates.log_scales"}
    learned = gradient(make_recognizer({"learned_rates": True, "start": "prototypes"}), make_task(), "full")[1]
    assert furthest(found, {name: learned[name] for name in found}) < 1e-9


def written_out(recognizer: Recognizer, task: TaskPixels, own: dict[str, Any]) -> Tensor:
    """The query loss from the definitions, with one step per rate and one gradient per window."""
    extractor = recognizer.extractor
    film = own.get("adapts") == "film"
    every = dict(extractor.net.named_parameters())
    values = {name: p for name, p in every.items() if not film or any(p is v for v in norms(extractor.net))}

    def logits(values: dict[str, Tensor], head: list[Tensor], frames: Tensor) -> Tensor:
        features = functional_call(extractor.net, values, (extractor.pixels(frames),))
        return features @ head[0].T + head[1]

    head = [torch.zeros(task.way, 256).double(), torch.zeros(task.way).double()]
    if own.get("start") == "prototypes":
        features = extractor.net(extractor.pixels(task.support))
        means = torch.stack([features[task.support_labels == c].mean(dim=0) for c in range(task.way)])
        head = [2 * means, -means.square().sum(dim=1)]
    values = {name: value * 1 for name, value in values.items()}
    head = [value if value.requires_grad else value.requires_grad_() for value in head]
    adapter: Any = recognizer.adapter
    losses, names, window = [], list(values), own.get("window", 1)
    for first in range(0, STEPS, window):
        size = own.get("summed_batches", len(task.support))
        pieces = [slice(start, start + size) for start in range(0, len(task.support), size)]
        means = [F.cross_entropy(logits(values, head, task.support[p]), task.support_labels[p]) for p in pieces]
        found = torch.autograd.grad(sum(means), [*values.values(), *head], create_graph=True)  # type: ignore[arg-type]
        for step in range(first, min(first + window, STEPS)):
            rate, head_rate = adapter.extractor_rates.rates[step], adapter.head_rates.rates[step]
            values = {name: values[name] - rate * g for name, g in zip(names, found[:-2], strict=True)}
            head = [value - head_rate * g for value, g in zip(head, found[-2:], strict=True)]
        losses.append(F.cross_entropy(logits(values, head, task.query), task.query_labels))
    share = own.get("multi_step_loss", 0.0)
    return share * torch.stack(losses).mean() + (1 - share) * losses[-1]


def norms(net: torch.nn.Module) -> list[Tensor]:
    return [value for part in net.modules() if isinstance(part, torch.nn.GroupNorm) for value in part.parameters()]


@pytest.mark.parametrize("settings", [name for name, own in SETTINGS.items() if not own.get("first_order")])
def test_full_is_the_loop_written_out(settings: str) -> None:
    recognizer, task = make_recognizer(SETTINGS[settings]), make_task()
    recognizer.zero_grad(set_to_none=True)
    loss = written_out(recognizer, task, SETTINGS[settings])
    loss.backward()  # type: ignore[no-untyped-call]
    expected = {name: p.grad.clone() for name, p in recognizer.named_parameters() if p.grad is not None}
    found, full = gradient(recognizer, task, "full")
    assert furthest(full, expected) < 1e-9
    if "multi_step_loss" not in SETTINGS[settings]:  # then the returned loss is only that of the last step
        assert found.loss == pytest.approx(loss.item())


def test_first_order_is_the_query_gradient_where_the_loop_ends() -> None:
    """As in ORBIT's published code: adapt a copy, and add its query gradient to the model's."""
    recognizer, task = make_recognizer({"first_order": True}), make_task()
    fitted = recognizer.personalize(task.support, task.support_labels)
    assert fitted.state is not None
    leaves = {name: value.clone().requires_grad_() for name, value in fitted.state.items()}
    logits = fitted.head.logits(recognizer.extractor.encode(task.query, state=leaves))
    F.cross_entropy(logits, task.query_labels).backward()  # type: ignore[no-untyped-call]
    expected = {f"extractor.net.{name}": leaf.grad for name, leaf in leaves.items() if leaf.grad is not None}
    for estimator in ESTIMATORS:
        assert furthest(gradient(recognizer, task, estimator)[1], expected) < 1e-9
    second = gradient(make_recognizer({}), task, "exact")[1]
    assert furthest(second, expected) > 0.01  # otherwise this test could not distinguish them


def test_a_window_of_plain_steps_is_one_larger_step() -> None:
    windows = make_recognizer({"window": 3}, steps=6)
    larger = make_recognizer({}, steps=2, rate=3 * RATE)
    one, other = gradient(windows, make_task(), "exact"), gradient(larger, make_task(), "exact")
    assert one[0].loss == pytest.approx(other[0].loss, rel=1e-9)
    assert furthest(one[1], other[1]) < 1e-9


def test_learned_rates_of_a_window_move_together() -> None:
    found = gradient(make_recognizer(SETTINGS["windows"]), make_task(), "exact")[1]
    for rates in (found["adapter.head_rates.log_scales"], found["adapter.extractor_rates.log_scales"]):
        assert rates[0] == rates[1] != rates[2]


def test_a_window_that_does_not_divide_the_steps_leaves_a_shorter_last_one() -> None:
    adapter: Any = make_recognizer({"window": 2, "learned_rates": True}).adapter
    assert [float(size.detach()) for size in adapter.head_rates.sums()] == pytest.approx([2 * RATE, RATE])
    assert [window.windows for window in (adapter.head_rates, adapter.extractor_rates)] == [2, 2]
    of_all: Any = make_recognizer({"window": 9}).adapter
    assert [float(size) for size in of_all.head_rates.sums()] == pytest.approx([3 * RATE])


class Scripted(np.random.Generator):
    """Returns these subsets, one per draw."""

    def __init__(self, subsets: Iterable[tuple[int, ...]]) -> None:
        super().__init__(np.random.PCG64(0))
        self.left = list(subsets)

    def choice(self, *_: Any, **__: Any) -> Any:
        return np.array(self.left.pop(0))


def over_every_draw(recognizer: Recognizer, h: int, draws: int, *, shared: bool = False) -> Parts:
    """The mean of `lite` over all series of subsets, or over series of the same subset."""
    subsets = list(combinations(range(len(SMALL.support)), h))
    scripts = [(subset,) * draws for subset in subsets] if shared else list(product(subsets, repeat=draws))
    found = []
    for script in scripts:
        rng = Scripted(script)
        found.append(gradient(recognizer, SMALL, "lite", h=h, rng=rng)[1])
        assert not rng.left  # one per step, and one for the prototypes
    return {name: torch.stack([one[name] for one in found]).mean(dim=0) for name in found[0]}


# settings, steps, H, draws per gradient: one per window, and one for the prototypes
DRAWS = [
    ({}, 3, 2, 3),
    ({}, 2, 1, 2),
    ({"start": "prototypes", "learned_rates": True}, 1, 2, 2),
    ({"adapts": "film", "start": "prototypes", "learned_rates": True, "multi_step_loss": 0.6, "window": 2}, 3, 1, 3),
    ({"first_order": True, "start": "prototypes", "learned_rates": True}, 3, 1, 1),
    ({"summed_batches": 2}, 2, 1, 2),
]


@pytest.mark.parametrize(("settings", "steps", "h", "draws"), DRAWS)
def test_mean_of_lite_over_every_draw_is_full(settings: dict[str, Any], steps: int, h: int, draws: int) -> None:
    recognizer = make_recognizer(settings, steps=steps)
    full = gradient(recognizer, SMALL, "full")[1]
    assert furthest(over_every_draw(recognizer, h, draws), full) < 1e-9
    assert furthest(gradient(recognizer, SMALL, "lite", h=h)[1], full) > 1e-4  # a single draw differs


@pytest.mark.parametrize("settings", [{}, {"start": "prototypes"}])
def test_one_subset_for_every_step_would_be_biased(settings: dict[str, Any]) -> None:
    """Each step needs its own draw, because the gradient that reaches a step is a product of all later estimates."""
    recognizer, draws = make_recognizer(settings, rate=0.1, steps=2), 2 + len(settings)
    full = gradient(recognizer, SMALL, "full")[1]
    assert furthest(over_every_draw(recognizer, 1, draws, shared=True), full) > 0.01
    if not settings:
        assert furthest(over_every_draw(recognizer, 1, draws), full) < 1e-9


@pytest.mark.parametrize("settings", SETTINGS)
def test_h_of_all_or_more_is_exact(settings: str) -> None:
    recognizer = make_recognizer(SETTINGS[settings])
    exact = gradient(recognizer, make_task(), "exact")[1]
    assert furthest(gradient(recognizer, make_task(), "lite", h=1000)[1], exact) < 1e-9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_chunks_do_not_change_the_gradient(estimator: Estimator) -> None:
    recognizer = make_recognizer(SETTINGS["norms, all else"])
    whole = gradient(recognizer, make_task(), estimator, h=3, chunks=Chunks(100, 100, 100))[1]
    assert furthest(gradient(recognizer, make_task(), estimator, h=3, chunks=Chunks(1, 1, 1))[1], whole) < 1e-9


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_frozen_parameters_get_none_and_others_the_same(estimator: Estimator) -> None:
    recognizer, task = make_recognizer({"learned_rates": True}), make_task()
    whole = gradient(recognizer, task, estimator)[1]
    kept = "extractor.net.4.weight"
    for name, parameter in recognizer.named_parameters():
        parameter.requires_grad_(name == kept)
    found = gradient(recognizer, task, estimator)[1]
    assert found.keys() == {kept}
    torch.testing.assert_close(found[kept], whole[kept], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_gradients_of_tasks_add_up(estimator: Estimator) -> None:
    recognizer, tasks = make_recognizer(SETTINGS["norms, all else"]), (make_task(), make_task((1, 0, 0)))
    apart_found = [gradient(recognizer, task, estimator)[1] for task in tasks]
    recognizer.zero_grad(set_to_none=True)
    for task in tasks:
        rng = np.random.default_rng(0)
        task_gradient(recognizer, task, h=1, rng=rng, estimator=estimator, chunks=UNEVEN)
    together = {name: p.grad for name, p in recognizer.named_parameters() if p.grad is not None}
    assert furthest(together, {name: sum(one[name] for one in apart_found) for name in together}) < 1e-9  # type: ignore[misc]


class Kept:
    """A layer's tensors that a graph stores while it exists."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


@pytest.mark.parametrize("estimator", ["lite", "exact"])
@pytest.mark.parametrize("settings", ["second order", "norms, all else", "first order, all else"])
def test_one_chunks_graph_is_alive_at_a_time(settings: str, estimator: Estimator) -> None:
    """For any number of items and steps: when a chunk is encoded, no maps or filters of earlier chunks remain."""
    recognizer, alive = make_recognizer(SETTINGS[settings]), weakref.WeakSet[Kept]()
    left: list[int] = []

    def keep(tensor: Tensor) -> Kept | Tensor:
        if tensor.ndim != 4:  # prototypes and the head's weights are small and stored on purpose
            return tensor
        kept = Kept(tensor)
        alive.add(kept)
        return kept

    def hook(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        left.append(len(alive))
        assert len(inputs[0]) <= 3  # UNEVEN's largest chunk

    recognizer.extractor.net.register_forward_pre_hook(hook)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda kept: getattr(kept, "tensor", kept)):
        gradient(recognizer, make_task((0, 1, 2, 0, 1, 2, 0)), estimator, h=5)
    assert len(left) > 20 and max(left) == 0


@pytest.mark.parametrize(
    ("settings", "estimator", "passes"),
    [
        ({}, "exact", STEPS * (5 + 5) + 4),  # forward and backward steps; the query set
        ({}, "lite", STEPS * (5 + 2) + 4),
        ({"window": 2}, "lite", 2 * (5 + 2) + 4),
        ({"first_order": True}, "lite", STEPS * 5 + 4),
        ({"multi_step_loss": 0.5}, "lite", STEPS * (5 + 2 + 4)),
        ({"start": "prototypes"}, "lite", STEPS * (5 + 2) + 4 + 2),
    ],
)
def test_items_are_encoded_with_a_graph_as_often_as_the_docs_say(
    settings: dict[str, Any], estimator: Estimator, passes: int
) -> None:
    recognizer, counted = make_recognizer(settings), [0]

    def hook(_: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
        counted[0] += len(inputs[0]) * torch.is_grad_enabled()

    recognizer.extractor.net.register_forward_pre_hook(hook)
    gradient(recognizer, make_task(), estimator, h=2)
    assert counted[0] == passes


def test_the_loss_is_that_of_the_recognizer_that_is_fitted() -> None:
    recognizer, task = make_recognizer(SETTINGS["norms, all else"]), make_task()
    logits = recognizer.personalize(task.support, task.support_labels).logits(task.query)
    expected = F.cross_entropy(logits, task.query_labels).item()
    for estimator in ESTIMATORS:
        assert gradient(recognizer, task, estimator)[0].loss == pytest.approx(expected, rel=1e-9)


def test_bfloat16_gradients_are_near() -> None:
    recognizer, task = make_recognizer({"start": "prototypes"}, rate=1e-3).float(), make_task()
    full = gradient(recognizer, task, "full")[1]
    recognizer.zero_grad(set_to_none=True)
    task_gradient(recognizer, task, h=6, rng=np.random.default_rng(0), chunks=UNEVEN, bf16=True)
    found = {name: p.grad for name, p in recognizer.named_parameters() if p.grad is not None}
    flat = [torch.cat([value.flatten() for value in parts.values()]) for parts in (found, full)]
    assert all(value.dtype == torch.float32 for value in found.values())
    assert 0 < (flat[0] - flat[1]).norm() / flat[1].norm() < 0.4


@pytest.mark.parametrize("estimator", ["lite", "exact"])
def test_a_rate_that_diverges_names_the_step(estimator: Estimator) -> None:
    recognizer = make_recognizer({}, rate=1e30).float()
    with pytest.raises(NotFinite, match=r"support images: .* at inner step \d of 3; .*inner rates \(step_lr\)"):
        gradient(recognizer, make_task(), estimator)
    with pytest.raises(NotFinite, match=r"at inner step \d of 3"):
        recognizer.personalize(make_task().support, make_task().support_labels)
    last = make_recognizer({}, rate=1e200, steps=1)  # no later step's loss would show it
    with pytest.raises(NotFinite, match="at inner step 1 of 1"):
        gradient(last, make_task(), estimator)


def test_weights_of_the_multi_step_loss() -> None:
    assert query_weights(3, spread=0.0) == (0.0, 0.0, 1.0)
    assert query_weights(4, spread=1.0) == (0.25, 0.25, 0.25, 0.25)
    assert query_weights(2, spread=0.5) == (0.25, 0.75)
    assert query_weights(1, spread=0.7) == (1.0,)


def test_anils_loop_is_the_adapters_with_nothing_but_the_head() -> None:
    """Its gradient uses a graph over encodings, theirs uses products; both agree if the extractor's rate is nearly
    0."""
    for start, window, batch in product(("zeros", "prototypes"), (1, 2), (None, 2)):
        own = {"start": start, "window": window, "learned_rates": True, "summed_batches": batch}
        anil = LearnerConfig(head="inner_loop", extractor="learned", steps=STEPS, step_lr=RATE, head_settings=own)
        head_alone = build_recognizer(anil, "tiny", weights="random", frame_size_px=SIZE_PX).double()
        with_adapter = make_recognizer({**own, "extractor_lr_scale": 1e-300})
        one, other = (gradient(each, make_task(), "exact")[1] for each in (head_alone, with_adapter))
        other["head.rates.log_scales"] = other.pop("adapter.head_rates.log_scales")
        del other["adapter.extractor_rates.log_scales"]
        assert furthest(one, other) < 1e-9


def test_an_unknown_estimator_is_refused_as_elsewhere() -> None:
    with pytest.raises(UsageError, match="unknown estimator 'light'"):
        gradient(make_recognizer({}), make_task(), "light")  # type: ignore[arg-type]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize("settings", ["norms, all else", "first order, all else"])
def test_a_gpu_gives_the_cpus_gradient(settings: str, estimator: Estimator) -> None:
    """In float64, where TensorFloat-32 is not used; the pixels stay on their device."""
    loss, expected = gradient(make_recognizer(SETTINGS[settings]), make_task(), estimator, h=3)
    on_gpu, found = gradient(make_recognizer(SETTINGS[settings]).cuda(), make_task(), estimator, h=3)
    assert on_gpu.loss == pytest.approx(loss.loss, rel=1e-9)
    assert furthest({name: value.cpu() for name, value in found.items()}, expected) < 1e-9
