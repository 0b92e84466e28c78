"""Removes one user from a run of `evaluate`: drops their tasks and predictions, then scores and reports again.

The record is marked and the report removed first, and the report is written last. A marked run without a report was
interrupted, and the same call completes it.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pandas as pd

from data_prep.forgetting.derived import count_rows, drop_rows
from data_prep.forgetting.plan import Removable, remove_files
from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.index import open_index
from eval.by_annotation import AnnotationFacts
from eval.formats.records import (
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
from eval.formats.scorecard import Cost
from eval.score import score
from eval.verbs import SCORECARD_NAME, TASKS_FINGERPRINT, report_run
from groundwork.errors import KitError
from groundwork.files import final_name, is_part, write_bytes, write_json
from groundwork.removal import Root, identity
from groundwork.words import counted
from orbit_lite.evaluation.evaluate import PARTS_NAME, PREDICTIONS_NAME, SECONDS_NAMES, TASKS_NAME
from orbit_lite.evaluation.facts import annotation_facts
from orbit_lite.evaluation.portions import is_portion_of
from orbit_lite.evaluation.run_files import REPORT_NAME, RESULTS_NAME, cut_off_files, read_results
from orbit_lite.runs.folder import RECORD_NAME, USERS_REMOVED

_THUMBNAIL = b"data:image/jpeg"


def without_user(tasks: TaskSet, user: str) -> TaskSet:
    """The tasks of all other users, which are the same as a protocol draws without this user. `data_fingerprint`
    remains that of the tree that they were drawn from."""
    return replace(
        tasks,
        tasks=tuple(task for task in tasks.tasks if task.user != user),
        left_out=tuple(entry for entry in tasks.left_out if entry.user != user),
    )


def count_user(run: Path, user: str) -> list[str]:
    """List what a run with several users holds of one user, one line per file. Changes nothing.

    Raises:
        DataError: if tasks or predictions are damaged.
    """
    tasks = [task for task in read_tasks(run / TASKS_NAME).tasks if task.user == user]
    predicted = _Predicted.read(run / PREDICTIONS_NAME, user, "")
    parts = _part_names(run / PARTS_NAME, user)
    counts = [
        (run / PREDICTIONS_NAME, predicted.theirs if predicted else 0, "row", ""),
        (run / TASKS_NAME, len(tasks), "task", ""),
        *((run / name, count_rows(run / name, user), "row", "") for name in SECONDS_NAMES),
        (run / RESULTS_NAME, int(user in read_results(run / RESULTS_NAME)), "entry", "entries"),
        (run / PARTS_NAME, len(parts), "file", ""),
    ]
    return [f"{path}: {counted(count, one, several)}" for path, count, one, several in counts if count]


def was_cut_off(run: Path, record: Mapping[str, Any]) -> bool:
    """Whether a user's removal was interrupted between the predictions and the report."""
    return USERS_REMOVED in record and (run / PREDICTIONS_NAME).is_file() and not (run / REPORT_NAME).is_file()


def drop_user(run: Path, user: str, record: Mapping[str, Any], *, data: Path | None) -> list[str]:
    """Remove a user from a run that also has tasks of others.

    Args:
        run: the run's folder, with its tasks.jsonl; none of its files is a link.
        user: the user's name.
        record: the run's record, as `run_folder.read_record` returns it.
        data: the run's tree, for accuracy by annotation; None if it is not available.

    Returns:
        one line per removed item.

    Raises:
        DataError: if tasks, predictions or scorecard are damaged or inconsistent; nothing is changed then.
    """
    removed = count_user(run, user)
    before = read_tasks(run / TASKS_NAME)
    after = without_user(before, user)
    predicted = _Predicted.read(run / PREDICTIONS_NAME, user, tasks_fingerprint(after))
    if after == before and not was_cut_off(run, record) and not (predicted and predicted.theirs):
        _drop_beside(run, user)
        return removed
    old = read_scorecard(run / SCORECARD_NAME) if (run / SCORECARD_NAME).is_file() else None
    new = _scored(run, user, after, predicted, old, data) if predicted else None
    lost = _lost(run, old, new)

    write_json(run / RECORD_NAME, {**record, USERS_REMOVED: True})
    (run / REPORT_NAME).unlink(missing_ok=True)
    if predicted and new:
        write_scorecard(run / SCORECARD_NAME, new)
        write_predictions(run / PREDICTIONS_NAME, predicted.others, metadata=predicted.notes)
    write_tasks(run / TASKS_NAME, after)
    _drop_beside(run, user)
    if new is None:
        return [
            *removed,
            f"{run}: the run was not finished and can no longer be resumed; evaluate again into another folder",
        ]
    report_run(run)
    return [*removed, f"{run}: the user's part of scorecard and report, which were written again{lost}"]


@dataclass(frozen=True, eq=False)
class _Predicted:
    """The other users' predictions, the metadata for their file, and the number of the removed user's predictions."""

    others: pd.DataFrame
    notes: dict[str, str]
    theirs: int

    @classmethod
    def read(cls, path: Path, user: str, fingerprint: str) -> Self | None:
        """Read predictions.parquet, for tasks with this fingerprint; None if there is no such file."""
        if not path.is_file():
            return None
        table = read_predictions(path).astype({"user": str, "video": str})
        others = table[table.user != user]
        notes = read_predictions_metadata(path)
        if notes.get(TASKS_FINGERPRINT) != fingerprint:  # otherwise an earlier call has written them
            removed = int(notes.get(USERS_REMOVED, 0)) + 1
            notes |= {TASKS_FINGERPRINT: fingerprint, USERS_REMOVED: str(removed)}
        return cls(others, notes, len(table) - len(others))


def _scored(
    run: Path, user: str, tasks: TaskSet, predicted: _Predicted, old: Scorecard | None, data: Path | None
) -> Scorecard:
    """The scorecard of the remaining users. It says how many users were removed, but not who."""
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
    note = f"{were} removed from this run at their request; all numbers are for the remaining users."
    return card.model_copy(update={"notes": (*card.notes, note)})


def _cost_of_others(card: Scorecard | None, user: str) -> Cost | None:
    if card is None or card.cost is None:
        return None
    rows = [row for row in card.cost.per_task if row.user != user]
    return Cost.of(rows, source=card.cost.source) if rows else None


def _facts(data: Path, tasks: TaskSet) -> AnnotationFacts | None:
    """The annotations of the tasks' frames; None if the tree is another one or has errors."""
    try:
        index = open_index(data)
        there = {(row.user, row.video) for row in index.select(split=tasks.split)}
        wanted = {(task.user, plan.video) for task in tasks.tasks for plan in (*task.support, *task.query)}
        return annotation_facts(TreeAnnotations(index), tasks.split, tasks.tasks) if wanted <= there else None
    except KitError:
        return None


def _lost(run: Path, old: Scorecard | None, new: Scorecard | None) -> str:
    """What the new report can't show because it needs data that the run does not hold."""
    parts = []
    if old and new:
        parts += ["cost"] if old.cost and not new.cost else []
        parts += ["accuracy by annotation"] if old.by_annotation and not new.by_annotation else []
    report = run / REPORT_NAME
    parts += ["video frames"] if report.is_file() and _THUMBNAIL in report.read_bytes() else []
    return f", without {' and '.join(parts)}" if parts else ""


def _drop_beside(run: Path, user: str) -> None:
    """Remove a user's data outside tasks, predictions and report."""
    for name in SECONDS_NAMES:
        drop_rows(run / name, user)
    results = read_results(run / RESULTS_NAME)
    if results.pop(user, None) is not None:
        write_bytes(run / RESULTS_NAME, json.dumps(results, separators=(",", ":")).encode() + b"\n")
    folder = run / PARTS_NAME
    names = _part_names(folder, user)
    theirs = [Removable((PARTS_NAME, name), identity(os.lstat(folder / name))) for name in names]
    remove_files("", Root.of(run), [*theirs, *cut_off_files(run)]).carry_out()


def _part_names(folder: Path, user: str) -> list[str]:
    """The files with one user's predictions in the folder of parts, complete or partial."""
    there = sorted(os.listdir(folder)) if folder.is_dir() else []
    own = [name for name in there if is_portion_of(final_name(name) if is_part(name) else name, user)]
    return [name for name in own if (folder / name).is_file()]
