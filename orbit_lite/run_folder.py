"""A run's folder: what was run, on what, with which versions; its log; and whether it is the same run again."""

import hashlib
import json
import platform
import time
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from groundwork.errors import AskedWrong, FoundWrong
from groundwork.files import write_json

RECORD_NAME = "run.json"
LOG_NAME = "log.txt"
PACKAGES = ("orbit-lite", "torch", "torchvision", "timm", "numpy", "opencv-python", "av")


class RunFolder:
    """Claims a folder for one run. `settings` decide whether work found there is this run's and may go on."""

    def __init__(self, path: Path, settings: Mapping[str, Any], *, machine: Mapping[str, Any]) -> None:
        """Make the folder, or take it up again where the settings are the same.

        Raises:
            AskedWrong: if the folder holds another run, or something else.
        """
        self.path = path
        wanted = json.loads(json.dumps(settings))  # as it reads back: tuples are lists
        if path.exists() and not path.is_dir():
            raise AskedWrong(f"{path}: a file; expected a folder for the run, give another --out")
        record = path / RECORD_NAME
        self.resumed = record.is_file()
        if self.resumed:
            found = _read_record(record).get("settings")
            if found != wanted:
                raise AskedWrong(f"{path}: holds another run ({_difference(found, wanted)}); give another --out")
        elif path.is_dir() and any(path.iterdir()):
            raise AskedWrong(f"{path}: not empty, and no run of this kit; give another --out")
        else:
            path.mkdir(parents=True, exist_ok=True)
            write_json(record, {"settings": wanted, "versions": versions(), "machine": dict(machine)})

    def say(self, line: str) -> None:
        """Print a line, and keep it in the run's log with the time."""
        print(line, flush=True)
        with (self.path / LOG_NAME).open("a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages a result depends on; those not installed are left out."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def file_sha256(path: Path) -> str:
    """Hash of a file's content, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_record(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise FoundWrong(f"{path}: damaged; delete the folder {path.parent} or give another --out")
    return content


def _difference(found: Any, wanted: Any, place: str = "") -> str:
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted({*found, *wanted}):
            if found.get(key) != wanted.get(key):
                return _difference(found.get(key), wanted.get(key), f"{place}.{key}" if place else key)
    return f"{place} is {found!r} there, {wanted!r} here"
