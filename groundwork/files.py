"""Files and folders that appear whole or not at all: written under a temporary name, synced, then renamed."""

import errno
import hashlib
import itertools
import json
import os
import re
import shutil
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from groundwork.csv_cells import csv_lines
from groundwork.lock import is_still_at, try_lock
from groundwork.targets import open_stream, spooled, target

PART_SUFFIX = ".part"
MOST_WRITERS = 64  # processes that may write one file at the same time
_NUMBERED = re.compile(r"(\.[A-Za-z0-9]+)~[0-9]+\Z")
_ABANDONED_AFTER_S = 86_400.0  # without locks, a part that has not changed for so long counts as abandoned
_SYNCS_AT_ONCE = 16


def part_path(path: Path, number: int = 1) -> Path:
    """The hidden file next to `path` that is written first and then renamed: `a/.b.part` for `a/b`, or `a/.b~2.part`
    for a second process that writes it at the same time."""
    return path.with_name(f".{path.name}{f'~{number}' if number > 1 else ''}{PART_SUFFIX}")


def is_part(name: str) -> bool:
    """Whether a file name is one that `part_path` gives: a partial file of running or interrupted work."""
    return name.startswith(".") and name.endswith(PART_SUFFIX)


def final_name(name: str) -> str:
    """The name that a partial file would have got: `b.csv` for `.b.csv.part` and for `.b.csv~2.part`.

    A number is removed only after a suffix: folders have no suffix and no numbered parts, so `a~2` is a folder's name.

    Raises:
        ValueError: if it is not the name of a part.
    """
    if not is_part(name):
        raise ValueError(f"{name!r} is not the name of a part")
    return _NUMBERED.sub(r"\1", name.removeprefix(".").removesuffix(PART_SUFFIX))


def remove_parts(path: Path) -> None:
    """Remove the partial files that interrupted writing of `path` has left. No process may be writing it now."""
    for number in range(1, MOST_WRITERS + 1):
        part_path(path, number).unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing that replaces `path` only when the block ends without an error.

    If `path` is a link, the file it points to is replaced or created. A device or a pipe gets the content when the
    block ends, and nothing if it ends with an error. Several processes may write one path at once: each writes its own
    part, and the last to finish wins. The new file has the permissions of the one it replaces.
    """
    destination = target(path)
    try:
        with spooled(destination) if destination.stream else _replaced(destination.path) as file:
            yield file
    except BaseException as error:
        _add_file_name(error, path)
        raise


@contextmanager
def _replaced(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    file, part = _own_part(path)
    try:
        with suppress(FileNotFoundError):
            os.chmod(part, stat.S_IMODE(path.stat().st_mode))
        yield file
        file.flush()
        os.fsync(file.fileno())
        _close_on_windows(file)
        part.replace(path)  # still locked: an unlocked part would be taken for an abandoned one
    except BaseException:
        with suppress(OSError):  # closing tries once more to write the buffer
            _close_on_windows(file)
        part.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):
            file.close()
    _sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill; it becomes `path` (which must not exist) when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir()
    try:
        yield part
        _sync_tree(part)
        part.rename(path)
        _sync_folder(path.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        _add_file_name(error, path)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; a device or a pipe is written to directly."""
    destination = target(path)
    try:
        with open_stream(destination) if destination.stream else _replaced(destination.path) as file:
            file.write(content)
    except OSError as error:
        _add_file_name(error, path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text file whole or not at all."""
    write_bytes(path, text.encode())


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a header, for a spreadsheet or for `open_csv`; see `csv_lines`."""
    return csv_lines(itertools.chain([heading], rows))


def write_json(path: Path, content: Any) -> None:
    """Write indented JSON, keys in the order given, whole or not at all. Raises ValueError for NaN and infinity."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _own_part(path: Path) -> tuple[BinaryIO, Path]:
    """A new part for this writer alone, open, and locked until it is closed. Abandoned parts are removed."""
    for number in range(1, MOST_WRITERS + 1):
        part = part_path(path, number)
        while True:
            try:
                file = part.open("xb")
            except FileExistsError:
                if _remove_if_abandoned(part):
                    continue
                break  # another process is writing it
            if _lock_part(file) is not False and is_still_at(part, file):
                _remove_abandoned_after(path, number)
                return file, part
            file.close()  # another process took it for abandoned before it was locked
    raise FileExistsError(
        errno.EEXIST, "too many processes write it at once, or old parts of it can't be removed", str(path)
    )


def _remove_abandoned_after(path: Path, number: int) -> None:
    """Remove the parts with the next three numbers if their processes were killed; more would take too long."""
    for later in range(number + 1, number + 4):
        if os.path.lexists(part := part_path(path, later)):
            _remove_if_abandoned(part)


def _remove_if_abandoned(part: Path) -> bool:
    """Remove a part whose process is gone; False if a process is writing it or it can't be removed."""
    try:
        file = part.open("r+b")
    except FileNotFoundError:
        return True
    except OSError:  # a folder, or another user's file
        return False
    with file:
        locked = _lock_part(file)
        age_s = time.time() - os.fstat(file.fileno()).st_mtime
        is_abandoned = age_s > _ABANDONED_AFTER_S if locked is None else locked
        if is_abandoned and is_still_at(part, file):
            part.unlink()
    return is_abandoned


def _lock_part(file: BinaryIO) -> bool | None:
    # on Windows, a lock keeps even its own process from reading the file by name
    return None if os.name == "nt" else try_lock(file)


def _close_on_windows(file: BinaryIO) -> None:
    if os.name == "nt":  # Windows can neither rename nor remove an open file
        file.close()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows can't open a folder; its file system journals the rename
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    """Wait until all of a folder is on disk. Files are synced in parallel, because one write of the file system's
    journal serves all that wait: on ext4, 300 frames take 0.05 s, one after another about 1 s."""
    folders, files = [], []
    for place, _, names in os.walk(folder):
        folders.append(Path(place))
        files += [f"{place}{os.sep}{name}" for name in names]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        shares = (files[first::_SYNCS_AT_ONCE] for first in range(min(_SYNCS_AT_ONCE, len(files))))
        for _ in pool.map(_sync_files, shares):
            pass  # raises what a sync raised
        for _ in pool.map(_sync_folder, folders):
            pass


def _sync_files(paths: Iterable[str]) -> None:
    for path in paths:
        handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)  # Windows syncs only what can be written
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _add_file_name(error: BaseException, path: Path) -> None:
    """Add the file's name to a system error that has none, such as that of a disk that becomes full while writing."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)
