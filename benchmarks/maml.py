"""MAML: seconds and memory of one task's gradient through an inner loop, in the memory of one chunk or as one graph.

Weights and images are random: neither changes what is computed. Memory is what the gradient adds to a process that
holds recognizer and images already.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmarks.measure import Comparison, paired_seconds, peak_memory_mb
from groundwork.randomness import keyed_rng
from orbit_lite.costs.measuring import Work
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.learner import LearnerConfig
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.models.task_gradient import task_gradient

WAY = 5


@dataclass(frozen=True)
class Size:
    """A task of N support and M query images, and an inner loop of K steps in windows; `lite` uses `h` of the N."""

    backbone: str
    support: int
    query: int
    steps: int
    window: int = 1
    h: int = 8
    frame_size_px: int = 224

    def __str__(self) -> str:
        return f"maml, {self.backbone}, {self.frame_size_px} px, N={self.support}, M={self.query}, K={self.steps}"


# One graph takes about 140 MB for each image and step of efficientnet_lite0: this task leaves room on 16 GB.
SMALL = Size("efficientnet_lite0", support=12, query=12, steps=3)
LARGE = Size("efficientnet_lite0", support=40, query=40, steps=6)
Side = tuple[str, Callable[[], Work]]  # its name, and what prepares the work


def run(small: Size = SMALL, large: Size = LARGE, *, repeats: int = 1) -> list[Comparison]:
    """Exact beside one graph; then exact alone with more images and more steps, beside `lite`, and beside windows.

    repeats: of seconds. One gradient takes long enough to be measured once.
    """
    exact = partial(_side, estimator="exact")
    many, long = replace(large, support=5 * large.support), replace(large, steps=2 * large.steps)
    windows = replace(large, window=3)
    lite = _side(f"lite, H={large.h}", large, estimator="lite")
    return [
        _memory(small, exact("exact", small), _side("one graph", small, estimator="full")),
        _seconds(small, exact("exact", small), _side("one graph", small, estimator="full"), repeats),
        _memory(large, exact("exact", large), exact(f"exact, N={many.support}", many)),
        _memory(large, exact("exact", large), exact(f"exact, K={long.steps}", long)),
        _seconds(large, exact("exact", large), lite, repeats),
        _seconds(large, exact("exact", large), exact(f"exact, windows of {windows.window}", windows), repeats),
    ]


def gradient_work(size: Size, estimator: Estimator) -> Work:
    """Build recognizer and images; the work is one task's gradient. Picklable as a partial."""
    settings = {"window": size.window, "extractor_lr_scale": 0.1}
    loop = {"adapter": "inner_loop", "adapter_settings": settings, "steps": size.steps, "step_lr": 1e-3}
    learner = LearnerConfig.model_validate({"head": "linear", "extractor": "learned", **loop})
    recognizer = build_recognizer(learner, size.backbone, weights="random", frame_size_px=size.frame_size_px)
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


def _side(name: str, size: Size, *, estimator: Estimator) -> Side:
    return name, partial(gradient_work, size, estimator)


def _memory(size: Size, first: Side, second: Side) -> Comparison:
    sides = [(name, peak_memory_mb(prepare)) for name, prepare in (first, second)]
    return Comparison(str(size), "memory", "MB", torch.get_num_threads(), sides[0], sides[1])


def _seconds(size: Size, first: Side, second: Side, repeats: int) -> Comparison:
    spreads = paired_seconds(first[1](), second[1](), repeats=repeats, warm=False)
    sides = (first[0], spreads[0]), (second[0], spreads[1])
    return Comparison(str(size), "time", "s", torch.get_num_threads(), *sides)


def _frames(count: int, size_px: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(count)
    return torch.randint(0, 256, (count, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
