"""Removes a user from a tree and from runs on it. The rest of a run remains a valid run of the other users."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from data_prep.forgetting.derived import contains_name, texts_naming
from data_prep.forgetting.forget import nothing_of, plan_in_tree
from data_prep.forgetting.plan import Change, EmptyFolder, Forgotten, Plan, Removable, nothing_found, remove_files
from data_prep.tree.index import Index, find_index, read_rows
from data_prep.tree.layout import user_name
from eval.formats.records import read_scorecard, read_tasks
from eval.verbs import SCORECARD_NAME
from groundwork.errors import UsageError
from groundwork.files import write_bytes, write_json
from groundwork.lock import LOCK_NAME
from groundwork.removal import Root, identity
from groundwork.targets import links_not_followed
from groundwork.words import counted
from orbit_lite.evaluation.evaluate import PARTS_NAME, PREDICTIONS_NAME, TASKS_NAME
from orbit_lite.evaluation.rescore import count_user, drop_user, was_cut_off
from orbit_lite.evaluation.run_files import (
    RESULTS_NAME,
    all_files,
    is_run_file,
    linked_file,
)
from orbit_lite.runs.folder import LOG_NAME, RECORD_NAME, USERS_REMOVED, read_record
from orbit_lite.training.loop import BEST_NAME, STATE_NAME


def plan_forget(data: Path, user: str, runs: Sequence[Path] = ()) -> Plan:
    """Plan the removal of a user from a tree and from runs. Changes nothing.

    The tree is changed first, so that files that the runs need for scoring again, such as its index, no longer have the
    user. What the runs learned from the user is determined now, while the tree still shows it.

    Args:
        data: the tree, as for `data_prep.forgetting.forget.plan_forget`.
        user: the name as in the tree.
        runs: folders of `evaluate` and `train`. Missing ones are reported but are not an error, because an earlier,
            interrupted call may have removed them.

    Raises:
        UsageError: as `data_prep.forgetting.forget.plan_forget` and `plan_forget_in_run`.
        DataError: as they do.
    """
    user = user_name(user)
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder; expected a tree of frames, raw videos or packed users")
    plan = plan_in_tree(data, user)
    for run in runs:
        plan += plan_in_run(run, user, data=data)
    return plan if plan.changes or plan.remaining else replace(plan, note=nothing_of(data, user))


def plan_forget_in_run(run: Path, user: str, *, data: Path | None = None) -> Plan:
    """Plan the removal of a user from a run. Changes nothing.

    From a run of `evaluate`, their tasks and predictions are removed, and it is scored and reported again. From any
    run, log lines that name them are removed. A run with only this user is removed completely.

    Scorecard and report then state how many users were removed, but not who. The run can be read, scored and reported,
    but not resumed. A run of `train` keeps its weights, which is reported.

    Args:
        run: the run's folder.
        user: the name as in the tree.
        data: the run's tree, if available: for accuracy by annotation and, while the user is still in it, to tell
            whether a model learned from them.

    Raises:
        UsageError: if it is not a run's folder or is a link to one, or the user's name is invalid.
        DataError: if its files are damaged, or it has nothing of this user but has a user whose name differs only in
            case or punctuation.
    """
    plan = plan_in_run(run, user_name(user), data=data)
    if plan.changes or plan.remaining:
        return plan
    tasks = run / TASKS_NAME
    users = {task.user for task in read_tasks(tasks).tasks} if tasks.is_file() else set()
    return replace(plan, note=nothing_found(users, user, run))


def forget(data: Path, user: str, runs: Sequence[Path] = ()) -> Forgotten:
    """Make the plan and carry it out without asking. Raises as `plan_forget`, and if another run is in progress."""
    return plan_forget(data, user, runs).carry_out()


def forget_in_run(run: Path, user: str, *, data: Path | None = None) -> Forgotten:
    """Like `forget`, for one run."""
    return plan_forget_in_run(run, user, data=data).carry_out()


def plan_in_run(run: Path, user: str, *, data: Path | None = None, list_other_files: bool = True) -> Plan:
    """Like `plan_forget_in_run`, but it is not an error if the run is missing or has nothing of the user.

    Args:
        run, user, data: as for `plan_forget_in_run`.
        list_other_files: whether to list files in its folder that are not the run's but name the user.
    """
    if run.is_symlink():
        raise UsageError(f"{run}: is a symbolic link to {run.resolve()}; give the path of the folder itself")
    if not run.is_dir():
        return Plan(unreachable=(f"{run}: no such run; it was removed before, or the path is wrong",))
    if {path.name for path in run.iterdir()} <= {LOCK_NAME}:
        line = f"{run}: an empty folder, left by an interrupted removal"
        return Plan((run,), (Change(line, lambda: Forgotten((line,))),), emptied=(EmptyFolder.of(run),))
    record = read_record(run)
    tasks = run / TASKS_NAME
    users = {task.user for task in read_tasks(tasks).tasks} if tasks.is_file() else set()
    lines, log_lines = count_user(run, user) if tasks.is_file() else [], _log_lines(run, user)
    if refused := _refusal(run):
        return Plan(remaining=(refused,)) if lines or log_lines else Plan()
    if users == {user} or (USERS_REMOVED in record and not tasks.is_file()):
        return _plan_whole(run, user, record)
    changes = []
    if lines or (users and was_cut_off(run, record)):
        line = f"{'; '.join(lines) or run}; then it is scored and reported again"
        changes.append(_guarded(run, line, lambda: Forgotten(tuple(drop_user(run, user, read_record(run), data=data)))))
    if log_lines:
        line = f"{run / LOG_NAME}: {counted(log_lines, 'line')}"
        changes.append(_guarded(run, line, lambda: _clean_log(run, user, line)))
    unreachable = (*_stale(run, user), *_learned(run, user, record, data))
    return Plan((run,), tuple(changes), unreachable=(*unreachable, *(_foreign(run, user) if list_other_files else ())))


def _plan_whole(run: Path, user: str, record: Mapping[str, Any]) -> Plan:
    """Plan the removal of a run. If its folder has other files, these stay, and so does the run's record, with a
    mark."""
    files, left = all_files(run, user)
    files = [file for file in files if file.place != (RECORD_NAME,)]
    if not files and left:
        return Plan(left=tuple(left))
    root = Root.of(run)
    line = f"{run}: the whole run, because it has only this user: {counted(len(files) + (not left), 'file')}"
    removal = remove_files(line, root, files, [(PARTS_NAME,)])

    def carry_out() -> Forgotten:
        # The mark comes first, so that a later call recognizes the run if this one is interrupted after its tasks are
        # gone.
        write_json(run / RECORD_NAME, {**record, USERS_REMOVED: True})
        done = removal.carry_out()
        if not left and not done.remaining:
            last = Removable((RECORD_NAME,), identity(os.lstat(run / RECORD_NAME)))
            remove_files(line, root, [last]).carry_out()
        return done

    return Plan((run,), (_guarded(run, line, carry_out),), tuple(left), emptied=() if left else (EmptyFolder.of(run),))


def _guarded(run: Path, line: str, carry_out: Callable[[], Forgotten]) -> Change:
    """A change of a run that is refused if one of its files has become a link meanwhile."""

    def unless_linked() -> Forgotten:
        refused = _refusal(run)
        with links_not_followed():
            return Forgotten(remaining=(refused,)) if refused else carry_out()

    return Change(line, unless_linked)


def _refusal(run: Path) -> str:
    """Why a run can't be changed, because it or one of its files is a link; "" if it can."""
    link = run if run.is_symlink() else linked_file(run)
    if not link:
        return ""
    return f"{run}: not changed, because {link} is a symbolic link to {link.resolve()}; put the file itself there"


def _log_lines(run: Path, user: str) -> int:
    path = run / LOG_NAME
    return sum(contains_name(line, user) for line in path.read_bytes().splitlines()) if path.is_file() else 0


def _clean_log(run: Path, user: str, line: str) -> Forgotten:
    """Remove the lines that name a user from a run's log."""
    lines = (run / LOG_NAME).read_bytes().splitlines(keepends=True)
    write_bytes(run / LOG_NAME, b"".join(line for line in lines if not contains_name(line, user)))
    return Forgotten((line,))


def _stale(run: Path, user: str) -> list[str]:
    """A scorecard that names the user but can't be made again, because its predictions are gone."""
    card = run / SCORECARD_NAME
    if not card.is_file() or user not in {row.user for row in read_scorecard(card).per_user}:
        return []
    if (run / TASKS_NAME).is_file() and (run / PREDICTIONS_NAME).is_file():
        return []  # it will be made again
    return [f"{run}: its scorecard and report, because their tasks or predictions are gone; remove the folder"]


def _learned(run: Path, user: str, record: Mapping[str, Any], data: Path | None) -> list[str]:
    """What a trained model may have learned from a user, as far as the records show."""
    settings = record.get("settings", {})
    if settings.get("command") != "train":
        return []
    weights = " and ".join(name for name in (BEST_NAME, STATE_NAME) if (run / name).is_file()) or "weights"
    path = find_index(data) if data else None
    rows = read_rows(path) if path else ()
    advice = "train again without them, into another folder, then delete this one and copies of its weights"
    if data is None or Index(data, "frames", rows).fingerprint != settings.get("data_fingerprint"):
        return [f"{run}: {weights}; if they were in the tree that it was trained on, which is unknown here, {advice}"]
    splits = {row.split for row in rows if row.user == user}
    if "train" in splits:
        return [f"{run}: {weights} learned from their videos and can't unlearn them; {advice}"]
    if "validation" in splits:
        return [f"{run}: {weights} were chosen by accuracy on their videos; {advice}"]
    return []  # training does not use test users


def _foreign(run: Path, user: str) -> list[str]:
    ours = [path.name for path in run.iterdir() if is_run_file(path.name) or path.name == RESULTS_NAME]
    return [f"{path}: not this run's, but names {user}; look into it" for path in texts_naming(run, user, known=ours)]
