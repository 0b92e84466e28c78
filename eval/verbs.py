"""What the command line's score and report do; `python -m eval` and `orbit-lite` call the same functions."""

from pathlib import Path

from eval.predictions import read_predictions, read_predictions_metadata
from eval.report import write_report
from eval.score import score
from eval.scorecard import Scorecard, read_scorecard, write_scorecard
from eval.tasks import read_tasks, tasks_fingerprint
from groundwork.errors import AskedWrong, FoundWrong

SCORECARD_NAME = "scorecard.json"
TASKS_FINGERPRINT = "tasks_fingerprint"  # a key of the predictions' metadata


def score_files(tasks: Path, predictions: Path, out: Path) -> Scorecard:
    """Score a predictions file against a tasks file, write the scorecard and give it back.

    Raises:
        AskedWrong: if a file is not there, or `out` is a folder or one of the two files.
        FoundWrong: if a file is damaged, or the predictions are not whole and legal for the tasks, or were made for
            other tasks (their metadata may hold the `tasks_fingerprint` they were made for).
    """
    if out.is_dir():
        raise AskedWrong(f"{out}: a folder; --out takes a file, such as {out / SCORECARD_NAME}")
    if out.resolve() in (tasks.resolve(), predictions.resolve()):
        raise AskedWrong(f"{out}: the scorecard would take the place of what it is scored from")
    task_set = read_tasks(tasks)
    provenance = read_predictions_metadata(predictions)
    if provenance.get(TASKS_FINGERPRINT, made_for := tasks_fingerprint(task_set)) != made_for:
        raise FoundWrong(f"{predictions}: made for other tasks than {tasks}; predict these tasks, or score with theirs")
    scorecard = score(task_set, read_predictions(predictions), provenance=provenance, source=str(predictions))
    write_scorecard(out, scorecard)
    return scorecard


def report_run(run: Path) -> Scorecard:
    """Write a run folder's report from its scorecard.json, and give the scorecard back.

    Raises:
        AskedWrong: if there is no scorecard.
        FoundWrong: if it is damaged.
    """
    scorecard = read_scorecard(run / SCORECARD_NAME)
    write_report(scorecard, run)
    return scorecard
