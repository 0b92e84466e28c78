"""Tells by name which files in a run's folder belong to the kit; no other file there is ever removed."""

import os
import stat
from pathlib import Path

from data_prep.forgetting.plan import Removable
from eval.report import is_report_file
from eval.verbs import SCORECARD_NAME
from groundwork.errors import DataError
from groundwork.files import final_name, is_part
from groundwork.lock import LOCK_NAME
from groundwork.removal import identity, is_link
from groundwork.strict_json import DoubledKeyError, parse_json
from groundwork.words import counted
from orbit_lite.evaluation.evaluate import PARTS_NAME, PREDICTIONS_NAME, SECONDS_NAMES, TASKS_NAME
from orbit_lite.runs.folder import LOG_NAME, RECORD_NAME

REPORT_NAME, RESULTS_NAME = "report.html", "results.json"
_NAMES = {TASKS_NAME, PREDICTIONS_NAME, SCORECARD_NAME, *SECONDS_NAMES, LOG_NAME, RECORD_NAME}


def is_run_file(name: str) -> bool:
    """Whether `evaluate` writes a file of this name, or a partial file for it."""
    if is_part(name):
        name = final_name(name)
    return name in _NAMES or is_report_file(name)


def cut_off_files(run: Path) -> list[Removable]:
    """Partial files of the kit that an interrupted write left in a run."""
    return [file for file in _own_files(run) if is_part(file.place[-1])]


def all_files(run: Path, user: str) -> tuple[list[Removable], list[str]]:
    """All of the kit's files in a run of a single user, tasks and record last; and one line per other item.

    Links are not followed, and never count as the kit's.
    """
    files = _own_files(run)
    if set(read_results(run / RESULTS_NAME)) == {user}:
        files.insert(0, Removable((RESULTS_NAME,), identity(os.lstat(run / RESULTS_NAME))))
    own = {file.place for file in files}
    others: list[tuple[str, ...]] = [
        (name,) for name in _listed(run) if name not in (PARTS_NAME, LOCK_NAME) or is_link(os.lstat(run / name))
    ]
    others += [(PARTS_NAME, name) for name in _listed(run / PARTS_NAME)]
    return files, [_other(run.joinpath(*place)) for place in others if place not in own]


def linked_file(run: Path) -> Path | None:
    """The first of the kit's files in a run that is a symbolic link; None if there is none."""
    own = [run / name for name in _listed(run) if name in (PARTS_NAME, RESULTS_NAME) or is_run_file(name)]
    own += [run / PARTS_NAME / name for name in _listed(run / PARTS_NAME)]
    return next((path for path in own if is_link(os.lstat(path))), None)


def read_results(path: Path) -> dict[str, object]:
    """The content of a results.json by user; empty if the file does not exist or is of another kind.

    Raises:
        DataError: if it holds a key twice, because rewriting it would lose one of the two.
    """
    try:
        content = parse_json(path.read_bytes()) if path.is_file() else None
    except DoubledKeyError as error:
        raise DataError(f"{path}: {error}; remove the file, then run 'orbit-lite forget' again") from None
    except ValueError:
        content = None
    return content if isinstance(content, dict) else {}


def _own_files(run: Path) -> list[Removable]:
    places: list[tuple[str, ...]] = [
        (PARTS_NAME, name) for name in _listed(run / PARTS_NAME) if name.endswith(".parquet") or is_part(name)
    ]
    names = sorted(filter(is_run_file, _listed(run)), key=lambda name: (name == RECORD_NAME, name == TASKS_NAME))
    places += [(name,) for name in names]
    stated = [(place, os.lstat(run.joinpath(*place))) for place in places]
    return [Removable(place, identity(status)) for place, status in stated if stat.S_ISREG(status.st_mode)]


def _other(path: Path) -> str:
    status = os.lstat(path)
    if is_link(status):
        return f"{path}: a symbolic link to {os.path.realpath(path)}, which is not followed"
    if stat.S_ISDIR(status.st_mode):
        files = sum(len(names) for _, _, names in os.walk(path))
        return f"{path}: a folder of {counted(files, 'file')}, not this kit's"
    return f"{path}: not this kit's"


def _listed(folder: Path) -> list[str]:
    """The names in a folder; empty if there is no such folder or it is a link."""
    return sorted(os.listdir(folder)) if folder.is_dir() and not is_link(os.lstat(folder)) else []
