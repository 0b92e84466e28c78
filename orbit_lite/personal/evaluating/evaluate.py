"""Evaluates a personal file on one user's videos that did not teach it: writes tasks, predictions with the file's own
answers, scorecard and report to a run folder."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.index import open_index
from eval.formats.records import Scorecard, Task, TaskSet, VideoPlan, read_scorecard, tasks_fingerprint
from eval.score import ENGINE
from eval.verbs import SCORECARD_NAME, TASKS_FINGERPRINT
from groundwork.errors import UsageError
from groundwork.files import file_sha256
from groundwork.words import counted
from orbit_lite.data.frames import FrameSource, open_frames
from orbit_lite.evaluation.engine import choose_run_engine, count_frames
from orbit_lite.evaluation.evaluate import (
    PARTS_NAME,
    PREDICTIONS_NAME,
    TASKS_NAME,
    evaluation_with_new_keys,
    keep_tasks,
    score_and_report,
)
from orbit_lite.evaluation.facts import annotation_facts, personalize_cost
from orbit_lite.personal.evaluating.predict import VideoParts, predict_videos, strictness_text
from orbit_lite.personal.evaluating.task import TaskMaker, choose_user
from orbit_lite.personal.file import load_personal
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.runs.folder import RunFolder, versions
from orbit_lite.runs.ranks import joined_ranks


@dataclass(frozen=True)
class PersonalRequest:
    """One evaluation of a personal file.

    user: the user whose videos are used; None for the file's own user, or the only one in the tree. strictness: a key
    of STRICTNESS; None for the file's own. seed: seed of the bootstrap over users. engine: as for EvaluateRequest.
    """

    file: Path
    data: Path
    protocol: str
    split: str = "test"
    seed: int = 1991
    user: str | None = None
    strictness: str | None = None
    engine: str | None = None


def evaluate_personal(
    request: PersonalRequest, out: Path, *, workers: int, device: torch.device, thumbnails: bool = False
) -> Scorecard:
    """Run the steps that are not done yet; write tasks.jsonl, predictions.parquet, scorecard.json and report.html.

    An interrupted run resumes with the videos that have no predictions yet.

    Args:
        request: what to evaluate, and on what.
        out: the run's folder.
        workers: processes that read.
        device: the device to compute on.
        thumbnails: include frames in the report, which may show people's homes.

    Raises:
        UsageError: if `out` holds another run, another process is using it, the request names something unknown, or
            several processes were started for it.
        DataError: if the file is not a personal recognizer, or the tree has no test video, an object that the file does
            not know, or a video that taught it.
    """
    with joined_ranks(device) as ranks:
        if ranks.count > 1:
            raise UsageError(
                f"{request.file}: a personal file is evaluated by a single process; start the command without torchrun"
            )
        personal = load_personal(request.file, device=ranks.device)
        if request.strictness is not None:
            personal = personal.with_strictness(request.strictness)
        index = open_index(request.data)
        maker = TaskMaker.of(
            personal, request.file, index, protocol=request.protocol, split=request.split, seed=request.seed
        )
        user = choose_user(index, maker.split, asked=request.user, own=personal.user)
        annotations = TreeAnnotations(index)
        annotations.read_all(maker.split)  # so that faults are found before anything is predicted
        source = open_frames(index, size_px=personal.frame_size_px)
        tasks = maker.make(user, source, workers=workers)
        settings = {
            "command": "evaluate",
            "model": _described(personal, request.file),
            "user": user,
            "protocol": maker.plan.model_dump(mode="json"),
            "split": maker.split,
            "seed": request.seed,
            "data_fingerprint": index.fingerprint,
        }
        frames = count_frames(tasks)
        engine = choose_run_engine(personal.fitted.recognizer, request.engine, out, ranks, frames=frames, states=1)
        machine = ranks.machine(workers=workers, engine=engine)
        with RunFolder.open(out, settings, machine=machine, upgrade=evaluation_with_new_keys) as run:
            keep_tasks(run, out / TASKS_NAME, tasks)
            parts = VideoParts(out / PARTS_NAME, _provenance(personal, request.file, tasks))
            _predict(run, personal, tasks.tasks[0], source, parts, workers=workers)
            facts = annotation_facts(annotations, maker.split, tasks.tasks)
            cost = personalize_cost(personal.fitted.recognizer, [_as_taught(tasks.tasks[0], personal)])
            score_and_report(run, cost=cost, facts=facts, shown=source if thumbnails else None)
        return read_scorecard(out / SCORECARD_NAME)


def _predict(
    run: RunFolder,
    personal: PersonalRecognizer,
    task: Task,
    source: FrameSource,
    parts: VideoParts,
    *,
    workers: int,
) -> None:
    """Write predictions.parquet, unless it exists."""
    path = run.path / PREDICTIONS_NAME
    if path.exists():
        return
    if done := parts.done():
        run.log_resumed(f"predicted before: {len(done)} of {counted(len(task.query), 'video')}")
    else:
        run.log_started()
    for found in predict_videos(personal, task, source, done=done, workers=workers):
        parts.write(found)
    parts.merge(path, videos=len(task.query))
    run.log(f"predictions: {path}")


def _described(personal: PersonalRecognizer, file: Path) -> dict[str, str]:
    """What identifies the file and its content, and the strictness to use."""
    return {"personal file": file.name, "sha256": file_sha256(file), "strictness": strictness_text(personal.rejection)}


def _provenance(personal: PersonalRecognizer, file: Path, tasks: TaskSet) -> dict[str, str]:
    recognizer = personal.fitted.recognizer
    composed = {"backbone": recognizer.extractor.backbone.name}
    composed |= {"learner": recognizer.learner.name} if recognizer.learner else {}
    engine = {ENGINE: recognizer.engine.name}
    return _described(personal, file) | composed | versions() | engine | {TASKS_FINGERPRINT: tasks_fingerprint(tasks)}


def _as_taught(task: Task, personal: PersonalRecognizer) -> Task:
    """The task with everything that taught the file as its support set, even videos outside the tree, to count the
    cost."""
    videos = enumerate(personal.support.videos)
    taught = [VideoPlan(str(number), personal.objects.index(video.object), video.frames) for number, video in videos]
    return replace(task, support=tuple(taught))
