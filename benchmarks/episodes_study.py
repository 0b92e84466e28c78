"""Whole tasks with LITE, small tasks, or small images, in the same memory: a study of meta-training on drawn things.

    python -m benchmarks episodes-study --runs DIR

ProtoNets on `tiny`, from scratch: all of its weights learn from the tasks. (CNAPs and Simple CNAPs keep their
extractor frozen, and `tiny` has no weights to start from.) Each arm is an experiment under
configs/experiment/pocket-episodes, all with the same number of steps. Each epoch ends in a validation on whole tasks,
and the best weights of each run are asked about the same tasks of held-out sets. What memory an arm's gradient takes is
measured.

DIR keeps pictures and runs: the same command resumes there, run by run, and a run from its last checkpoint.
"""

import json
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.drawn_things import Things, draw_photos
from benchmarks.episodes_study_report import Run
from data_prep.making.images import ImageSettings, make_images
from data_prep.tree.layout import INDEX_NAME
from groundwork.errors import UsageError
from groundwork.files import is_part, write_json
from groundwork.progress import Progress
from groundwork.randomness import keyed_rng
from groundwork.strict_json import parse_json
from orbit_lite.costs.measuring import Work, added_peak_mb
from orbit_lite.data.pixels import TaskPixels
from orbit_lite.episode_plan import FixedEpisodes
from orbit_lite.evaluation.evaluate import EvaluateRequest, evaluate
from orbit_lite.models.checkpoint import build_from
from orbit_lite.models.choice import ModelChoice
from orbit_lite.models.task_gradient import task_gradient
from orbit_lite.training.experiment import ExperimentConfig, load_experiment
from orbit_lite.training.loop import STATE_NAME, gradient_chunks, train

CPU = torch.device("cpu")
ARMS: dict[str, str] = {
    "LITE": "pocket-episodes/protonets-tiny",
    "small task": "pocket-episodes/protonets-tiny-small-task",
    "no LITE": "pocket-episodes/protonets-tiny-no-lite-48",
}
SETTINGS_NAME, RESULT_NAME = "study.json", "result.json"
TASKS_SEED = 1991  # of the held-out tasks, which are the same for every run
WORKERS = 1


@dataclass(frozen=True)
class Workload:
    """How large the study is. tasks: of each held-out set. overrides: of every arm's experiment, `key=value`."""

    things: Things
    seeds: tuple[int, ...] = (0, 1, 2)
    tasks: int = 75
    overrides: tuple[str, ...] = ()


WHOLE = Workload(Things((12, 1, 8), classes=12, images=20))


def run(folder: Path, size: Workload = WHOLE) -> list[Run]:
    """All runs, every arm for each seed in turn; those that the folder has are read.

    Raises:
        UsageError: if the folder holds something else, or a study of another size.
        DataError: if a worker dies, or a run's files are not what they should be.
    """
    _claim(folder, size)
    draw_photos(folder / "photos", size.things)
    runs = []
    with Progress("runs", len(size.seeds) * len(ARMS)) as progress:
        for seed in size.seeds:
            for arm, name in ARMS.items():
                config = load_experiment(name, [*size.overrides, f"seed={seed}"])
                result = folder / "runs" / f"{arm.lower().replace(' ', '-')}-{seed}" / RESULT_NAME
                if result.is_file():
                    progress.skip(1)
                else:
                    found = _train_and_ask(arm, config, _tree(folder, config.frame_size_px), result.parent, size.tasks)
                    write_json(result, asdict(found))
                    progress.advance(note=f"{arm}, seed {seed}: {100 * found.accuracy:.1f} %")
                runs.append(Run(**parse_json(result.read_bytes())))
    return runs


def peak_mb(config: ExperimentConfig) -> float | None:
    """Megabytes that the gradient of one training task adds to a process that holds weights and images."""
    return added_peak_mb(partial(gradient_work, config), CPU)


def gradient_work(config: ExperimentConfig) -> Work:
    """Build recognizer and images; the work is one training task's gradient. Picklable as a partial."""
    recognizer = build_from(
        config.learner, config.backbone, weights=config.weights, seed=config.seed, frame_size_px=config.frame_size_px
    )
    plan = _plan(config)

    def work(shot: int, query: int) -> None:
        task_gradient(
            recognizer,
            _noise(plan.way, shot, query, config.frame_size_px),
            h=config.lite.h,
            rng=keyed_rng(0, "lite"),
            estimator=config.lite.estimator,
            chunks=gradient_chunks(config.lite, CPU),
        )

    work(1, 1)  # the first run of all also loads libraries and makes the gradients
    return partial(work, plan.shot, plan.query)


def _train_and_ask(arm: str, config: ExperimentConfig, tree: Path, folder: Path, tasks: int) -> Run:
    resumed = (folder / "train" / STATE_NAME).exists()
    started_s, started_cpu_s = time.monotonic(), time.process_time()
    trained = train(config, data=tree, out=folder / "train", workers=WORKERS, device=CPU)
    train_s, train_cpu_s = time.monotonic() - started_s, time.process_time() - started_cpu_s
    request = EvaluateRequest(
        model=ModelChoice(str(trained.best)),
        data=tree,
        protocol=config.validation.protocol,
        protocol_keys=config.validation.protocol_keys,
        split="test",
        seed=TASKS_SEED,
        tasks_per_user=tasks,
    )
    card = evaluate(request, folder / "test", workers=WORKERS, device=CPU)
    plan = _plan(config)
    support = plan.way * plan.shot
    return Run(
        arm=arm,
        seed=config.seed,
        frame_size_px=config.frame_size_px,
        support=support,
        with_gradient=min(config.lite.h, support) if config.lite.estimator == "lite" else support,
        peak_mb=peak_mb(config),
        steps=trained.steps,
        train_s=None if resumed else train_s,
        train_cpu_s=None if resumed else train_cpu_s,
        threads=torch.get_num_threads(),
        best_step=trained.best_step,
        validation=trained.validation_frame_accuracy or 0.0,
        task_accuracies=[task.frame_accuracy for task in card.per_task],
    )


def _tree(folder: Path, size_px: int) -> Path:
    """The photos as a frame tree of this size, made if it is not there."""
    tree = folder / f"frames-{size_px}"
    if not (tree / INDEX_NAME).is_file():
        make_images(folder / "photos", tree, settings=ImageSettings(size_px=size_px))
    return tree


def _noise(way: int, shot: int, query: int, size_px: int) -> TaskPixels:
    """A task of so many support and query images of each class; noise, which costs as much as pictures."""
    draw = torch.Generator().manual_seed(0)
    support, asked = (
        torch.randint(0, 256, (way * count, 3, size_px, size_px), dtype=torch.uint8, generator=draw)
        for count in (shot, query)
    )
    labels, asked_labels = (torch.arange(len(images)) % way for images in (support, asked))
    return TaskPixels(support, labels, asked, asked_labels, way)


def _plan(config: ExperimentConfig) -> FixedEpisodes:
    if not isinstance(config.tasks, FixedEpisodes):
        raise UsageError(f"experiment {config.name}: expected tasks of a fixed way and shot, to measure memory")
    return config.tasks


def _claim(folder: Path, size: Workload) -> None:
    """Make the folder this study's, or find that it is."""
    path, wanted = folder / SETTINGS_NAME, parse_json(json.dumps(asdict(size)))
    if path.is_file():
        if parse_json(path.read_bytes()) != wanted:
            raise UsageError(f"{folder}: holds a study of another size; name another folder")
    elif folder.is_dir() and any(not is_part(entry.name) for entry in folder.iterdir()):
        raise UsageError(f"{folder}: holds other things; the study needs a new or an empty folder")
    else:
        write_json(path, wanted)
