"""The commands' work, shared by the command lines of `python -m eval` and `orbit-lite`."""

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
RESULTS_SUFFIX = ".json"  # the suffix of predictions in the form of results.json

What = TypeVar("What")


def score_files(
    tasks: Path | None,
    predictions: Path,
    out: Path,
    *,
    cost: Cost | None = None,
    facts: AnnotationFacts | None = None,
) -> Scorecard:
    """Score predictions.parquet or a results.json against a tasks file, write the scorecard and return it.

    A results.json can be scored without tasks: they are taken from it, and the scorecard's notes explain the limits.

    Args:
        tasks: tasks.jsonl; None for the tasks in a results.json.
        predictions: predictions.parquet, or a results.json (detected by suffix).
        out: the scorecard to write.
        cost: the cost of personalizing; by default the one in the results.json.
        facts: annotations, for accuracy by annotation.

    Raises:
        UsageError: if a file is missing, `out` is a folder or one of the two files, or tasks are needed.
        DataError: if a file is damaged, or the predictions are not complete and valid for the tasks, or were made for
            other tasks (their metadata can hold a `tasks_fingerprint`).
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
    """All faults of predictions with respect to their tasks. For arguments and errors see `score_files`."""
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
        form: the year of the challenge.
        scorecard: a scorecard of these tasks with each task's MACs; only the form of 2023 can hold them.

    Raises:
        UsageError: see `score_files`; also if the form can't hold the tasks, or the scorecard lacks their MACs.
        DataError: see `score_files`.
    """
    read = {"--tasks": tasks, "--predictions": predictions, "--scorecard": scorecard}
    _require_writable(out, "results.json", read)
    found = _loaded(tasks, predictions)
    macs = None if scorecard is None else _macs_of_tasks(scorecard, found.tasks)
    write_results(out, found.predictions, found.tasks, form=form, macs_to_personalize=macs, source=str(predictions))


def compare_files(a: Path, b: Path, out: Path | None = None) -> Comparison:
    """Compare two scorecards, given as files or run folders, and write the comparison to `out`: .txt, .md or .json.

    Raises:
        UsageError: if one is missing, they have different tasks, or `out` has another suffix.
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
    """Make boards of published rows and scorecards, given as files or run folders; write them to `out`: .txt, .md, .csv
    or .html.

    Raises:
        UsageError: if one is missing, or `out` has another suffix.
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
    """Write a run folder's report from its scorecard.json, and return the scorecard.

    It includes timelines of predictions if tasks.jsonl and predictions.parquet exist.

    Args:
        run: the folder.
        videos: the videos with timelines; by default some of the worst, the middle and the best.
        thumbnails: returns a frame's JPEG, given video and number; None for a report without filmed images.

    Raises:
        UsageError: if there is no scorecard, or a requested video was not predicted.
        DataError: if a file is damaged, or the files are not from the same run.
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
    """Tasks, predictions, their provenance, and everything else in their file."""

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
        raise UsageError(f"{predictions}: give --tasks; only a results.json (suffix .json) contains its tasks")
    provenance = read_predictions_metadata(predictions)
    if provenance.get(TASKS_FINGERPRINT, made_for := tasks_fingerprint(task_set)) != made_for:
        raise DataError(
            f"{predictions}: these predictions were made for other tasks than {tasks}; predict these "
            "tasks, or score with the right ones"
        )
    return _Loaded(task_set, read_predictions(predictions), provenance, curve=read_answers_curve(predictions))


def _macs_of_tasks(path: Path, task_set: TaskSet) -> dict[tuple[str, int], int]:
    """The leaderboard's MACs of each task."""
    card = _read_scorecard(path)
    if card.tasks_fingerprint != tasks_fingerprint(task_set):
        raise UsageError(f"{path}: this scorecard is of other tasks; give the one for these predictions")
    known = {
        (row.user, row.task): row.macs_to_personalize_thop
        for row in (card.cost.per_task if card.cost else ())
        if row.macs_to_personalize_thop is not None
    }
    if not known.keys() >= {(task.user, task.task) for task in task_set.tasks}:
        raise UsageError(f"{path}: this scorecard lacks the MACs of each task; leave --scorecard out")
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
    """Short names for two scorecards: of their folders or files, or paths if these are the same."""
    first, second = (path.parent.name if path.name == SCORECARD_NAME else path.name for path in (a, b))
    return (first, second) if first and second and first != second else (str(a), str(b))
