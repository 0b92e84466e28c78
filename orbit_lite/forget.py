"""A user out of a tree and out of the runs on it: what is left of a run is a run of the users who stay."""

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
    """What to remove so that a user is gone from a tree and from runs. Changes nothing.

    The tree comes first: what the runs need of it to be scored again, such as its index, then knows nothing of them.
    What the runs learned from the user is found out now, while the tree can tell.

    Args:
        data: the tree, as for `data_prep.forgetting.forget.plan_forget`.
        user: the name as it stands in the tree.
        runs: folders of `evaluate` and `train`. One that is not there is reported, not refused: an earlier call that
            was cut off may have removed it.

    Raises:
        UsageError: as `data_prep.forgetting.forget.plan_forget` and `plan_forget_in_run`.
        DataError: as they do.
    """
    user = user_name(user)
    if not data.is_dir():
        raise UsageError(f"{data}: no such folder; expected a tree of frames, raw videos or packed users.")
    plan = plan_in_tree(data, user)
    for run in runs:
        plan += plan_in_run(run, user, data=data)
    return plan if plan.changes or plan.remaining else replace(plan, note=nothing_of(data, user))


def plan_forget_in_run(run: Path, user: str, *, data: Path | None = None) -> Plan:
    """What to remove so that a user is gone from a run: of `evaluate`, their tasks and predictions, after which it is
    scored and reported again; of any run, lines of the log that name them. A run of this user alone is removed whole.

    Scorecard and report then say how many users were removed, and not who. The run can be read, scored and reported,
    but not resumed. A run of `train` keeps its weights, which is reported.

    Args:
        run: the run's folder.
        user: the name as it stands in the tree.
        data: the tree that it is of, if that is at hand: for accuracy by annotation, and, while the user is still in
            it, to tell whether a model learned from them.

    Raises:
        UsageError: if it is no run's folder, or a link to one, or this is no user's name.
        DataError: if its files are damaged; or it has nothing of this user, but has one whose name differs in case
            or punctuation only.
    """
    plan = plan_in_run(run, user_name(user), data=data)
    if plan.changes or plan.remaining:
        return plan
    tasks = run / TASKS_NAME
    users = {task.user for task in read_tasks(tasks).tasks} if tasks.is_file() else set()
    return replace(plan, note=nothing_found(users, user, run))


def forget(data: Path, user: str, runs: Sequence[Path] = ()) -> Forgotten:
    """Make the plan and carry it out, without asking. Raises as `plan_forget`, and where another run is at work."""
    return plan_forget(data, user, runs).carry_out()


def forget_in_run(run: Path, user: str, *, data: Path | None = None) -> Forgotten:
    """The same of one run."""
    return plan_forget_in_run(run, user, data=data).carry_out()


def plan_in_run(run: Path, user: str, *, data: Path | None = None, beside: bool = True) -> Plan:
    """As `plan_forget_in_run`, but there may be nothing of them, and no run.

    Args:
        run, user, data: as there.
        beside: whether to name files in its folder that are not the run's, and mention them.
    """
    if run.is_symlink():
        raise UsageError(f"{run}: a symbolic link to {run.resolve()}; a run is changed only where it stands: name that")
    if not run.is_dir():
        return Plan(unreachable=(f"{run}: no such run: it was removed before, or another was meant",))
    if {path.name for path in run.iterdir()} <= {LOCK_NAME}:
        line = f"{run}: an empty folder, as a removal that was cut off leaves it"
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
    return Plan((run,), tuple(changes), unreachable=(*unreachable, *(_foreign(run, user) if beside else ())))


def _plan_whole(run: Path, user: str, record: Mapping[str, Any]) -> Plan:
    """The removal of a run. Where something else stands in its folder, that stays, and so does the record, marked."""
    files, left = all_files(run, user)
    files = [file for file in files if file.place != (RECORD_NAME,)]
    if not files and left:
        return Plan(left=tuple(left))
    below = Root.of(run)
    line = f"{run}: the whole run, for it is of this user alone: {counted(len(files) + (not left), 'file')}"
    theirs = remove_files(line, below, files, [(PARTS_NAME,)])

    def carry_out() -> Forgotten:
        # Marked first: a later call then knows what it was, if this one is cut off when its tasks are gone.
        write_json(run / RECORD_NAME, {**record, USERS_REMOVED: True})
        done = theirs.carry_out()
        if not left and not done.remaining:
            last = Removable((RECORD_NAME,), identity(os.lstat(run / RECORD_NAME)))
            remove_files(line, below, [last]).carry_out()
        return done

    return Plan((run,), (_guarded(run, line, carry_out),), tuple(left), emptied=() if left else (EmptyFolder.of(run),))


def _guarded(run: Path, line: str, carry_out: Callable[[], Forgotten]) -> Change:
    """A change of a run, not made if one of its files has become a link since."""

    def unless_linked() -> Forgotten:
        refused = _refusal(run)
        with links_not_followed():
            return Forgotten(remaining=(refused,)) if refused else carry_out()

    return Change(line, unless_linked)


def _refusal(run: Path) -> str:
    """Why a run can't be changed: one of its files is a link, or it has become one itself; "" if it can."""
    link = run if run.is_symlink() else linked_file(run)
    if not link:
        return ""
    return f"{run}: not changed, for {link} is a symbolic link to {link.resolve()}; put the file itself there"


def _log_lines(run: Path, user: str) -> int:
    path = run / LOG_NAME
    return sum(contains_name(line, user) for line in path.read_bytes().splitlines()) if path.is_file() else 0


def _clean_log(run: Path, user: str, line: str) -> Forgotten:
    """Take the lines that name a user out of a run's log."""
    lines = (run / LOG_NAME).read_bytes().splitlines(keepends=True)
    write_bytes(run / LOG_NAME, b"".join(line for line in lines if not contains_name(line, user)))
    return Forgotten((line,))


def _stale(run: Path, user: str) -> list[str]:
    """A scorecard that could not be made again, for the predictions that it is of are gone."""
    card = run / SCORECARD_NAME
    if not card.is_file() or user not in {row.user for row in read_scorecard(card).per_user}:
        return []
    if (run / TASKS_NAME).is_file() and (run / PREDICTIONS_NAME).is_file():
        return []  # it will be
    return [f"{run}: its scorecard and report, for tasks or predictions that they are of are gone; remove the folder"]


def _learned(run: Path, user: str, record: Mapping[str, Any], data: Path | None) -> list[str]:
    """What a trained model may have of a user, as far as the records can tell."""
    settings = record.get("settings", {})
    if settings.get("command") != "train":
        return []
    weights = " and ".join(name for name in (BEST_NAME, STATE_NAME) if (run / name).is_file()) or "weights"
    path = find_index(data) if data else None
    rows = read_rows(path) if path else ()
    advice = "train again without them, into another folder, then delete this one and copies of its weights"
    if data is None or Index(data, "frames", rows).fingerprint != settings.get("data_fingerprint"):
        return [f"{run}: {weights}; if they were in the tree it was trained on, which isn't known here, {advice}"]
    splits = {row.split for row in rows if row.user == user}
    if "train" in splits:
        return [f"{run}: {weights} learned from their videos and can't unlearn them; {advice}"]
    if "validation" in splits:
        return [f"{run}: {weights} were chosen by accuracy on their videos; {advice}"]
    return []  # test users have no part in training


def _foreign(run: Path, user: str) -> list[str]:
    ours = [path.name for path in run.iterdir() if is_run_file(path.name) or path.name == RESULTS_NAME]
    return [f"{path}: not of this run, and names {user}; look into it" for path in texts_naming(run, user, known=ours)]
