"""Gradient-based learners: seconds and memory of one task's gradient, each compared with a limit.

The gradient is computed through an inner loop (maml), in the memory of one chunk or as one graph; through a solved head
(anil_implicit), compared with ProtoNets; and through a solved network (imaml) with two numbers of steps.

Images are random, and so are weights that don't change the computation. Memory is what the gradient adds to a process
that already holds recognizer and images. Everything runs on one thread per process, and times are CPU seconds, so
ratios hold while other work runs, and other processes can measure memory at the same time. It takes about half an hour
of CPU time in three processes.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from benchmarks.measure import Comparison, Spread, cpu_seconds, one_core, peak_memory_mb, seconds_in_turn
from groundwork.randomness import keyed_rng
from orbit_lite.costs.measuring import MEGABYTE, Work
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient

WAY = 5
EQUAL = 1.05  # the precision of two measurements of the same memory
# Settings that differ from the learners in configs/learner; ProtoNets and anil_implicit are unchanged.
LEARNERS: Mapping[str, Mapping[str, Any]] = {
    "maml": {"adapter": "inner_loop", "adapter_settings": {"extractor_lr_scale": 0.1}, "step_lr": 1e-3},
    # two steps of conjugate gradients, solved or not, since the cost of a step is the same
    "imaml": {
        "adapter": "proximal",
        "adapter_settings": {"residual": None, "cg_tolerance": None, "most_cg_steps": 2},
        "step_lr": 1e-2,
    },
}


@dataclass(frozen=True)
class Workload:
    """A task with N support and M query images, of which `lite` uses `h` support images. steps, window: of an inner
    loop."""

    learner: str
    backbone: str
    support: int
    query: int
    steps: int = 1
    window: int = 1
    h: int = 8
    weights: str = "random"
    frame_size_px: int = 224

    def __str__(self) -> str:
        of_loop = f", K={self.steps}" if self.learner in LEARNERS else f", H={self.h}"
        return f"{self.learner}, {self.backbone}, {self.frame_size_px} px, N={self.support}, M={self.query}{of_loop}"


# One graph takes about 140 MB per image and step of efficientnet_lite0, so this task fits into 16 GB.
SMALL = Workload("maml", "efficientnet_lite0", support=12, query=12, steps=3)
LARGE = Workload("maml", "efficientnet_lite0", support=40, query=40, steps=6)
# pretrained features, since they affect the time to solve a head
SOLVED = Workload("anil_implicit", "efficientnet_lite0", support=40, query=40, weights="pretrained")
PROXIMAL = Workload("imaml", "efficientnet_lite0", support=8, query=8, steps=3)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: its name and its computation."""

    name: str
    size: Workload
    estimator: Estimator = "exact"


def run(
    small: Workload = SMALL,
    large: Workload = LARGE,
    solved: Workload = SOLVED,
    proximal: Workload = PROXIMAL,
    *,
    repeats: int = 3,
) -> list[Comparison]:
    """Measure both sides of every comparison. repeats: of timings; the large task takes long enough for one."""
    one_graph, exact = Side("one graph", small, "full"), Side("exact", small)
    usual = Side("exact", large)
    many = Side(f"exact, N={5 * large.support}", replace(large, support=5 * large.support))
    long = Side(f"exact, K={2 * large.steps}", replace(large, steps=2 * large.steps))
    lite = Side(f"lite, H={large.h}", large, "lite")
    windows = Side("exact, windows of 3", replace(large, window=3))
    prototypes = Side("protonets", replace(solved, learner="protonets"), "lite")
    implicit = Side("anil_implicit", solved, "lite")
    few, more = (
        Side("exact", proximal),
        Side(f"exact, K={4 * proximal.steps}", replace(proximal, steps=4 * proximal.steps)),
    )

    often = 2 * repeats + 1  # short work varies too much for a single measurement

    with one_core(), ThreadPoolExecutor(2) as pool:
        # two processes at a time, longest first: other processes change neither memory nor CPU seconds
        sides = [many, long, usual, one_graph, exact, prototypes, implicit, few, more]
        measured = pool.map(partial(_peak, repeats={prototypes: often, implicit: often}), sides)
        times = dict(_times([usual, lite, windows], repeats=1))
        times |= _times([implicit, prototypes], repeats=often)
        # last, because this process may keep the memory of one graph
        times |= _times([exact, one_graph], repeats=repeats)
        peaks = dict(zip(sides, measured, strict=True))

    kept = _kept_mb(large) * large.steps
    with_kept = replace(usual, name=f"exact, and {large.steps} more sets of parameters ({kept:.0f} MB)")
    plus = Spread.of([peaks[usual].median + kept])
    memory, time = partial(_compare, "memory", "MB"), partial(_compare, "CPU time", "s")
    return [
        memory(one_graph, exact, peaks, at_most=0.25),
        time(one_graph, exact, times, at_most=1.6),
        memory(usual, many, peaks, at_most=1.15),
        memory(with_kept, long, peaks | {with_kept: plus}, at_most=1.15),
        time(usual, lite, times, at_most=0.6),
        time(usual, windows, times, at_most=0.45),
        memory(prototypes, implicit, peaks, at_most=EQUAL),
        time(prototypes, implicit, times, at_most=1.1),
        memory(few, more, peaks, at_most=EQUAL),
    ]


def gradient_work(size: Workload, estimator: Estimator) -> Work:
    """Build recognizer and images; the work is one task's gradient. Picklable as a partial."""
    recognizer = _recognizer(size)
    pixels = TaskPixels(
        support=_frames(size.support, size.frame_size_px),
        support_labels=torch.arange(size.support) % WAY,
        query=_frames(size.query, size.frame_size_px),
        query_labels=torch.arange(size.query) % WAY,
        way=WAY,
    )

    def work() -> None:
        recognizer.zero_grad()
        task_gradient(recognizer, pixels, h=size.h, rng=keyed_rng(0, "maml"), estimator=estimator)

    return work


def _recognizer(size: Workload) -> Recognizer:
    learner: str | LearnerConfig = size.learner
    if size.learner in LEARNERS:
        loop = {"head": "linear", "extractor": "learned", "steps": size.steps, **LEARNERS[size.learner]}
        if size.window > 1:
            loop["adapter_settings"] = {**loop["adapter_settings"], "window": size.window}
        learner = LearnerConfig.model_validate(loop)
    return build_recognizer(learner, size.backbone, weights=size.weights, frame_size_px=size.frame_size_px)


def _frames(count: int, size_px: int) -> torch.Tensor:
    """Patches of random colors: pure noise would give nearly identical features."""
    draw = torch.Generator().manual_seed(count)
    coarse = torch.randint(0, 256, (count, 3, 8, 8), dtype=torch.uint8, generator=draw)
    times = -(-size_px // 8)
    return coarse.repeat_interleave(times, dim=2).repeat_interleave(times, dim=3)[..., :size_px, :size_px].contiguous()


def _peak(side: Side, *, repeats: Mapping[Side, int]) -> Spread:
    return peak_memory_mb(partial(_on_one_thread, side), repeats=repeats.get(side, 1))


def _on_one_thread(side: Side) -> Work:
    """Prepare the work on one thread, for a separate process."""
    torch.set_num_threads(1)
    return gradient_work(side.size, side.estimator)


def _times(sides: Sequence[Side], *, repeats: int) -> dict[Side, Spread]:
    works = [gradient_work(side.size, side.estimator) for side in sides]
    spreads = seconds_in_turn(works, repeats=repeats, warm=repeats > 1, seconds=cpu_seconds)
    return dict(zip(sides, spreads, strict=True))


def _kept_mb(size: Workload) -> float:
    """The megabytes of one set of adapting parameters: the extractor's, and the head's weight and bias."""
    extractor = _recognizer(size).extractor
    numbers = sum(value.numel() for value in extractor.net.parameters()) + WAY * (extractor.width + 1)
    return numbers * torch.finfo(torch.float32).bits / 8 / MEGABYTE


def _compare(
    metric: str, unit: str, first: Side, second: Side, found: Mapping[Side, Spread], *, at_most: float
) -> Comparison:
    sides = [(side.name, found[side]) for side in (first, second)]
    return Comparison(str(first.size), metric, unit, 1, sides[0], sides[1], at_most=at_most)
