"""Images embedded per second on a GPU, compared with the limits of its arithmetic and of its memory.

The arithmetic limit is the network's MACs divided by the rate of a large matrix product in the same precision. The
memory limit is the bytes that its layers read and write, if each runs by itself, divided by the rate of a large copy.
Both rates are measured in the same run. Weights and images are random, which does not change the computation.
"""

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.lite import EXTRACTORS
from benchmarks.measure import Comparison, Spread
from orbit_lite.costs.macs import frame_macs
from orbit_lite.models.recognizer import Recognizer, build_recognizer

BATCHES = (64, 256, 1024)
REPEATS = 3
MATRIX_SIDE = 8192
COPIED_BYTES = 4 * 10**9
COMPILED = "efficientnet_b0"  # compiling takes a minute per network


@dataclass(frozen=True)
class Limits:
    """The GPU's maximum rates: multiply-accumulates per second in either precision, and bytes moved per second.

    float32 has the rate of TF32, which PyTorch's convolutions use by default.
    """

    macs_float32: float
    macs_bfloat16: float
    bytes: float


def run_on_gpu() -> list[Comparison]:
    """Measure every published extractor; needs a GPU."""
    limits = measure_limits()
    return [comparison for backbone in EXTRACTORS for comparison in compare(backbone, limits)]


def measure_limits() -> Limits:
    """Measure a large matrix product in each precision, and a large copy."""
    rates = {}
    for dtype in (torch.float32, torch.bfloat16):
        left, right = (torch.randn(MATRIX_SIDE, MATRIX_SIDE, device="cuda", dtype=dtype) for _ in range(2))
        with _tf32():
            rates[dtype] = MATRIX_SIDE**3 / _seconds(partial(torch.matmul, left, right)).median
    source = torch.empty(COPIED_BYTES, dtype=torch.uint8, device="cuda")
    copied = 2 * COPIED_BYTES / _seconds(partial(torch.empty_like(source).copy_, source)).median
    return Limits(rates[torch.float32], rates[torch.bfloat16], copied)


def compare(backbone: str, limits: Limits) -> list[Comparison]:
    """Rates of one extractor by precision, batch size and memory format, each compared with the lower of its two
    limits."""
    recognizer = build_recognizer("protonets", backbone, weights="random").to("cuda")
    size_px = recognizer.extractor.frame_size_px
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (max(BATCHES), 3, size_px, size_px), dtype=torch.uint8, generator=draw).pin_memory()
    macs, traffic = frame_macs(recognizer, way=2)[0].ours, layer_values(recognizer)
    found = []

    def add(side: str, seconds: Spread, count: int, *, bf16: bool) -> None:
        arithmetic = (limits.macs_bfloat16 if bf16 else limits.macs_float32) / macs
        memory = limits.bytes / (traffic * (2 if bf16 else 4))
        name = "limit of arithmetic" if arithmetic < memory else "limit of memory, layer by layer"
        limit = Spread.of([min(arithmetic, memory)])
        setting = f"{backbone}, {size_px} px, {'bfloat16' if bf16 else 'float32'}"
        found.append(
            Comparison(setting, "rate", "images/s", torch.get_num_threads(), (name, limit), (side, seconds.rate(count)))
        )

    on_gpu = images.cuda()
    for bf16 in (False, True):
        for batch in BATCHES:
            work = partial(_encode, recognizer, on_gpu[:batch], bf16=bf16)
            add(f"kit, batches of {batch}", _seconds(work), batch, bf16=bf16)
        work = partial(_encode, recognizer, images, bf16=bf16)
        add(f"kit, batches of {len(images)}, from the host's memory", _seconds(work), len(images), bf16=bf16)
    if backbone == COMPILED:
        recognizer.extractor.net.to(memory_format=torch.contiguous_format)
        for bf16 in (False, True):
            work = partial(_encode, recognizer, on_gpu[:256], bf16=bf16)
            add("weights not channels_last, batches of 256", _seconds(work), 256, bf16=bf16)
        recognizer.extractor.net.to(memory_format=torch.channels_last)
        recognizer.extractor.net.compile()
        work = partial(_encode, recognizer, on_gpu[:256], bf16=True)
        add("compiled, batches of 256", _seconds(work), 256, bf16=True)
    return found


def layer_values(recognizer: Recognizer) -> int:
    """Numbers that the network's layers read and write for one image if each runs by itself, without weights, which the
    batch shares."""
    counts: list[int] = []

    def count(_: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(sum(value.numel() for value in inputs) + output.numel())

    leaves = [module for module in recognizer.extractor.net.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(count) for leaf in leaves]
    try:
        size_px = recognizer.extractor.frame_size_px
        with torch.no_grad():
            recognizer.extractor.encode(torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8))
    finally:
        for handle in handles:
            handle.remove()
    return sum(counts)


@contextmanager
def _tf32() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


@torch.no_grad()
def _encode(recognizer: Recognizer, images: Tensor, *, bf16: bool) -> None:
    recognizer.extractor.encode(images, bf16=bf16)


def _seconds(work: Callable[[], object]) -> Spread:
    """Time repeated runs, after two warm-up runs that choose kernels and fill caches."""
    gc.collect()
    for _ in range(2):
        work()
    seconds = []
    for _ in range(REPEATS):
        torch.cuda.synchronize()
        started_s = time.perf_counter()
        work()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started_s)
    return Spread.of(seconds)
