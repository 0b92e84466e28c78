"""What the command line's verbs do; `python -m eval` and `orbit-lite` call the same functions."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pandas as pd

from eval.by_annotation import AnnotationFacts
from eval.compare import Comparison, compare, comparison_markdown, comparison_text
from eval.formats.answers import AnswersCurve
from eval.formats.challenge import UNCHECKED_NOTE, read_results, write_results
from eval.formats.check import Fault, find_faults
from eval.formats.predictions import read_answers_curve, read_predictions, read_predictions_metadata
from eval.formats.results_file import Form
from eval.formats.scorecard import Cost, Scorecard, read_scorecard, write_scorecard
from eval.formats.tasks import TaskSet, read_tasks, tasks_fingerprint
from eval.leaderboard import (
    Board,
    leaderboard,
    leaderboard_csv,
    leaderboard_html,
    leaderboard_markdown,
    leaderboard_text,
)
from eval.report import PredictedTasks, Thumbnails, write_report
from eval.score import score
from groundwork.errors import DataError, UsageError
from groundwork.files import write_text
from groundwork.outputs import Input, Output, require_outputs

SCORECARD_NAME = "scorecard.json"
TASKS_FINGERPRINT = "tasks_fingerprint"  # a key of the predictions' metadata
RESULTS_SUFFIX = ".json"  # predictions with this suffix are a results.json

What = TypeVar("What")


def score_files(
    tasks: Path | None,
    predictions: Path,
    out: Path,
    *,
    cost: Cost | None = None,
    facts: AnnotationFacts | None = None,
) -> Scorecard:
    """Score predictions.parquet or a results.json against a tasks file, write the scorecard and give it back.

    A results.json may be scored without tasks: they are taken from it, and the scorecard's notes say what that means.

    Args:
        tasks: tasks.jsonl; None for a results.json's own.
        predictions: predictions.parquet, or a results.json (by its suffix).
        out: the scorecard to write.
        cost: what personalizing took; without it, what the results.json says.
        facts: what is annotated, for accuracy by annotation.

    Raises:
        UsageError: if a file is not there, `out` is a folder or one of the two files, or tasks are needed.
        DataError: if a file is damaged, or the predictions are not whole and legal for the tasks, or were made for
            other tasks (their metadata may hold the `tasks_fingerprint` they were made for).
    """
    _require_writable(out, SCORECARD_NAME, {"--tasks": tasks, "--predictions": predictions})
    found = _loaded(tasks, predictions)
    scorecard = score(
        found.tasks,
        found.predictions,
        provenance=found.provenance,
        source=str(predictions),
        cost=cost or found.cost,
        facts=facts,
        curve=found.curve,
    )
    if tasks is None:
        scorecard = scorecard.model_copy(update={"notes": (*scorecard.notes, UNCHECKED_NOTE)})
    write_scorecard(out, scorecard)
    return scorecard


def check_files(tasks: Path | None, predictions: Path) -> list[Fault]:
    """Every fault of predictions (as `score_files` takes them) against their tasks; raises as it does."""
    found = _loaded(tasks, predictions)
    return find_faults(found.tasks, found.predictions)


def write_results_file(
    tasks: Path, predictions: Path, out: Path, *, form: Form = "2023", scorecard: Path | None = None
) -> None:
    """Write predictions.parquet as a results.json.

    Args:
        tasks: tasks.jsonl.
        predictions: predictions.parquet, or another results.json.
        out: the file to write.
        form: of which challenge.
        scorecard: of these tasks, to take each task's MACs from; only the form of 2023 has a place for them.

    Raises:
        UsageError: as `score_files` does, if the form can't hold them, or the scorecard has no MACs of these tasks.
        DataError: as `score_files` does.
    """
    read = {"--tasks": tasks, "--predictions": predictions, "--scorecard": scorecard}
    _require_writable(out, "results.json", read)
    found = _loaded(tasks, predictions)
    macs = None if scorecard is None else _macs_of_tasks(scorecard, found.tasks)
    write_results(out, found.predictions, found.tasks, form=form, macs_to_personalize=macs, source=str(predictions))


def compare_files(a: Path, b: Path, out: Path | None = None) -> Comparison:
    """Compare two scorecards, files or run folders, and write the comparison where `out` says: .txt, .md or .json.

    Raises:
        UsageError: if one is not there, they are not of the same tasks, or `out` has another suffix.
        DataError: if one is damaged.
    """
    writers: dict[str, Callable[[Comparison], str]] = {
        ".txt": comparison_text,
        ".md": comparison_markdown,
        ".json": lambda comparison: comparison.model_dump_json(by_alias=True, indent=2) + "\n",
    }
    write = _writer(out, writers, {"A": _scorecard_path(a), "B": _scorecard_path(b)})
    comparison = compare(_read_scorecard(a), _read_scorecard(b), names=_names(a, b))
    if out is not None:
        write_text(out, write(comparison))
    return comparison


def leaderboard_of(runs: Sequence[Path], out: Path | None = None) -> tuple[Board, ...]:
    """Published rows and scorecards, files or run folders; written where `out` says: .txt, .md, .csv or .html.

    Raises:
        UsageError: if one is not there, or `out` has another suffix.
        DataError: if one is damaged.
    """
    writers: dict[str, Callable[[Sequence[Board]], str]] = {
        ".txt": leaderboard_text,
        ".md": leaderboard_markdown,
        ".csv": leaderboard_csv,
        ".html": leaderboard_html,
    }
    write = _writer(out, writers, {str(run): _scorecard_path(run) for run in runs})
    boards = leaderboard((str(run), _read_scorecard(run)) for run in runs)
    if out is not None:
        write_text(out, write(boards))
    return boards


def report_run(run: Path, *, videos: Sequence[str] = (), thumbnails: Thumbnails | None = None) -> Scorecard:
    """Write a run folder's report from its scorecard.json, and give the scorecard back.

    With timelines of predictions, where tasks.jsonl and predictions.parquet are there too.

    Args:
        run: the folder.
        videos: whose timelines to show; by default some of the worst, the middle and the best.
        thumbnails: gives a frame's JPEG by video and number; without it the report holds no pictures of anybody's home.

    Raises:
        UsageError: if there is no scorecard, or videos are asked for that were not predicted.
        DataError: if a file is damaged, or they are not of one run.
    """
    scorecard = read_scorecard(run / SCORECARD_NAME)
    tasks, predictions = run / "tasks.jsonl", run / "predictions.parquet"
    predicted = None
    if tasks.is_file() and predictions.is_file():
        predicted = PredictedTasks(read_tasks(tasks), read_predictions(predictions))
    write_report(scorecard, run, predicted=predicted, videos=videos, thumbnails=thumbnails)
    return scorecard


@dataclass(frozen=True, eq=False)
class _Loaded:
    """Tasks, predictions, where they come from, and what else their file says."""

    tasks: TaskSet
    predictions: pd.DataFrame
    provenance: dict[str, str]
    cost: Cost | None = None
    curve: AnswersCurve | None = None


def _loaded(tasks: Path | None, predictions: Path) -> _Loaded:
    task_set = None if tasks is None else read_tasks(tasks)
    if predictions.suffix.lower() == RESULTS_SUFFIX:
        results = read_results(predictions, task_set)
        provenance = {"results file": predictions.name, "form": results.form}
        return _Loaded(results.tasks, results.predictions, provenance, cost=results.cost)
    if task_set is None:
        raise UsageError(f"{predictions}: --tasks is needed; only a results.json (suffix .json) names its own tasks")
    provenance = read_predictions_metadata(predictions)
    if provenance.get(TASKS_FINGERPRINT, made_for := tasks_fingerprint(task_set)) != made_for:
        raise DataError(f"{predictions}: made for other tasks than {tasks}; predict these tasks, or score with theirs")
    return _Loaded(task_set, read_predictions(predictions), provenance, curve=read_answers_curve(predictions))


def _macs_of_tasks(path: Path, task_set: TaskSet) -> dict[tuple[str, int], int]:
    """The leaderboard's count for each task."""
    card = _read_scorecard(path)
    if card.tasks_fingerprint != tasks_fingerprint(task_set):
        raise UsageError(f"{path}: a scorecard of other tasks; give that of the predictions")
    known = {
        (row.user, row.task): row.macs_to_personalize_thop
        for row in (card.cost.per_task if card.cost else ())
        if row.macs_to_personalize_thop is not None
    }
    if not known.keys() >= {(task.user, task.task) for task in task_set.tasks}:
        raise UsageError(f"{path}: does not say what each task took to personalize; leave --scorecard out")
    return known


def _require_writable(out: Path, name: str, read: Mapping[str, Path | None]) -> None:
    inputs = [Input(option, path) for option, path in read.items() if path is not None]
    require_outputs(inputs, [Output("--out", out, example=name)])


def _writer(
    out: Path | None, writers: dict[str, Callable[[What], str]], read: Mapping[str, Path | None]
) -> Callable[[What], str]:
    if out is None:
        return writers[".txt"]
    if out.suffix.lower() not in writers:
        raise UsageError(f"{out}: unknown suffix {out.suffix!r}; known: {', '.join(writers)}")
    _require_writable(out, f"file{out.suffix}", read)
    return writers[out.suffix.lower()]


def _scorecard_path(path: Path) -> Path:
    return path / SCORECARD_NAME if path.is_dir() else path


def _read_scorecard(path: Path) -> Scorecard:
    return read_scorecard(_scorecard_path(path))


def _names(a: Path, b: Path) -> tuple[str, str]:
    """Short names that tell two scorecards apart: of their folders or files; paths where these are the same."""
    first, second = (path.parent.name if path.name == SCORECARD_NAME else path.name for path in (a, b))
    return (first, second) if first and second and first != second else (str(a), str(b))
