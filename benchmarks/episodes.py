"""Episodes on still images: plans drawn from an index of a million images, and 600 tasks predicted from stored
features.

Each is compared with its target in seconds or megabytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.measure import Comparison, Spread, peak_memory_mb, seconds_in_turn
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.stills import stills_id
from eval.formats.records import TaskSet
from groundwork.randomness import keyed_rng
from orbit_lite.config import load_episodes
from orbit_lite.data.episodes import EpisodeSampler
from orbit_lite.evaluation.episodes import predict_from_features
from orbit_lite.evaluation.source_work import SourceWork
from orbit_lite.models.recognizer import Recognizer, build_recognizer

DRAWN_BAR_S, PREDICTED_BAR_S, MEMORY_BAR_MB = 60.0, 60.0, 2000.0
HEADS = ("protonets", "ridge", "lda", "finetuner")
REPEATS = 3


@dataclass(frozen=True)
class Workload:
    """The sizes of both measurements."""

    images: int = 1_000_000
    classes: int = 1000
    sources: int = 8
    plans: int = 10_000
    tasks: int = 600
    images_of_class: int = 100
    heads: tuple[str, ...] = HEADS


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Compare the time and memory of drawing, and the time of each head."""
    setting = f"{size.plans} meta-dataset plans, one at a time, from an index of {size.images} images"
    draw = _draw_plans(size)
    (drawn_s,) = seconds_in_turn([draw], repeats=repeats, warm=False)
    memory = peak_memory_mb(partial(_index_and_draw, size))
    found = [
        _beside_bar(setting, "time", "s", DRAWN_BAR_S, "drawn", drawn_s),
        _beside_bar(f"{setting}, including the index's memory", "peak memory", "MB", MEMORY_BAR_MB, "drawn", memory),
    ]
    tasks = _few_shot_tasks(size)
    for head in size.heads:
        recognizer = build_recognizer(head, "efficientnet_lite0", weights="random")
        (predicted_s,) = seconds_in_turn([partial(_predict, recognizer, tasks)], repeats=repeats)
        setting = f"{size.tasks} tasks of 5-way 5-shot from stored features of efficientnet_lite0, {head}"
        found.append(_beside_bar(setting, "time", "s", PREDICTED_BAR_S, "fitted and predicted", predicted_s))
    return found


def _beside_bar(setting: str, metric: str, unit: str, bar: float, name: str, spread: Spread) -> Comparison:
    return Comparison(setting, metric, unit, torch.get_num_threads(), ("bar", Spread.of([bar])), (name, spread), 1.0)


def made_index(*, images: int, classes: int, sources: int, seed: int = 0) -> Index:
    """An index of still images that don't exist; the classes of a source differ in size by up to a factor of 20."""
    rows = []
    for place in range(sources):
        source, own = f"source{place}", classes // sources
        weights = keyed_rng(seed, source).uniform(1, 20, own)
        counts = (weights / weights.sum() * (images / sources)).round().astype(int)
        for number, count in enumerate(counts.tolist()):
            name = f"class {number:04d}"
            for image in range(count):
                video = f"{source}--{name.replace(' ', '-')}--clean--{stills_id(image)}"
                path = f"test/{source}/{name}/clean/{video}"
                rows.append(VideoRow("test", source, name, "clean", video, 1, path, f"{image:016x}"))
    return Index(Path("made"), "frames", tuple(rows))


def _draw_plans(size: Workload) -> Callable[[], None]:
    index = made_index(images=size.images, classes=size.classes, sources=size.sources)
    sampler = EpisodeSampler(index, load_episodes("meta-dataset"), split="test", seed=1)

    def draw() -> None:
        for number in range(size.plans):
            sampler.draw(sampler.users[number % len(sampler.users)], number)

    return draw


def _index_and_draw(size: Workload) -> Callable[[], None]:
    """Prepares nothing, so that the measured peak includes everything."""
    return lambda: _draw_plans(size)()


def _few_shot_tasks(size: Workload) -> TaskSet:
    index = made_index(images=20 * size.images_of_class, classes=20, sources=1)
    plan = load_episodes("episodes-5w5s", ["query=5"] if size.images_of_class < 40 else [])
    return EpisodeSampler(index, plan, split="test", seed=1).draw_all(tasks_per_user=size.tasks)


def _predict(recognizer: Recognizer, tasks: TaskSet) -> None:
    """Same as `evaluate`, after every image has been embedded."""
    (one,) = SourceWork.of(tasks.tasks[0].user, tasks.tasks, shares_features=True).rounds
    draw = torch.Generator().manual_seed(0)
    features = torch.randn(len(one.images), recognizer.extractor.width, generator=draw)
    predict_from_features(recognizer, one, features)
