"""Images encoded per second by each engine, compared with PyTorch's eager mode in the same process.

Weights and images are random, which does not change the computation. Both sides of a comparison encode every image in
turn. It also reports how much an engine's features differ, since speed is worthless with wrong features.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from benchmarks.measure import REPEATS, Comparison, Spread, seconds_in_turn
from orbit_lite.models.engines import ENGINES
from orbit_lite.models.engines.encoder import Encoder
from orbit_lite.models.recognizer import build_recognizer

EAGER = "eager"
FEW = 100  # images of a small task


@dataclass(frozen=True)
class Workload:
    """Which backbones, and how many images in batches of `batch`."""

    backbones: Sequence[str] = ("efficientnet_lite0", "efficientnet_b0", "resnet18", "vit_s_32", "tiny")
    images: int = 64
    batch: int = 8


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Rates of all engines, largest differences of features, and the time to prepare an engine, compared with a small
    task."""
    return [comparison for backbone in size.backbones for comparison in _compare(backbone, size, repeats)]


def _compare(backbone: str, size: Workload, repeats: int) -> list[Comparison]:
    extractor = build_recognizer("protonets", backbone, weights="random").extractor
    draw = torch.Generator().manual_seed(0)
    size_px, threads = extractor.frame_size_px, torch.get_num_threads()
    images = torch.randint(0, 256, (size.images, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
    encoders: dict[str, Encoder] = {}
    prepare_s: dict[str, Spread] = {}
    for name, engine in ENGINES.items():
        engine.encoder(extractor, None)  # make what is cached once per network
        started = time.perf_counter()
        encoders[name] = engine.encoder(extractor, None)
        prepare_s[name] = Spread.of([time.perf_counter() - started])
    order = [EAGER, *(name for name in encoders if name != EAGER)]
    works = [partial(_encode_all, encoders[name], images, size.batch) for name in order]
    rates = {
        name: spread.rate(size.images)
        for name, spread in zip(order, seconds_in_turn(works, repeats=repeats), strict=True)
    }
    expected = _encode_all(encoders[EAGER], images[: size.batch], size.batch)
    setting = f"{backbone}, {size_px} px, batches of {size.batch}"
    found = []
    for name in order[1:]:
        off = (_encode_all(encoders[name], images[: size.batch], size.batch) - expected).abs().max() / expected.std()
        found += [
            Comparison(setting, "rate", "images/s", threads, (EAGER, rates[EAGER]), (name, rates[name])),
            Comparison(
                f"{setting}: largest difference from eager, in the features' standard deviation",
                "difference",
                "",
                threads,
                ("allowed", Spread.of([1e-4])),
                (name, Spread.of([float(off)])),
                at_most=1.0,
            ),
            Comparison(
                setting,
                "preparing an engine",
                "s",
                threads,
                (f"{EAGER}, {FEW} images", Spread.of([FEW / rates[EAGER].median])),
                (f"{name}, none yet", prepare_s[name]),
            ),
        ]
    return found


@torch.no_grad()
def _encode_all(encoder: Encoder, images: Tensor, batch: int) -> Tensor:
    return torch.cat([encoder(part) for part in images.split(batch)])
