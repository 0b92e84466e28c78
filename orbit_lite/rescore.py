"""A run of `evaluate` without one of its users: their tasks and predictions go, and it is scored and reported anew.

The record is marked and the report removed first, and the report is written last: a run that is marked and has none was
cut off in between, and the same call finishes it.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from data_prep.holdings import told
from data_prep.index import open_index
from data_prep.traces import drop_rows
from eval.by_annotation import AnnotationFacts
from eval.records import (
    Scorecard,
    TaskSet,
    read_predictions,
    read_predictions_metadata,
    read_scorecard,
    read_tasks,
    tasks_fingerprint,
    write_predictions,
    write_scorecard,
    write_tasks,
)
from eval.score import score
from eval.scorecard import Cost
from eval.verbs import SCORECARD_NAME, TASKS_FINGERPRINT, report_run
from groundwork.errors import FoundWrong, KitError
from groundwork.files import is_part, remove_parts, write_bytes, write_json
from groundwork.strict_json import DoubledKeyError, parse_json
from orbit_lite.evaluate import PARTS_NAME, SECONDS_NAME
from orbit_lite.run_folder import RECORD_NAME, USERS_REMOVED
from orbit_lite.task_facts import annotation_facts

TASKS_NAME, PREDICTIONS_NAME, REPORT_NAME = "tasks.jsonl", "predictions.parquet", "report.html"
RESULTS_NAME = "results.json"
_THUMBNAIL = b"data:image/jpeg"


def without_user(tasks: TaskSet, user: str) -> TaskSet:
    """The tasks of all other users, the same as a protocol draws without this one. `data_fingerprint` stays that of the
    tree which they were drawn from."""
    return replace(
        tasks,
        tasks=tuple(task for task in tasks.tasks if task.user != user),
        left_out=tuple(entry for entry in tasks.left_out if entry.user != user),
    )


def drop_user(run: Path, user: str, record: Mapping[str, Any], *, data: Path | None) -> list[str]:
    """Remove a user from a run that has tasks of others, too.

    Args:
        run: the run's folder, with its tasks.jsonl.
        user: the name.
        record: the run's record, as `run_folder.read_record` has it.
        data: the tree that it is of, for accuracy by annotation; None if it is not at hand.

    Returns:
        a line for each thing removed.

    Raises:
        FoundWrong: if tasks, predictions or scorecard are damaged, or don't fit one another; nothing is changed then.
    """
    before = read_tasks(run / TASKS_NAME)
    after = without_user(before, user)
    predicted = _Predicted.read(run / PREDICTIONS_NAME, user, tasks_fingerprint(after))
    cut_off = predicted is not None and USERS_REMOVED in record and not (run / REPORT_NAME).is_file()
    if after == before and not cut_off and not (predicted and predicted.theirs):
        return _drop_beside(run, user)
    old = read_scorecard(run / SCORECARD_NAME) if (run / SCORECARD_NAME).is_file() else None
    new = _scored(run, user, after, predicted, old, data) if predicted else None
    lost = _lost(run, old, new)

    write_json(run / RECORD_NAME, {**record, USERS_REMOVED: True})
    (run / REPORT_NAME).unlink(missing_ok=True)
    removed = []
    if predicted and new:
        write_scorecard(run / SCORECARD_NAME, new)
        write_predictions(run / PREDICTIONS_NAME, predicted.others, metadata=predicted.notes)
        removed += told(run / PREDICTIONS_NAME, predicted.theirs, "row")
    write_tasks(run / TASKS_NAME, after)
    removed += told(run / TASKS_NAME, len(before.tasks) - len(after.tasks), "task")
    removed += _drop_beside(run, user)
    if new is None:
        return [*removed, f"{run}: was not at its end, and can't go on now; evaluate again into another folder"]
    report_run(run)
    return [*removed, f"{run}: their part in scorecard and report, which were made anew{lost}"]


@dataclass(frozen=True, eq=False)
class _Predicted:
    """The others' predictions, what their file is to say of them, and how many the user had."""

    others: pd.DataFrame
    notes: dict[str, str]
    theirs: int

    @classmethod
    def read(cls, path: Path, user: str, fingerprint: str) -> Self | None:
        """From predictions.parquet, for tasks of this fingerprint; None if there is none."""
        if not path.is_file():
            return None
        table = read_predictions(path).astype({"user": str, "video": str})
        others = table[table.user != user]
        notes = read_predictions_metadata(path)
        if notes.get(TASKS_FINGERPRINT) != fingerprint:  # else an earlier call wrote them so
            removed = int(notes.get(USERS_REMOVED, 0)) + 1
            notes |= {TASKS_FINGERPRINT: fingerprint, USERS_REMOVED: str(removed)}
        return cls(others, notes, len(table) - len(others))


def _scored(
    run: Path, user: str, tasks: TaskSet, predicted: _Predicted, old: Scorecard | None, data: Path | None
) -> Scorecard:
    """The scorecard of those who stay. It says how many do not, and not who."""
    if old is not None and old.tasks_fingerprint == predicted.notes[TASKS_FINGERPRINT]:
        return old
    card = score(
        tasks,
        predicted.others,
        provenance=predicted.notes,
        source=str(run / PREDICTIONS_NAME),
        cost=_cost_of_others(old, user),
        facts=_facts(data, tasks) if data and (old is None or old.by_annotation) else None,
    )
    count = int(predicted.notes[USERS_REMOVED])
    were = "1 user was" if count == 1 else f"{count} users were"
    note = f"{were} removed from this run at their wish; all numbers are of those who stayed."
    return card.model_copy(update={"notes": (*card.notes, note)})


def _cost_of_others(card: Scorecard | None, user: str) -> Cost | None:
    if card is None or card.cost is None:
        return None
    rows = [row for row in card.cost.per_task if row.user != user]
    return Cost.of(rows, source=card.cost.source) if rows else None


def _facts(data: Path, tasks: TaskSet) -> AnnotationFacts | None:
    """What is annotated of the tasks' frames; None if the tree is not the one they are of, or not in order."""
    try:
        index = open_index(data)
        there = {(row.user, row.video) for row in index.select(split=tasks.split)}
        wanted = {(task.user, plan.video) for task in tasks.tasks for plan in (*task.support, *task.query)}
        return annotation_facts(index, tasks.split, tasks.tasks) if wanted <= there else None
    except KitError:
        return None


def _lost(run: Path, old: Scorecard | None, new: Scorecard | None) -> str:
    """What the new report can't show, for it needs more than the run has."""
    parts = []
    if old and new:
        parts += ["cost"] if old.cost and not new.cost else []
        parts += ["accuracy by annotation"] if old.by_annotation and not new.by_annotation else []
    report = run / REPORT_NAME
    parts += ["frames of anybody's videos"] if report.is_file() and _THUMBNAIL in report.read_bytes() else []
    return f", without {' and '.join(parts)}" if parts else ""


def _drop_beside(run: Path, user: str) -> list[str]:
    """What stands of a user beside tasks, predictions and report."""
    removed = told(run / SECONDS_NAME, drop_rows(run / SECONDS_NAME, user), "row")
    removed += told(run / RESULTS_NAME, _drop_results(run / RESULTS_NAME, user), "entry")
    own = run / PARTS_NAME / f"{user}.parquet"
    if own.is_file():
        own.unlink()
        removed += told(own, 1, "file")
    remove_parts(own)
    for path in [path for path in run.iterdir() if is_part(path.name)]:  # of writing that was cut off
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return removed


def _drop_results(path: Path, user: str) -> int:
    """Take a user out of a results.json, which has one entry a user; how many there were."""
    if not path.is_file():
        return 0
    try:
        content = parse_json(path.read_bytes())
    except DoubledKeyError as error:  # written again, it would lose one of the two
        raise FoundWrong(f"{path}: {error}; remove the file, then forget them again") from None
    except ValueError:  # another kind of file
        return 0
    if not isinstance(content, dict) or user not in content:
        return 0
    del content[user]
    write_bytes(path, json.dumps(content, separators=(",", ":")).encode() + b"\n")
    return 1
