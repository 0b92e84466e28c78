"""iMAML's gradient on a small smooth network, compared with a dense Hessian and with finite differences."""

import weakref
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from groundwork.errors import UsageError
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.proximal import ProximalAdapter, ProximalSettings
from orbit_lite.models.backbones.tiny import TINY
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.extractor import Extractor
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.gradients.support_loss import SupportLoss
from orbit_lite.models.heads.linear import StepsHead
from orbit_lite.models.inputs import NotFinite, NotSolved
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

SIZE_PX, WIDTH = 32, 4
HOLD = 1.0  # far weaker than the default, with which such a small network would hardly adapt
UNEVEN = Chunks(no_graph=3, with_graph=2, query=3)
TIGHT = {"residual": 1e-8, "cg_tolerance": 1e-12}
Parts = dict[str, Tensor]


def small_net() -> nn.Module:
    return nn.Sequential(
        nn.AvgPool2d(8),
        nn.Conv2d(3, WIDTH, 2),
        nn.GroupNorm(2, WIDTH),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def make_recognizer(*, steps: int = 20, **settings: Any) -> Recognizer:
    torch.manual_seed(0)
    backbone = replace(TINY, name="small", width=WIDTH, build=small_net, norms=lambda net: ["2"])
    extractor = Extractor(backbone, small_net(), frame_size_px=SIZE_PX)
    learner = LearnerConfig(head="linear", adapter="proximal", extractor="learned", steps=steps, step_lr=0.1)
    adapter = ProximalAdapter(learner, ProximalSettings(**{"proximal": HOLD, **settings}), extractor)
    return Recognizer(extractor=extractor, adapter=adapter, head=StepsHead(1, 0.1), learner=learner).double()


def make_task(labels: tuple[int, ...] = (0, 1, 2, 0, 1), queries: int = 4, clip: tuple[int, ...] = ()) -> TaskPixels:
    def frames(count: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.randint(0, 256, (count, *clip, 3, 4, 4), generator=generator, dtype=torch.uint8)
        return coarse.repeat_interleave(SIZE_PX // 4, dim=-1).repeat_interleave(SIZE_PX // 4, dim=-2)

    way = max(labels) + 1
    answers = torch.arange(queries) % way
    return TaskPixels(frames(len(labels), 1), torch.tensor(labels), frames(queries, 2), answers, way)


TASKS = {
    "several a class": make_task(),
    "one image a class": make_task((0, 1, 2)),
    "one item in a class of many": make_task((0, 0, 0, 1), queries=1),
    "clips": make_task((0, 1, 0), clip=(3,)),
}


def gradient(recognizer: Recognizer, task: TaskPixels, estimator: Estimator, **more: Any) -> tuple[float, Parts]:
    recognizer.zero_grad(set_to_none=True)
    rng = np.random.default_rng(0)
    found = task_gradient(recognizer, task, h=1, rng=rng, estimator=estimator, chunks=UNEVEN, **more)
    return found.loss, {name: p.grad.clone() for name, p in recognizer.named_parameters() if p.grad is not None}


def furthest(one: Parts, other: Parts) -> float:
    assert one.keys() == other.keys() and one
    return max(float((one[name] - other[name]).norm() / other[name].norm()) for name in one)


@pytest.mark.parametrize(("adapts", "task"), [*(("all", task) for task in TASKS), ("film", "several a class")])
def test_exact_is_full(adapts: str, task: str) -> None:
    recognizer = make_recognizer(adapts=adapts, residual=1e-3, cg_tolerance=1e-12)
    full_loss, full = gradient(recognizer, TASKS[task], "full", loss_scale=0.5)
    loss, exact = gradient(recognizer, TASKS[task], "exact", loss_scale=0.5)
    assert full.keys() == {name for name, _ in recognizer.named_parameters()}
    assert furthest(exact, full) < 1e-9
    assert loss == pytest.approx(full_loss, rel=1e-9)


def test_exact_is_near_full_at_the_default_tolerances() -> None:
    full, exact = (gradient(make_recognizer(), make_task(), estimator)[1] for estimator in ("full", "exact"))
    assert furthest(exact, full) < 1e-4


def support_objective(recognizer: Recognizer, task: TaskPixels, values: Parts, head: list[Tensor]) -> Tensor:
    extractor = recognizer.extractor
    features = functional_call(extractor.net, values, (extractor.pixels(task.support),))
    own = dict(extractor.net.named_parameters())
    away = sum((value - own[name].detach()).square().sum() for name, value in values.items())
    away = away + sum(value.square().sum() for value in head)
    return F.cross_entropy(F.linear(features, *head), task.support_labels) + HOLD / 2 * away


@pytest.mark.parametrize("adapts", ["all", "film"])
def test_what_is_fitted_solves_the_problem_written_out(adapts: str) -> None:
    recognizer, task = make_recognizer(adapts=adapts, steps=50, **TIGHT), make_task()
    fitted = recognizer.personalize(task.support, task.support_labels, chunk=2)
    assert all(value.grad is None for value in recognizer.parameters())
    assert fitted.state is not None
    assert len(fitted.state) == (4 if adapts == "all" else 2)
    values = {name: value.clone().requires_grad_() for name, value in fitted.state.items()}
    head = [getattr(fitted.head, name).clone().requires_grad_() for name in ("weight", "bias")]
    support_objective(recognizer, task, values, head).backward()
    for value in (*values.values(), *head):
        assert value.grad is not None
        assert value.grad.norm() < 1e-7


@pytest.mark.parametrize("adapts", ["all", "film"])
def test_the_gradient_agrees_with_finite_differences(adapts: str) -> None:
    """Solves the problem again after moving the start; if only norms adapt, also after moving the other weights."""
    recognizer, task = make_recognizer(adapts=adapts, steps=60, residual=1e-10, cg_tolerance=1e-12), make_task()
    _, found = gradient(recognizer, task, "exact")

    def loss() -> float:
        fitted = recognizer.personalize(task.support, task.support_labels)
        return float(F.cross_entropy(fitted.logits(task.query), task.query_labels))

    draw = torch.Generator().manual_seed(3)
    for name, parameter in recognizer.named_parameters():
        direction = torch.randn(parameter.shape, generator=draw, dtype=torch.float64)
        sides = []
        for step in (1e-4, -2e-4):
            with torch.no_grad():
                parameter += step * direction
            sides.append(loss())
        with torch.no_grad():
            parameter += 1e-4 * direction
        slope = float((found[name] * direction).sum())
        assert (sides[0] - sides[1]) / 2e-4 == pytest.approx(slope, rel=1e-4, abs=1e-8)


def test_a_small_proximal_weight_is_far_from_first_order() -> None:
    """Otherwise the tests above would not test the linear system (I + H/l) v = dQ."""
    recognizer, task = make_recognizer(**TIGHT, steps=50), make_task()
    exact = gradient(recognizer, task, "exact")[1]
    first = make_recognizer(residual=1e-8, steps=50, cg_tolerance=None, most_cg_steps=1)
    assert furthest(gradient(first, task, "exact")[1], exact) > 0.1


def test_no_steps_to_the_solution_are_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of parameter sets in memory when a gradient is computed does not depend on the number of steps."""
    seen: list[weakref.ref[Tensor]] = []
    alive: list[int] = []
    taken = SupportLoss.gradient

    def count(self: SupportLoss, values: Any) -> Any:
        seen.append(weakref.ref(values[-1]))
        alive.append(sum(ref() is not None for ref in seen))
        return taken(self, values)

    monkeypatch.setattr(SupportLoss, "gradient", count)
    most = []
    for steps in (5, 25):
        seen.clear()
        alive.clear()
        gradient(make_recognizer(steps=steps, residual=None), make_task(), "exact")
        assert len(seen) == steps + 1
        most.append(max(alive))
    assert most[0] == most[1] <= 2


def test_lite_is_refused_with_the_reason() -> None:
    with pytest.raises(
        UsageError, match=r"^imaml has no estimator 'lite': .* would be biased; use lite.estimator=exact$"
    ):
        gradient(make_recognizer(), make_task(), "lite")


def test_full_is_refused_for_a_network_with_too_large_a_hessian() -> None:
    learner = LearnerConfig(
        head="linear", adapter="proximal", extractor="learned", steps=1, adapter_settings={"residual": None}
    )
    recognizer = build_recognizer(learner, "tiny", weights="random", frame_size_px=SIZE_PX)
    with pytest.raises(
        UsageError, match=r"'full' builds the matrix .*: 385,979 parameters adapt, but at most 5,000 can"
    ):
        gradient(recognizer, make_task(), "full")


def test_an_unsolved_problem_is_an_error_unless_allowed() -> None:
    words = r"^the inner problem of 5 support items .* after 2 steps: the residual is .*, expected at most 1e-06"
    with pytest.raises(NotSolved, match=words):
        gradient(make_recognizer(steps=2, residual=1e-6), make_task(), "exact")
    with pytest.raises(NotSolved, match=r"^the gradient through the inner problem: not solved after 2 steps"):
        gradient(make_recognizer(most_cg_steps=2), make_task(), "exact")
    as_published = make_recognizer(steps=16, residual=None, cg_tolerance=None, most_cg_steps=5)
    found = gradient(as_published, make_task(), "exact")[1]
    assert all(value.isfinite().all() for value in found.values())


def test_a_proximal_weight_too_small_for_convexity_is_an_error() -> None:
    """Where it stopped, the support loss has a negative curvature that exceeds the proximal weight."""
    recognizer = make_recognizer(proximal=1e-6, steps=1, residual=None)
    with pytest.raises(NotSolved, match=r"the matrix is not positive definite .*; a larger proximal weight"):
        gradient(recognizer, make_task(), "exact")


def test_weights_that_are_not_finite_are_found() -> None:
    recognizer = make_recognizer()
    with torch.no_grad():
        next(recognizer.parameters()).fill_(float("nan"))
    with pytest.raises(
        NotFinite, match="the loss is nan at inner step 1 of 20; the extractor's weights are not finite"
    ):
        gradient(recognizer, make_task(), "exact")
