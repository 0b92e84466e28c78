"""LITE: seconds and memory of one task's gradient, compared with one graph, the paper's algorithm, and the sum of its
parts.

Weights and images are random, which does not change the computation. Memory is what the gradient adds to a process that
already holds recognizer and images; on a GPU, what it adds to the weights. `lite-gpu` is the same on a GPU, in bfloat16
if training would use it; `steps-gpu` is a whole training step of one task with N = 1,000 images, for each learner on
each extractor.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.measure import REPEATS, Comparison, Spread, paired_seconds, peak_memory_mb
from groundwork.randomness import keyed_rng
from orbit_lite.costs.measuring import Work
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.models.adapters.film_generator import FilmAdapter
from orbit_lite.models.chunks import Chunks
from orbit_lite.models.gradients.chain import Encode
from orbit_lite.models.gradients.lite import Estimator
from orbit_lite.models.inputs import chunks_of
from orbit_lite.models.recognizer import Recognizer, build_recognizer
from orbit_lite.models.task_gradient import task_gradient
from orbit_lite.training.experiment import LiteConfig, OptimizerConfig
from orbit_lite.training.loop import gradient_chunks, in_bf16
from orbit_lite.training.optimizer import build_optimizer

WAY = 5


@dataclass(frozen=True)
class Workload:
    """A task with N support and M query images, of which LITE gives `h` support images a gradient; timed `repeats`
    times on `device`."""

    learner: str
    backbone: str
    support: int
    query: int
    h: int
    query_batch: int = 16
    frame_size_px: int = 224
    repeats: int = REPEATS
    device: str = "cpu"

    @property
    def chunks(self) -> Chunks:
        """The device's default chunks, except for the query batch."""
        return gradient_chunks(LiteConfig(query_batch=self.query_batch), torch.device(self.device))

    @property
    def bf16(self) -> bool:
        """Whether training on this device would use bfloat16."""
        return in_bf16(LiteConfig(), torch.device(self.device))

    def __str__(self) -> str:
        size = f"N={self.support}, M={self.query}, H={self.h}, query batch {self.query_batch}"
        return f"{self.learner}, {self.backbone}, {self.frame_size_px} px, {size}{', bfloat16' if self.bf16 else ''}"


# One graph over 132 images of 224 px takes 12 GB for efficientnet_b0, the most that fits on a machine with 16 GB.
SIZES = (
    Workload("protonets", "efficientnet_b0", support=100, query=32, h=16),
    Workload("cnaps", "efficientnet_b0", support=100, query=32, h=16),
)
# without inner loops of the extractor (maml), where one step takes as long as many of these
META_TRAINED = (
    "protonets",
    "protonets_cosine",
    "cnaps",
    "simple_cnaps",
    "ridge",
    "lda",
    "feat",
    "subspace",
    "anil",
    "anil_implicit",
)
EXTRACTORS = ("efficientnet_b0", "efficientnet_v2_s", "vit_s_32", "vit_b_32", "vit_b_32_clip")


def run_on_gpu() -> list[Comparison]:
    """The sizes of `run` on a GPU; needs one."""
    return run([replace(size, device="cuda") for size in SIZES])


def run_steps_on_gpu() -> list[Comparison]:
    """A training step on a task of ORBIT's size, for each meta-trained learner on each extractor; needs a GPU."""
    found = []
    for learner in META_TRAINED:
        for backbone in EXTRACTORS:
            size = Workload(learner, backbone, 1000, 500, h=16, query_batch=64, repeats=2, device="cuda")
            found += compare_steps(size)
    return found


def compare_steps(size: Workload) -> list[Comparison]:
    """A whole training step of one task, gradient and Adam: `lite` compared with `exact`."""
    works = [(estimator, partial(gradient_work, size, estimator, step=True)) for estimator in ("lite", "exact")]
    names = [f"{estimator}, one step" for estimator, _ in works]
    memory = [peak_memory_mb(work, device=size.device) for _, work in works]
    seconds = paired_seconds(*(work() for _, work in works), repeats=size.repeats)
    threads = torch.get_num_threads()
    return [
        Comparison(str(size), metric, unit, threads, (names[0], spreads[0]), (names[1], spreads[1]))
        for metric, unit, spreads in (("memory", "MB", memory), ("time", "s", seconds))
    ]


def run(sizes: Sequence[Workload] = SIZES) -> list[Comparison]:
    """For each size: LITE compared with one graph (only ProtoNets), with its parts, with the paper's algorithm, and
    with 10 times N."""
    return [comparison for size in sizes for comparison in _compare(size)]


def gradient_work(size: Workload, estimator: Estimator, *, step: bool = False) -> Work:
    """Build recognizer and images; the work is one task's gradient, and optionally a step of Adam. Picklable as a
    partial."""
    recognizer, pixels = _recognizer(size), _pixels(size)
    optimizer = build_optimizer(recognizer, OptimizerConfig(lr=1e-6)) if step else None

    def work() -> None:
        recognizer.zero_grad()
        task_gradient(
            recognizer,
            pixels,
            h=size.h,
            rng=keyed_rng(0, "lite"),
            estimator=estimator,
            chunks=size.chunks,
            bf16=size.bf16,
        )
        if optimizer:
            optimizer.step()

    return work


def parts_work(size: Workload) -> Work:
    """Only the parts that LITE needs: N forward passes; H and M forward and backward passes; for each encoder, except
    that the set encoder sees no queries."""
    recognizer, pixels = _recognizer(size), _pixels(size)
    extractor, adapter, chunks = recognizer.extractor, recognizer.adapter, size.chunks

    def forward(encode: Encode, images: Tensor, chunk: int, *, backward: bool) -> None:
        for part in chunks_of(images, chunk):
            with torch.set_grad_enabled(backward):
                features = encode(images[part])
            if backward:
                features.sum().backward()

    def work() -> None:
        recognizer.zero_grad()
        state = None
        if isinstance(adapter, FilmAdapter):
            encode = partial(adapter.encode, extractor, bf16=size.bf16)
            forward(encode, pixels.support, chunks.no_graph, backward=False)
            forward(encode, pixels.support[: size.h], chunks.with_graph, backward=True)
            film = adapter.film(extractor, torch.zeros(1, 64, device=recognizer.device)).items()
            state = {name: value.detach().requires_grad_() for name, value in film}
        encode = partial(extractor.encode, state=state, bf16=size.bf16)
        forward(encode, pixels.support, chunks.no_graph, backward=False)
        forward(encode, pixels.support[: size.h], chunks.with_graph, backward=True)
        forward(encode, pixels.query, chunks.query, backward=True)

    return work


def plain_work(size: Workload) -> Work:
    """The paper's algorithm 1 for ProtoNets: for every query batch, H support images are encoded again with graph and
    stay in memory with it; the others' encodings come from one pass without graph."""
    recognizer, pixels = _recognizer(size), _pixels(size)
    encode, chunks = partial(recognizer.extractor.encode, bf16=size.bf16), size.chunks
    labels, query_labels = (of.to(recognizer.device) for of in (pixels.support_labels, pixels.query_labels))

    def work() -> None:
        recognizer.zero_grad()
        drawn = torch.from_numpy(keyed_rng(0, "lite").choice(size.support, size.h, replace=False))
        with torch.no_grad():
            kept = torch.cat([encode(pixels.support[part]) for part in chunks_of(pixels.support, chunks.no_graph)])
        for part in chunks_of(pixels.query, chunks.query):
            again = encode(pixels.support[drawn])
            scaled = again.detach() + (again - again.detach()) * (size.support / size.h)
            head = recognizer.head.fit(kept.index_put((drawn.to(kept.device),), scaled), labels, way=WAY)
            logits = head.logits(encode(pixels.query[part]))
            loss = F.cross_entropy(logits, query_labels[part], reduction="sum") / size.query
            loss.backward()

    return work


def _compare(size: Workload) -> list[Comparison]:
    threads, large = torch.get_num_threads(), replace(size, support=10 * size.support)
    found = []

    def add(metric: str, unit: str, first: tuple[str, Spread], second: tuple[str, Spread]) -> None:
        found.append(Comparison(str(size), metric, unit, threads, first, second))

    lite = f"lite, N={size.support}"
    peak_mb = partial(peak_memory_mb, device=size.device)
    lite_mb = peak_mb(partial(gradient_work, size, "lite"))
    large_mb = peak_mb(partial(gradient_work, large, "lite"))
    exact_mb = peak_mb(partial(gradient_work, large, "exact"))
    add("memory", "MB", (lite, lite_mb), (f"lite, N={large.support}", large_mb))
    add("memory", "MB", (lite, lite_mb), (f"exact, N={large.support}", exact_mb))
    others = {"its separate parts": parts_work}
    if size.learner == "protonets":
        others["H again for every query batch"] = plain_work
        full_mb = peak_mb(partial(gradient_work, size, "full"))
        add("memory", "MB", (lite, lite_mb), ("one graph", full_mb))
        plain_mb = peak_mb(partial(plain_work, size))
        add("memory", "MB", (lite, lite_mb), ("H again for every query batch", plain_mb))
    else:  # two encoders' graph over all N does not fit on a machine with 16 GB, so use half of N
        half = replace(size, support=size.support // 2)
        half_mb = peak_mb(partial(gradient_work, half, "full"))
        add("memory", "MB", (lite, lite_mb), (f"one graph, N={half.support}", half_mb))
    for name, other in others.items():
        seconds = paired_seconds(gradient_work(size, "lite"), other(size), repeats=size.repeats)
        add("time", "s", (lite, seconds[0]), (name, seconds[1]))
    if size.learner == "protonets":
        # last, because this process may keep the memory of `full`
        seconds = paired_seconds(gradient_work(size, "lite"), gradient_work(size, "full"), repeats=size.repeats)
        add("time", "s", (lite, seconds[0]), ("one graph", seconds[1]))
    return found


def _recognizer(size: Workload) -> Recognizer:
    recognizer = build_recognizer(size.learner, size.backbone, weights="random", frame_size_px=size.frame_size_px)
    return recognizer.to(size.device)


def _pixels(size: Workload) -> TaskPixels:
    generator = torch.Generator().manual_seed(0)
    shape = (3, size.frame_size_px, size.frame_size_px)
    support, query = (
        torch.randint(0, 256, (count, *shape), dtype=torch.uint8, generator=generator)
        for count in (size.support, size.query)
    )
    labels = [torch.arange(count) % WAY for count in (size.support, size.query)]
    return TaskPixels(support, labels[0], query, labels[1], WAY)
