"""LITE: one task's gradient, its seconds and its memory, against one graph over the whole task; and at 4 times the N.

Weights and images are random: neither changes what is computed. Memory is what the gradient adds to a process that
holds recogniser and images already, so the images' own bytes are not in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from benchmarks.measure import REPEATS, Comparison, Work, paired_seconds, peak_memory_mb
from groundwork.randomness import keyed_rng
from orbit_lite.models.lite import Estimator, TaskPixels, task_gradient
from orbit_lite.models.recognizer import build_recognizer

WAY = 5


@dataclass(frozen=True)
class Size:
    """A task: N support and M query images; LITE gives `h` of the N a gradient. Timed `repeats` times."""

    backbone: str
    support: int
    query: int
    h: int
    frame_size_px: int = 224
    repeats: int = REPEATS

    def __str__(self) -> str:
        size = f"N={self.support}, M={self.query}, H={self.h}"
        return f"{self.backbone}, {self.frame_size_px} px, {size}"


# One graph over 132 images of 224 px is 12 GB for efficientnet_b0: a machine of 16 GB has room for no more.
# `tiny` takes a tenth of a second, so that anything else the machine does shows: it is timed more often.
SIZES = (
    Size("efficientnet_b0", support=100, query=32, h=16),
    Size("tiny", support=100, query=32, h=16, repeats=15),
)


def run(sizes: Sequence[Size] = SIZES) -> list[Comparison]:
    """Three comparisons a size: seconds and memory of `lite` and `full`, and memory of `lite` at N and at 4 N."""
    return [comparison for size in sizes for comparison in _compare(size)]


def gradient_work(size: Size, estimator: Estimator) -> Work:
    """Build recogniser and images; the work is one task's gradient. Picklable as a partial."""
    recognizer = build_recognizer("protonets", size.backbone, weights="random", frame_size_px=size.frame_size_px)
    pixels = _pixels(size)

    def work() -> None:
        recognizer.zero_grad()
        task_gradient(recognizer, pixels, h=size.h, rng=keyed_rng(0, "lite"), estimator=estimator)

    return work


def _compare(size: Size) -> list[Comparison]:
    threads, large = torch.get_num_threads(), replace(size, support=4 * size.support)
    lite_mb = peak_memory_mb(partial(gradient_work, size, "lite"))
    full_mb = peak_memory_mb(partial(gradient_work, size, "full"))
    large_mb = peak_memory_mb(partial(gradient_work, large, "lite"))
    # after the memory: this process may keep what `full` took, and the next process needs as much again
    lite_s, full_s = paired_seconds(gradient_work(size, "lite"), gradient_work(size, "full"), repeats=size.repeats)
    names = f"lite N={size.support}", f"lite N={large.support}"
    return [
        Comparison(str(size), "time", "s", threads, ("lite", lite_s), ("full", full_s)),
        Comparison(str(size), "memory", "MB", threads, ("lite", lite_mb), ("full", full_mb)),
        Comparison(str(size), "memory as N grows", "MB", threads, (names[0], lite_mb), (names[1], large_mb)),
    ]


def _pixels(size: Size) -> TaskPixels:
    generator = torch.Generator().manual_seed(0)
    shape = (3, size.frame_size_px, size.frame_size_px)
    support, query = (
        torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
        for count in (size.support, size.query)
    )
    labels = [torch.arange(count) % WAY for count in (size.support, size.query)]
    return TaskPixels(support, labels[0], query, labels[1], WAY)
