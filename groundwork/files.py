"""Files and folders that appear whole or not at all: written beside their place, synced, then renamed."""

import csv
import io
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

PART_SUFFIX = ".part"
_SYNCS_AT_ONCE = 16


def part_path(path: Path) -> Path:
    """Where `path` is written before it is renamed: hidden, beside it. `a/b` gives `a/.b.part`."""
    return path.with_name(f".{path.name}{PART_SUFFIX}")


def is_part(name: str) -> bool:
    """Whether a file name is one that `part_path` gives: the rest of work that was cut off."""
    return name.startswith(".") and name.endswith(PART_SUFFIX)


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing that takes `path`'s place only when the block ends without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_path(path)
    try:
        with part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        _sync_folder(path.parent)
    except BaseException as error:
        part.unlink(missing_ok=True)
        _name_place(error, path)
        raise


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
    """Write a small file whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, text: str) -> None:
    """Write a small UTF-8 text file whole or not at all."""
    write_bytes(path, text.encode())


def csv_text(heading: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV with a header, lines ending in a newline alone on every system; None gives an empty cell."""
    content = io.StringIO()
    table = csv.writer(content, lineterminator="\n")
    table.writerow(heading)
    table.writerows(rows)
    return content.getvalue()


def write_json(path: Path, content: Any) -> None:
    """Write JSON, indented, keys in the order given, whole or not at all. NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


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
    paths = [folder, *folder.rglob("*")]
    with ThreadPoolExecutor(_SYNCS_AT_ONCE) as pool:
        for _ in pool.map(_sync_file, (path for path in paths if path.is_file())):
            pass  # raises what a sync raised
        for _ in pool.map(_sync_folder, (path for path in paths if path.is_dir())):
            pass


def _sync_file(path: Path) -> None:
    with path.open("rb+" if os.name == "nt" else "rb") as file:  # Windows syncs only what is open for writing
        os.fsync(file.fileno())


def _name_place(error: BaseException, path: Path) -> None:
    """A full disk is noticed in the midst of writing, where the system's error names no file: let it."""
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(path)
