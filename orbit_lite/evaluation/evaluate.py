"""Tasks, predictions, scorecard and report of one model on one tree, in one run folder."""

import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.index import open_index
from data_prep.video import encode_jpeg
from eval.by_annotation import AnnotationFacts
from eval.formats.records import (
    Scorecard,
    TaskSet,
    read_predictions,
    read_scorecard,
    read_tasks,
    tasks_fingerprint,
    write_predictions,
    write_tasks,
)
from eval.formats.scorecard import Cost
from eval.score import ENGINE, FILTER_STAY
from eval.verbs import SCORECARD_NAME, TASKS_FINGERPRINT, report_run, score_files
from groundwork.errors import DataError
from groundwork.words import counted
from orbit_lite.config import TaskPlan, as_written_now, load_protocol
from orbit_lite.costs.seconds import time_personalizing
from orbit_lite.data.drawing import Drawer, open_drawer
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.evaluation.causal_filter import CausalFilter, refuse_time_order
from orbit_lite.evaluation.engine import settle_for_run
from orbit_lite.evaluation.facts import annotation_facts, personalize_cost
from orbit_lite.evaluation.portions import SUFFIX, Portion, portions_of
from orbit_lite.evaluation.predict import predict_users
from orbit_lite.models.checkpoint import read_checkpoint_info
from orbit_lite.models.choice import ModelChoice
from orbit_lite.runs.folder import RunFolder, versions
from orbit_lite.runs.ranks import joined_ranks

TASKS_NAME, PREDICTIONS_NAME = "tasks.jsonl", "predictions.parquet"
PARTS_NAME = ".parts"
MOST_SIZES = 40  # of episodes, that MACs are counted for; episodes of random sizes have hundreds
SECONDS_NAME = "seconds_to_personalize.csv"
SECONDS_NAMES = (SECONDS_NAME, "seconds_to_personalise.csv")  # and what earlier releases called it


@dataclass(frozen=True)
class EvaluateRequest:
    """One evaluation: which model, on which tree, by which protocol; each frame by itself, or with a causal filter.

    Attributes:
        tasks: how many in total, in place of tasks_per_user.
        protocol_keys: `key=value` in place of the protocol's own.
        engine: what runs the extractor, a name in ENGINES; None: the faster one, or the one that the run started with.
    """

    model: ModelChoice
    data: Path
    protocol: str
    split: str
    seed: int
    tasks_per_user: int | None = None
    tasks: int | None = None
    protocol_keys: tuple[str, ...] = ()
    causal_filter: CausalFilter | None = None
    engine: str | None = None


def evaluate(
    request: EvaluateRequest,
    out: Path,
    *,
    workers: int,
    device: torch.device,
    plain: bool = False,
    thumbnails: bool = False,
    timed: bool = False,
) -> Scorecard:
    """Run what is not done yet, and leave tasks.jsonl, predictions.parquet, scorecard.json, report.html.

    A run that was cut off resumes with the portions of the tasks that have no predictions yet (see `portions_of`).
    Started by torchrun, the portions are dealt over the ranks; the first one writes all else.

    Args:
        plain: predict each task by itself (see `predict_users`).
        thumbnails: put frames into the report, which then holds pictures of people's homes.
        timed: measure seconds to personalize, too. Without it the same request gives the same scorecard, byte for byte.

    Raises:
        UsageError: if `out` holds another run, or another process is at it, or the request names something unknown.
        DataError: if the data or the checkpoint is not what it should be.
    """
    with joined_ranks(device) as ranks:
        recognizer = request.model.load().to(ranks.device)
        index = ranks.after_first(lambda: open_index(request.data))
        annotations = TreeAnnotations(index)
        plan = load_protocol(request.protocol, request.protocol_keys)
        single_images = not isinstance(plan, TaskPlan)
        refuse_time_order(plan.name, request.causal_filter, single_images=single_images, thumbnails=thumbnails)
        drawer = open_drawer(index, plan, split=request.split, seed=request.seed, annotations=annotations)
        # All that scoring reads, so that what is wrong is found before anything is predicted.
        annotations.read_all(drawer.split, quiet=not ranks.first)
        settings = {
            "command": "evaluate",
            "model": request.model.describe(),
            "protocol": drawer.plan.model_dump(mode="json"),
            "split": drawer.split,
            "seed": request.seed,
            **_numbers_of_tasks(request, drawer),
            "data_fingerprint": index.fingerprint,
            **filter_note(request.causal_filter),
        }
        engine = settle_for_run(
            recognizer,
            request.engine,
            out,
            ranks,
            frames=drawer.frames,
            states=len(drawer.users),
            finished=(out / PREDICTIONS_NAME).exists(),
        )
        machine = ranks.machine(workers=workers, engine=engine)
        held = RunFolder.held(out, settings, machine=machine, as_now=evaluation_as_written_now)
        with ranks.by_first(held) as run:
            tasks, predictions = out / TASKS_NAME, out / PREDICTIONS_NAME
            if run:
                drawn = drawer.draw_all(tasks_per_user=request.tasks_per_user, tasks=request.tasks)
                keep_tasks(run, tasks, drawn)
            ranks.wait()
            task_set = read_tasks(tasks)
            source = open_frames(index, size_px=recognizer.extractor.frame_size_px)
            portions = portions_of(task_set, shares_features=recognizer.shares_features)
            note = provenance(request.model, task_set, engine, request.causal_filter)
            parts = PredictedParts(out / PARTS_NAME, note, portions)
            if not predictions.exists():
                done = parts.done()
                if run and done:
                    run.goes_on(f"predicted before: {parts.describe(done)}")
                elif run:
                    run.starts()
                ranks.wait()  # all have looked before the first writes
                tables = predict_users(
                    recognizer,
                    task_set,
                    index,
                    source,
                    done=done,
                    ranks=ranks,
                    workers=workers,
                    plain=plain,
                    causal_filter=request.causal_filter,
                )
                for table in tables:
                    parts.write(table)
                ranks.wait()
            if run and not predictions.exists():
                parts.merge(predictions)
                run.say(f"predictions: {predictions}")
            if run:
                facts = annotation_facts(annotations, drawer.split, task_set.tasks)
                seconds = time_personalizing(recognizer, task_set.tasks, source, out / SECONDS_NAME) if timed else ()
                cost = personalize_cost(
                    recognizer,
                    task_set.tasks,
                    seconds,
                    causal_filter=request.causal_filter,
                    most_sizes=MOST_SIZES if single_images else None,
                )
                score_and_report(run, cost=cost, facts=facts, shown=source if thumbnails else None)
            ranks.wait()
            return read_scorecard(out / SCORECARD_NAME)


def evaluation_as_written_now(found: Mapping[str, Any]) -> dict[str, Any]:
    """What an earlier release wrote of an evaluation, with the keys that protocols have had added since."""
    return {**found, "protocol": as_written_now(found.get("protocol"), TaskPlan)}


def _numbers_of_tasks(request: EvaluateRequest, drawer: Drawer) -> dict[str, int | None]:
    """How many tasks a run has, as its record says it."""
    if request.tasks_per_user is None and (tasks := request.tasks or drawer.plan.tasks):
        return {"tasks": tasks}
    return {"tasks_per_user": request.tasks_per_user or drawer.plan.tasks_per_user}


def keep_tasks(run: RunFolder, path: Path, drawn: TaskSet) -> None:
    """Write a run's tasks, once.

    Raises:
        DataError: if others are there: then the file was altered.
    """
    if not path.exists():
        write_tasks(path, drawn)
        run.say(f"tasks drawn: {path}")
    elif tasks_fingerprint(read_tasks(path)) != tasks_fingerprint(drawn):
        raise DataError(f"{path}: altered: not the tasks of this run; restore it, or delete {run.path}")


def score_and_report(
    run: RunFolder, *, cost: Cost | None, facts: AnnotationFacts | None, shown: FrameSource | None
) -> None:
    """Tasks and predictions of a run to its scorecard and report. `shown` gives frames to the report; None: none."""
    files = (run.path / name for name in (TASKS_NAME, PREDICTIONS_NAME, SCORECARD_NAME))
    score_files(*files, cost=cost, facts=facts)
    report_run(run.path, thumbnails=partial(_thumbnail, shown) if shown else None)
    run.say(f"report: {run.path / 'report.html'}")


@dataclass(frozen=True)
class PredictedParts:
    """Predictions portion by portion, each file whole or not at all, until all of them are one file."""

    folder: Path
    metadata: dict[str, str]
    portions: Sequence[Portion]

    def done(self) -> set[str]:
        """Names of the portions that have theirs."""
        return {portion.name for portion in self.portions if self._path(portion).is_file()}

    def describe(self, done: Collection[str]) -> str:
        """How many of the users these are, or where users have several portions, of the tasks."""
        if all(portion.name == portion.user for portion in self.portions):
            return f"{len(done)} of {counted(len(self.portions), 'user')}"
        tasks = sum(len(portion.tasks) for portion in self.portions if portion.name in done)
        return f"{tasks} of {counted(sum(len(portion.tasks) for portion in self.portions), 'task')}"

    def write(self, table: pd.DataFrame) -> None:
        """Keep one portion's predictions."""
        first = str(table.user.iloc[0]), int(table.task.iloc[0])
        (portion,) = (one for one in self.portions if (one.user, one.tasks[0].task) == first)
        write_predictions(self._path(portion), table, metadata=self.metadata)

    def merge(self, path: Path) -> None:
        """Write all predictions, in the order of the tasks, and let the parts go."""
        files = map(self._path, self.portions)
        tables = [read_predictions(file).astype({"user": str, "video": str}) for file in files]
        write_predictions(path, pd.concat(tables, ignore_index=True), metadata=self.metadata)
        shutil.rmtree(self.folder)

    def _path(self, portion: Portion) -> Path:
        return self.folder / f"{portion.name}{SUFFIX}"


def _thumbnail(source: FrameSource, video: str, frame: int) -> bytes:
    return encode_jpeg(source.read(video, [frame])[0])


def filter_note(causal_filter: CausalFilter | None) -> dict[str, str]:
    """What a record says of a filter; nothing without one."""
    return {FILTER_STAY: repr(causal_filter.stay)} if causal_filter else {}  # no two are written alike


def provenance(
    model: ModelChoice, tasks: TaskSet, engine: str, causal_filter: CausalFilter | None = None
) -> dict[str, str]:
    """Where predictions come from, for the parquet file's own metadata: texts by name."""
    described = {key: str(value) for key, value in model.describe().items()}
    if "checkpoint" in described:
        info = read_checkpoint_info(model.model)
        described |= {"learner": info.learner.name, "backbone": info.backbone}
    return (
        described
        | versions()
        | {ENGINE: engine}
        | filter_note(causal_filter)
        | {TASKS_FINGERPRINT: tasks_fingerprint(tasks)}
    )
