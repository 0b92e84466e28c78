"""Makes tasks, predictions, scorecard and report of one model on one tree, in one run folder."""

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
from orbit_lite.config import TaskPlan, load_protocol, with_new_keys
from orbit_lite.costs.seconds import time_personalizing
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.data.samplers import Sampler, open_sampler
from orbit_lite.evaluation.causal_filter import CausalFilter, refuse_time_order
from orbit_lite.evaluation.engine import choose_run_engine
from orbit_lite.evaluation.facts import annotation_facts, personalize_cost
from orbit_lite.evaluation.portions import Portion, portions_of
from orbit_lite.evaluation.predict import predict_users
from orbit_lite.models.checkpoint import read_checkpoint_info
from orbit_lite.models.choice import ModelChoice
from orbit_lite.runs.folder import RunFolder, versions
from orbit_lite.runs.ranks import joined_ranks

TASKS_NAME, PREDICTIONS_NAME = "tasks.jsonl", "predictions.parquet"
PARTS_NAME = ".parts"
MOST_SIZES = 40  # the most episode sizes that MACs are counted for; random episodes have hundreds of sizes
SECONDS_NAME = "seconds_to_personalize.csv"
SECONDS_NAMES = (SECONDS_NAME, "seconds_to_personalise.csv")  # also the name in earlier releases


@dataclass(frozen=True)
class EvaluateRequest:
    """One evaluation: a model, a tree, a protocol, and optionally a causal filter over frames.

    Attributes:
        tasks: total number of tasks, instead of tasks_per_user.
        protocol_keys: `key=value` overrides of the protocol.
        engine: a name in ENGINES; None: the faster one, or the one that the run started with.
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
    """Do what is not done yet, and write tasks.jsonl, predictions.parquet, scorecard.json and report.html.

    An interrupted run resumes with the portions of the tasks that have no predictions yet (see `portions_of`). Under
    torchrun the portions are divided among the ranks, and the first rank writes everything else.

    Args:
        plain: predict each task separately (see `predict_users`).
        thumbnails: put frames into the report, which then shows people's homes.
        timed: also measure the seconds to personalize. Without it, the same request gives the same scorecard, byte for
            byte.

    Raises:
        UsageError: if `out` holds another run, another process is using it, or the request names something unknown.
        DataError: if the data or the checkpoint is invalid.
    """
    with joined_ranks(device) as ranks:
        recognizer = request.model.load().to(ranks.device)
        index = ranks.after_first(lambda: open_index(request.data))
        annotations = TreeAnnotations(index)
        plan = load_protocol(request.protocol, request.protocol_keys)
        single_images = not isinstance(plan, TaskPlan)
        refuse_time_order(plan.name, request.causal_filter, single_images=single_images, thumbnails=thumbnails)
        sampler = open_sampler(index, plan, split=request.split, seed=request.seed, annotations=annotations)
        # Read all annotations now, so that errors in them are found before anything is predicted.
        annotations.read_all(sampler.split, quiet=not ranks.first)
        settings = {
            "command": "evaluate",
            "model": request.model.describe(),
            "protocol": sampler.plan.model_dump(mode="json"),
            "split": sampler.split,
            "seed": request.seed,
            **_numbers_of_tasks(request, sampler),
            "data_fingerprint": index.fingerprint,
            **filter_note(request.causal_filter),
        }
        engine = choose_run_engine(
            recognizer,
            request.engine,
            out,
            ranks,
            frames=sampler.frames,
            states=len(sampler.users),
            finished=(out / PREDICTIONS_NAME).exists(),
        )
        machine = ranks.machine(workers=workers, engine=engine)
        held = RunFolder.open(out, settings, machine=machine, upgrade=evaluation_with_new_keys)
        with ranks.on_first(held) as run:
            tasks, predictions = out / TASKS_NAME, out / PREDICTIONS_NAME
            if run:
                drawn = sampler.draw_all(tasks_per_user=request.tasks_per_user, tasks=request.tasks)
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
                    run.log_resumed(f"predicted before: {parts.describe(done)}")
                elif run:
                    run.log_started()
                ranks.wait()  # all ranks have read before the first writes
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
                run.log(f"predictions: {predictions}")
            if run:
                facts = annotation_facts(annotations, sampler.split, task_set.tasks)
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


def evaluation_with_new_keys(found: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation's settings as an earlier release wrote them, with protocol keys that are new since then."""
    return {**found, "protocol": with_new_keys(found.get("protocol"), TaskPlan)}


def _numbers_of_tasks(request: EvaluateRequest, sampler: Sampler) -> dict[str, int | None]:
    """The number of tasks, as it is written in the run's record."""
    if request.tasks_per_user is None and (tasks := request.tasks or sampler.plan.tasks):
        return {"tasks": tasks}
    return {"tasks_per_user": request.tasks_per_user or sampler.plan.tasks_per_user}


def keep_tasks(run: RunFolder, path: Path, drawn: TaskSet) -> None:
    """Write a run's tasks, unless they are already there.

    Raises:
        DataError: if the file holds other tasks, so it was altered.
    """
    if not path.exists():
        write_tasks(path, drawn)
        run.log(f"tasks drawn: {path}")
    elif tasks_fingerprint(read_tasks(path)) != tasks_fingerprint(drawn):
        raise DataError(
            f"{path}: the file was altered and does not hold this run's tasks; restore it, or delete {run.path}"
        )


def score_and_report(
    run: RunFolder, *, cost: Cost | None, facts: AnnotationFacts | None, shown: FrameSource | None
) -> None:
    """Score a run's predictions and write its report. `shown` supplies frames for the report; None: no frames."""
    files = (run.path / name for name in (TASKS_NAME, PREDICTIONS_NAME, SCORECARD_NAME))
    score_files(*files, cost=cost, facts=facts)
    report_run(run.path, thumbnails=partial(_thumbnail, shown) if shown else None)
    run.log(f"report: {run.path / 'report.html'}")


@dataclass(frozen=True)
class PredictedParts:
    """Predictions in one file per portion, each written atomically, until they are merged into one file."""

    folder: Path
    metadata: dict[str, str]
    portions: Sequence[Portion]

    def done(self) -> set[str]:
        """The names of the portions with predictions."""
        return {portion.name for portion in self.portions if self._path(portion).is_file()}

    def describe(self, done: Collection[str]) -> str:
        """How many of all users these are, or of all tasks if users have several portions."""
        if len({portion.user for portion in self.portions}) == len(self.portions):
            return f"{len(done)} of {counted(len(self.portions), 'user')}"
        tasks = sum(len(portion.tasks) for portion in self.portions if portion.name in done)
        return f"{tasks} of {counted(sum(len(portion.tasks) for portion in self.portions), 'task')}"

    def write(self, table: pd.DataFrame) -> None:
        """Write one portion's predictions."""
        first = str(table.user.iloc[0]), int(table.task.iloc[0])
        (portion,) = (one for one in self.portions if (one.user, one.tasks[0].task) == first)
        write_predictions(self._path(portion), table, metadata=self.metadata)

    def merge(self, path: Path) -> None:
        """Write all predictions into one file, in the order of the tasks, and remove the parts."""
        files = map(self._path, self.portions)
        tables = [read_predictions(file).astype({"user": str, "video": str}) for file in files]
        write_predictions(path, pd.concat(tables, ignore_index=True), metadata=self.metadata)
        shutil.rmtree(self.folder)

    def _path(self, portion: Portion) -> Path:
        return self.folder / portion.name


def _thumbnail(source: FrameSource, video: str, frame: int) -> bytes:
    return encode_jpeg(source.read(video, [frame])[0])


def filter_note(causal_filter: CausalFilter | None) -> dict[str, str]:
    """The filter as it is written in records; empty without one."""
    # repr: different numbers never look the same
    return {FILTER_STAY: repr(causal_filter.stay)} if causal_filter else {}


def provenance(
    model: ModelChoice, tasks: TaskSet, engine: str, causal_filter: CausalFilter | None = None
) -> dict[str, str]:
    """Where predictions come from, as strings by name, for the parquet file's metadata."""
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
