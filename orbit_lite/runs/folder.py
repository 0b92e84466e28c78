"""A run's folder: what was run, on what, with which versions; its log; and whether it is the same run again."""

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
USERS_REMOVED = "users_removed"  # a key of the record, once a user was removed from the run
PACKAGES = ("orbit-lite", "torch", "torchvision", "timm", "numpy", "opencv-python", "av")
ADDED_PARTS = "orbit_lite."  # groups of entry points begin so, by which packages add heads, backbones and learners
AsNow = Callable[[Mapping[str, Any]], Mapping[str, Any]]
_WENT_ON = "went_on"  # a key of the record: versions and machines that the run resumed with, where these changed
_NO_MATTER = ("workers",)  # of the machine: the result does not hang on it


class RunFolder:
    """A folder that is one run's. `settings` decide whether work found there is this run's and may go on.

    `run.json` holds them, with the versions and the machine that the run began with, and under `went_on` those that it
    went on with, where they were others.
    """

    def __init__(
        self,
        path: Path,
        settings: Mapping[str, Any],
        *,
        machine: Mapping[str, Any],
        as_now: AsNow = dict,
    ) -> None:
        """Begin in an empty folder, or take the run up again where the settings are the same; see `held`."""
        self.path = path
        self._now = {"versions": versions(), "machine": dict(machine)}
        wanted = parse_json(json.dumps(settings))  # as it reads back: tuples are lists
        record = path / RECORD_NAME
        if record.is_file():
            self._record = read_record(path)
            if self._record.get(USERS_REMOVED):
                raise UsageError(
                    f"{path}: a user was removed from this run at their wish: it can be read, scored and reported, but"
                    " not gone on with; give another --out"
                )
            found = self._record.get("settings")
            found = as_now(found) if isinstance(found, dict) else found
            if found != wanted:
                raise UsageError(f"{path}: holds another run ({_difference(found, wanted)}); give another --out")
        elif any(entry.name != LOCK_NAME and not is_part(entry.name) for entry in path.iterdir()):
            raise UsageError(f"{path}: not empty, and no run of this kit; give another --out")
        else:
            self._record = {"settings": wanted, **self._now}
            write_json(record, self._record)

    @classmethod
    @contextmanager
    def held(
        cls,
        path: Path,
        settings: Mapping[str, Any],
        *,
        machine: Mapping[str, Any],
        as_now: AsNow = dict,
    ) -> Iterator[Self]:
        """The folder (made if missing) for this run, with no other process at it while the block runs.

        Args:
            path: the folder.
            settings: what makes it this run and no other; JSON.
            machine: what it is computed on: device, threads and so on.
            as_now: settings that an earlier release wrote to what this one would write for the same run: with keys
                that were added since, at the values that stand for what was done before.

        Raises:
            UsageError: if another process is at it, or it holds another run, or something else.
            DataError: if its record is damaged.
        """
        if path.exists() and not path.is_dir():
            raise UsageError(f"{path}: a file; expected a folder for the run, give another --out")
        with only_run(path):
            yield cls(path, settings, machine=machine, as_now=as_now)

    def say(self, line: str) -> None:
        """Report a line, and keep it in the run's log with the time."""
        _LOG.info("%s", line)
        with (self.path / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def starts(self) -> None:
        """Record what the run is computed on from here on: nothing of it was computed before, if it was taken up."""
        if any(self._record.get(name) != value for name, value in self._now.items()) or _WENT_ON in self._record:
            self._record = {name: value for name, value in self._record.items() if name != _WENT_ON} | self._now
            write_json(self.path / RECORD_NAME, self._record)

    def goes_on(self, line: str) -> None:
        """Say `line`, from where a run that was cut off goes on; and what rounding hangs on, where that has changed."""
        self.say(line)
        before = self._record.get(_WENT_ON, [self._record])[-1]
        if changes := _changes(before, self._now):
            self.say(
                f"not as it was when it was cut off: {changes}. "
                "The result may differ by rounding from that of a run that was not"
            )
            self._record.setdefault(_WENT_ON, []).append(self._now)
            write_json(self.path / RECORD_NAME, self._record)


def machine_before(run: Path) -> dict[str, Any]:
    """What a run was last computed on, by its record; nothing if there is none that can be read."""
    try:
        record = read_record(run)
        found = record.get(_WENT_ON, [record])[-1].get("machine")
    except (KitError, OSError, AttributeError, IndexError, TypeError):
        return {}  # what is wrong with it is said when the run is taken up
    return found if isinstance(found, dict) else {}


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result may depend on, those that add parts included; those not installed
    are left out."""
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
    """What a run's folder says of it: its settings, versions and machine.

    Raises:
        UsageError: if it is no run's folder.
        DataError: if the record is damaged.
    """
    path = run / RECORD_NAME
    if not path.is_file():
        raise UsageError(f"{run}: no run of this kit; expected a folder with a {RECORD_NAME}")
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
                return "of another tree, or this one has changed since"
            return _difference(found.get(key), wanted.get(key), f"{place}.{key}" if place else key)
    there, here = ("not set" if value is None else repr(value) for value in (found, wanted))
    return f"{place} is {there} there, {here} here"


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Every difference of versions and machine, as `threads 2, now 1`; "" if there is none that matters."""
    pairs = [
        (name, before.get(part, {}).get(name, "unknown"), value)
        for part in ("versions", "machine")
        for name, value in now[part].items()
        if name not in _NO_MATTER
    ]
    return "; ".join(f"{name} {old}, now {new}" for name, old, new in pairs if old != new)
