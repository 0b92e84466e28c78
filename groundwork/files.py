"""Files and folders that appear whole or not at all: written beside their place, synced, then renamed."""

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
MOST_WRITERS = 64  # of one file at once
_NUMBERED = re.compile(r"(\.[A-Za-z0-9]+)~[0-9]+\Z")
_LEFT_AFTER_S = 86_400.0  # where there are no locks, a part that nobody has touched for so long is nobody's
_SYNCS_AT_ONCE = 16


def part_path(path: Path, number: int = 1) -> Path:
    """Where `path` is written before it is renamed: hidden, beside it. `a/b` gives `a/.b.part`, or `a/.b~2.part` for a
    second process that writes it at the same time."""
    return path.with_name(f".{path.name}{f'~{number}' if number > 1 else ''}{PART_SUFFIX}")


def is_part(name: str) -> bool:
    """Whether a file name is one that `part_path` gives: the rest of work that was cut off."""
    return name.startswith(".") and name.endswith(PART_SUFFIX)


def final_name(name: str) -> str:
    """The name of what a part was to become: `b.csv` for `.b.csv.part` and for `.b.csv~2.part`.

    Only what has a suffix loses a number: parts of folders have none, and two of these are two users' or videos'.

    Raises:
        ValueError: if it is not a part's name.
    """
    if not is_part(name):
        raise ValueError(f"{name!r} is not the name of a part")
    return _NUMBERED.sub(r"\1", name.removeprefix(".").removesuffix(PART_SUFFIX))


def remove_parts(path: Path) -> None:
    """Remove what writing `path` has left where it was cut off. Nobody may be writing it now."""
    for number in range(1, MOST_WRITERS + 1):
        part_path(path, number).unlink(missing_ok=True)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing that takes `path`'s place only when the block ends without an error.

    A link stays, and the file it leads to is replaced, or made. A device or a pipe stays, too: it gets the content when
    the block ends, and nothing if it ends with an error. Several processes may write one path at once: each has a part
    of its own, and the last to end has the place. What is replaced passes its permissions on.
    """
    leads = target(path)
    try:
        with spooled(leads) if leads.stream else _replaced(leads.path) as file:
            yield file
    except BaseException as error:
        _name_place(error, path)
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
        _let_go(file)
        part.replace(path)  # while it is locked: a part that is not is taken for one that was left
    except BaseException:
        with suppress(OSError):  # what could not be written is tried once more
            _let_go(file)
        part.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):
            file.close()
    _sync_folder(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill; it becomes `path` (which must not exist) when the block ends without an error."""
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
        _name_place(error, path)
        raise


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all; to a device or a pipe as it is, see `whole_file`."""
    leads = target(path)
    try:
        with open_stream(leads) if leads.stream else _replaced(leads.path) as file:
            file.write(content)
    except OSError as error:
        _name_place(error, path)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text file whole or not at all."""
    write_bytes(path, text.encode())


def file_sha256(path: Path) -> str:
    """Hash of a file's content, as hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a header, to be opened in a spreadsheet or read by `open_csv`; see `csv_lines`."""
    return csv_lines(itertools.chain([heading], rows))


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented, keys in the order given, whole or not at all. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _own_part(path: Path) -> tuple[BinaryIO, Path]:
    """A part for this writer alone, new, open and locked until it is closed. Parts that were left are removed."""
    for number in range(1, MOST_WRITERS + 1):
        part = part_path(path, number)
        while True:
            try:
                file = part.open("xb")
            except FileExistsError:
                if _removed_if_left(part):
                    continue
                break  # another process writes there
            if _lock_part(file) is not False and is_still_at(part, file):
                _remove_left_above(path, number)
                return file, part
            file.close()  # it was taken for one that was left, before it was locked
    raise FileExistsError(
        errno.EEXIST, "too many processes write it at once, or parts that can't be removed", str(path)
    )


def _remove_left_above(path: Path, number: int) -> None:
    """Remove parts of processes that were killed while they wrote `path` beside another one: the next few, for each
    look costs a moment."""
    for above in range(number + 1, number + 4):
        if os.path.lexists(part := part_path(path, above)):
            _removed_if_left(part)


def _removed_if_left(part: Path) -> bool:
    """Remove a part whose process is gone; False if somebody writes it, or it is not to be removed."""
    try:
        file = part.open("r+b")
    except FileNotFoundError:
        return True
    except OSError:  # a folder, or somebody else's
        return False
    with file:
        locked = _lock_part(file)
        left = time.time() - os.fstat(file.fileno()).st_mtime > _LEFT_AFTER_S if locked is None else locked
        if left and is_still_at(part, file):
            part.unlink()
    return left


def _lock_part(file: BinaryIO) -> bool | None:
    # a lock on Windows keeps even its own process from reading the file by name
    return None if os.name == "nt" else try_lock(file)


def _let_go(file: BinaryIO) -> None:
    if os.name == "nt":  # Windows can neither rename nor remove an open file
        file.close()


def _sync_folder(folder: Path) -> None:
    if os.name == "nt":  # Windows can't open a folder; the rename itself is journalled there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    """Wait until all of a folder is on the disk. Many files wait at a time, for a file system's journal serves all that
    wait at once: 300 frames take 0.05 s on ext4, one after another about 1 s."""
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


def _name_place(error: BaseException, path: Path) -> None:
    """A full disk is noticed in the midst of writing, where the system's error names no file: let it."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)
