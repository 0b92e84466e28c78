"""A run's folder: its settings, machine and versions, its log, and the check whether a run can be resumed in it."""

import json
import logging
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any, Self

from groundwork.errors import DataError, KitError, UsageError
from groundwork.files import is_part, write_json
from groundwork.lock import LOCK_NAME, only_run
from groundwork.strict_json import parse_json

_LOG = logging.getLogger("orbit_lite")

RECORD_NAME = "run.json"
LOG_NAME = "log.txt"
USERS_REMOVED = "users_removed"  # a key of the record, present after a user was removed from the run
PACKAGES = ("orbit-lite", "torch", "torchvision", "timm", "numpy", "opencv-python", "av")
ADDED_PARTS = "orbit_lite."  # prefix of the entry point groups through which packages add heads, backbones and learners
AsNow = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_WENT_ON = "went_on"  # a key of the record: versions and machines that the run was resumed with, if they changed
_NO_MATTER = ("workers",)  # machine facts that the result does not depend on


class RunFolder:
    """A folder that belongs to one run. `settings` decide whether the work in it is of this run and can be resumed.

    `run.json` holds them with the versions and the machine that the run started with, and, under `went_on`, those that
    it was resumed with, if they changed.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        machine: Mapping[str, Any],
        upgrade: AsNow = dict,
    ) -> None:
        """Start a run in an empty folder, or resume it if the settings are the same; see `open`."""
        self.path = path
        self._now = {"versions": versions(), "machine": dict(machine)}
        wanted = parse_json(json.dumps(settings))  # as read back from JSON, where tuples are lists
        record = path / RECORD_NAME
        if record.is_file():
            self._record = read_record(path)
            if self._record.get(USERS_REMOVED):
                raise UsageError(
                    f"{path}: a user was removed from this run at their request. It can be read, scored and "
                    "reported, but not resumed; give another --out"
                )
            found = self._record.get("settings")
            found = upgrade(found) if isinstance(found, dict) else found
            if found != wanted:
                raise UsageError(f"{path}: holds another run ({_difference(found, wanted)}); give another --out")
        elif any(entry.name != LOCK_NAME and not is_part(entry.name) for entry in path.iterdir()):
            raise UsageError(f"{path}: this folder is not empty and holds no run of this kit; give another --out")
        else:
            self._record = {"settings": wanted, **self._now}
            write_json(record, self._record)

    @classmethod
    @contextmanager
    def open(
        cls,
        path: Path,
        settings: Mapping[str, Any],
        *,
        machine: Mapping[str, Any],
        upgrade: AsNow = dict,
    ) -> Iterator[Self]:
        """Open the folder for this run, creating it if missing, and lock it against other processes while the block
        runs.

        Args:
            path: the folder.
            settings: the settings that identify the run; JSON.
            machine: the machine that it runs on: device, threads and so on.
            upgrade: converts settings that an earlier release wrote to those that this release writes for the same run,
                by adding new keys with values that reproduce the earlier behavior.

        Raises:
            UsageError: if another process is using the folder, or it holds another run or anything else.
            DataError: if its record is damaged.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: this is a file; expected a folder for the run. Give another --out")
        with only_run(path):
            yield cls(path, settings, machine=machine, upgrade=upgrade)

    def log(self, line: str) -> None:
        """Log a line, and write it to the run's log file with the time."""
        _LOG.info("%s", line)
        with (self.path / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def log_started(self) -> None:
        """Record the machine and versions of a run in which nothing has been computed yet."""
        if any(self._record.get(name) != value for name, value in self._now.items()) or _WENT_ON in self._record:
            self._record = {name: value for name, value in self._record.items() if name != _WENT_ON} | self._now
            write_json(self.path / RECORD_NAME, self._record)

    def log_resumed(self, line: str) -> None:
        """Log `line`, which says where an interrupted run resumes, and any change in what rounding depends on."""
        self.log(line)
        before = self._record.get(_WENT_ON, [self._record])[-1]
        if changes := _changes(before, self._now):
            self.log(
                f"changed since the interruption: {changes}. The result may differ by rounding from that of an "
                "uninterrupted run"
            )
            self._record.setdefault(_WENT_ON, []).append(self._now)
            write_json(self.path / RECORD_NAME, self._record)


def machine_before(run: Path) -> dict[str, Any]:
    """The machine that a run was last computed on, from its record; empty without a readable record."""
    try:
        record = read_record(run)
        found = record.get(_WENT_ON, [record])[-1].get("machine")
    except (KitError, OSError, AttributeError, IndexError, TypeError):
        return {}  # resuming the run reports the error
    return found if isinstance(found, dict) else {}


def versions() -> dict[str, str]:
    """Versions of Python and of the installed packages that a result may depend on, including those that add parts."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    groups = [group for group in metadata.entry_points().groups if group.startswith(ADDED_PARTS)]
    added = [entry.dist for group in groups for entry in metadata.entry_points(group=group)]
    return found | {package.name: package.version for package in added if package}


def read_record(run: Path) -> dict[str, Any]:
    """Read a run's record: its settings, versions and machine.

    Raises:
        UsageError: if the folder holds no run.
        DataError: if the record is damaged.
    """
    path = run / RECORD_NAME
    if not path.is_file():
        raise UsageError(f"{run}: not a run folder of this kit; expected a folder with a {RECORD_NAME}")
    try:
        content = parse_json(path.read_bytes(), finite=True)
        fault = "" if isinstance(content, dict) else "not a record"
    except ValueError as error:
        fault = str(error)
    if fault:
        raise DataError(f"{path}: damaged ({fault}); delete the folder {path.parent} or give another --out")
    return content


def _difference(found: Any, wanted: Any, place: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            if found.get(key) == wanted.get(key):
                continue
            if key == "data_fingerprint":
                return "its tree is another one, or has changed since"
            return _difference(found.get(key), wanted.get(key), f"{place}.{key}" if place else key)
    there, here = ("not set" if value is None else repr(value) for value in (found, wanted))
    return f"{place} is {there} there, {here} here"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """All relevant differences in versions and machine, such as `threads 2, now 1`; "" if there are none."""
    pairs = [
        (name, before.get(part, {}).get(name, "unknown"), value)
        for part in ("versions", "machine")
        for name, value in now[part].items()
        if name not in _NO_MATTER
    ]
    return "; ".join(f"{name} {old}, now {new}" for name, old, new in pairs if old != new)
