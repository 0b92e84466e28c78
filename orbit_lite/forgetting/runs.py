"""Finds a participant in runs of `evaluate` and `train`."""

from collections.abc import Sequence
from pathlib import Path

from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.plan import Plan
from data_prep.tree.index import Index, find_index, read_rows
from eval.formats.records import Task, read_tasks
from groundwork.errors import DataError, KitError
from orbit_lite.evaluation.evaluate import PARTS_NAME, TASKS_NAME
from orbit_lite.evaluation.run_files import RESULTS_NAME, is_run_file
from orbit_lite.forget import plan_in_run
from orbit_lite.forgetting.found import Found, Subtree, guarded
from orbit_lite.forgetting.inventory import SeenFolder
from orbit_lite.runs.folder import RECORD_NAME, read_record

_OF_RECORD = {"settings", "versions", "machine"}


def find_run(folder: SeenFolder, user: str, trees: Sequence[Path]) -> Found:
    """What to remove from a run, if the folder is one.

    Args:
        folder: any folder.
        user: the participant's name.
        trees: trees with an index. The run's own tree is used to score it again by annotation.
    """
    if not _is_run(folder):
        return Found()
    own = [file for file in folder.files if is_run_file(file.name) or file.name == RESULTS_NAME]
    try:
        tasks = read_tasks(folder.path / TASKS_NAME).tasks if TASKS_NAME in folder.by_name else ()
        data = _tree_of(folder.path, tasks, user, trees)
        plan = plan_in_run(folder.path, user, data=data, list_other_files=False)
    except DataError as error:
        named = any(names_user(file.path.read_bytes(), user) for file in own)
        return Found(Plan(remaining=(f"{folder.path}: could not be searched: {error}",)) if named else Plan())
    # The record of a run that stays is searched for the name, because the recognizer evaluated may be the
    # participant's.
    gone = own if plan.emptied else [file for file in own if file.name != RECORD_NAME]
    paths = frozenset(file.path for file in gone) if plan.changes or plan.remaining else frozenset()
    parts = (Subtree(folder.path / PARTS_NAME),)
    return Found(guarded(plan, folder), files=paths, subtrees=parts, names=frozenset(task.user for task in tasks))


def _is_run(folder: SeenFolder) -> bool:
    """Whether a folder has a run's record. Other programs also write files with this name."""
    if RECORD_NAME not in folder.names:
        return False
    try:
        record = read_record(folder.path)
        return record.keys() >= _OF_RECORD and isinstance(record["settings"], dict)
    except KitError:
        return TASKS_NAME in folder.names  # a damaged record beside a run's tasks


def _tree_of(run: Path, tasks: Sequence[Task], user: str, trees: Sequence[Path]) -> Path | None:
    """A run's tree: found by its fingerprint or, if somebody was removed from it meanwhile, by its videos."""
    wanted = {(task.user, plan.video) for task in tasks if task.user != user for plan in (*task.support, *task.query)}
    fingerprint = read_record(run)["settings"].get("data_fingerprint")
    by_videos = None
    for tree in trees:
        path = find_index(tree)
        rows = read_rows(path) if path else ()
        if Index(tree, "frames", rows).fingerprint == fingerprint:
            return tree
        if wanted and wanted <= {(row.user, row.video) for row in rows}:
            by_videos = by_videos or tree
    return by_videos
