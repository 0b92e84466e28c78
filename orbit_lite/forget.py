"""A user out of a tree and out of the runs on it: what is left of a run is a run of the users who stay."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data_prep.forget import Forgotten, nothing_of, remove_user
from data_prep.holdings import told, user_name
from data_prep.index import Index, find_index, read_rows
from data_prep.traces import mentions, names
from data_prep.tree_run import remove_folder
from eval.records import read_scorecard, read_tasks
from eval.report.csvs import csv_files
from eval.report.timelines import TIMELINES_CSV
from eval.verbs import SCORECARD_NAME
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import part_path, write_bytes
from groundwork.lock import only_run
from orbit_lite.config import nearest
from orbit_lite.evaluate import SECONDS_NAME
from orbit_lite.rescore import REPORT_NAME, TASKS_NAME, drop_user
from orbit_lite.run_folder import LOG_NAME, RECORD_NAME, read_record
from orbit_lite.train import BEST_NAME, STATE_NAME


def forget(data: Path, user: str, runs: Sequence[Path] = ()) -> Forgotten:
    """Remove a user from a tree and from runs. The runs come first, while the tree can tell what they learned from.

    Args:
        data: the tree, as for `data_prep.forget.forget_user`.
        user: the name as it stands in the tree.
        runs: folders of `evaluate` and `train`. One that is not there is told of, not refused: an earlier call that was
            cut off may have removed it.

    Raises:
        AskedWrong: as `forget_user` and `forget_in_run`.
        FoundWrong: as they do; but only if neither the tree nor a run holds anything of the user.
    """
    user = user_name(user)
    if not data.is_dir():
        raise AskedWrong(f"{data}: no such folder; expected a tree of frames, raw videos or packed users.")
    forgotten = Forgotten()
    for run in runs:
        if run.is_dir() or part_path(run.resolve()).is_dir():
            forgotten += remove_from_run(run, user, data=data)
        else:
            forgotten += Forgotten((), (f"{run}: no such run: it was removed before, or another was meant",))
    forgotten += remove_user(data, user)
    if not forgotten.removed:
        raise nothing_of(data, user)
    return forgotten


def forget_in_run(run: Path, user: str, *, data: Path | None = None) -> Forgotten:
    """Remove a user from a run: of `evaluate`, their tasks and predictions, after which it is scored and reported anew;
    of any run, lines of the log that name them. A run of this user alone is removed whole.

    Scorecard and report then say how many users were removed, and not who. The run can be read, scored and reported,
    but not gone on with. A run of `train` keeps its weights, which is told.

    Args:
        run: the run's folder.
        user: the name as it stands in the tree.
        data: the tree that it is of, if that is at hand: for accuracy by annotation, and, while the user is still in
            it, to tell whether a model learned from them.

    Raises:
        AskedWrong: if it is no run's folder, or this is no user's name.
        FoundWrong: if it holds nothing of the user, or its files are damaged (nothing is changed then).
    """
    forgotten = remove_from_run(run, user, data=data)
    if not forgotten.removed and not forgotten.unreachable:
        tasks = run / TASKS_NAME
        users = {task.user for task in read_tasks(tasks).tasks} if tasks.is_file() else ()
        raise FoundWrong(f"{run}: holds nothing of user {user!r}{nearest(user, users)}.")
    return forgotten


def remove_from_run(run: Path, user: str, *, data: Path | None = None) -> Forgotten:
    """As `forget_in_run`, but there may be nothing of them."""
    user = user_name(user)
    if not run.is_dir() and part_path(run.resolve()).is_dir():
        remove_folder(run.resolve())
        return Forgotten((f"{run}: what was left of it",))
    record = read_record(run)
    with only_run(run):
        removed = []
        if (run / TASKS_NAME).is_file():
            users = {task.user for task in read_tasks(run / TASKS_NAME).tasks}
            if users == {user}:
                remove_folder(run.resolve())
                return Forgotten((f"{run}: the whole run, for it was of this user alone",))
            removed += drop_user(run, user, record, data=data)
        removed += _clean_log(run / LOG_NAME, user)
        return Forgotten(tuple(removed), (*_stale(run, user), *_learned(run, user, record, data), *_foreign(run, user)))


def _clean_log(path: Path, user: str) -> list[str]:
    """Take the lines that name a user out of a log."""
    lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
    others = [line for line in lines if not names(line, user)]
    if len(others) < len(lines):
        write_bytes(path, b"".join(others))
    return told(path, len(lines) - len(others), "line")


def _stale(run: Path, user: str) -> list[str]:
    """A scorecard that could not be made anew, for the predictions that it is of are gone."""
    card = run / SCORECARD_NAME
    if not card.is_file() or user not in {row.user for row in read_scorecard(card).per_user}:
        return []
    return [f"{run}: its scorecard and report, for tasks or predictions that they are of are gone; remove the folder"]


def _learned(run: Path, user: str, record: Mapping[str, Any], data: Path | None) -> list[str]:
    """What a trained model may have of a user, as far as the records can tell."""
    settings = record.get("settings", {})
    if settings.get("command") != "train":
        return []
    weights = " and ".join(name for name in (BEST_NAME, STATE_NAME) if (run / name).is_file()) or "weights"
    path = find_index(data) if data else None
    rows = read_rows(path) if path else ()
    advice = "train anew without them, into another folder, then delete this one and copies of its weights"
    if data is None or Index(data, "frames", rows).fingerprint != settings.get("data_fingerprint"):
        return [f"{run}: {weights}; if they were in the tree it was trained on, which isn't known here, {advice}"]
    splits = {row.split for row in rows if row.user == user}
    if "train" in splits:
        return [f"{run}: {weights} learned from their videos and can't unlearn them; {advice}"]
    if "validation" in splits:
        return [f"{run}: {weights} were chosen by accuracy on their videos; {advice}"]
    return []  # test users have no part in training


def _foreign(run: Path, user: str) -> list[str]:
    card = run / SCORECARD_NAME
    ours = {TASKS_NAME, SCORECARD_NAME, LOG_NAME, RECORD_NAME, TIMELINES_CSV, SECONDS_NAME, REPORT_NAME, "report.md"}
    ours |= set(csv_files(read_scorecard(card))) if card.is_file() else set()
    return [f"{path}: not of this run, and names {user}; look into it" for path in mentions(run, user, known=ours)]
