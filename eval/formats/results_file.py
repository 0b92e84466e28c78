"""Strictly reads the entries of a results.json from any source. eval.formats.challenge interprets them."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from eval.formats.reading import parse_object, require_file
from groundwork.errors import DataError
from groundwork.strict_json import DoubledObject, keep_doubled

Form = Literal["2022", "2023"]
FORMS: tuple[Form, ...] = ("2022", "2023")
HIGHEST = 2**31 - 1  # the highest frame number: predictions store 32 bits
# 17 users with 50 tasks take about 30 MB; a hostile file can take about 20 times its size when parsed
MOST_BYTES = 2**27
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}

_MACS = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGTP]?)", re.ASCII)


@dataclass(frozen=True, eq=False)
class EntryVideo:
    """One video's predictions.

    frames: frame numbers as in the file, possibly with duplicates, shape (frames,).
    predicted: indices into the entry's objects, shape (frames,); -1 for invalid indices.
    """

    name: str
    frames: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    """One task of a file: `place` is its index in its user's list, `where` is its name in errors."""

    user: str
    place: int
    objects: tuple[str, ...]
    videos: tuple[EntryVideo, ...]
    macs: int | None
    where: str


def read_entries(path: Path) -> tuple[Form, list[Entry]]:
    """Read all tasks of a results.json, in order, and its form.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is too large, not JSON, or has another structure; the message names the place.
    """
    require_file(path, "a results file (results.json)")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(
            f"{path}: {size} bytes; the limit is {MOST_BYTES}, and a results.json usually has about 30 million"
        )
    content = parse_object(path.read_bytes(), str(path), pairs=keep_doubled)
    _require_once(content, str(path), "user")
    kinds = {type(value) for value in content.values()}
    if kinds == {list}:
        return "2023", [entry for user, tasks in content.items() for entry in _entries_2023(path, user, tasks)]
    if kinds and all(issubclass(kind, dict) for kind in kinds):
        return "2022", [_entry_2022(path, user, value) for user, value in content.items()]
    raise DataError(
        f"{path}: not a results.json; expected a list of tasks for each user (2023), or user_objects and "
        "user_videos for each user (2022)"
    )


def _entries_2023(path: Path, user: str, tasks: list[Any]) -> Iterator[Entry]:
    for place, task in enumerate(tasks):
        where = f"{path}: user {quoted(user)}, task {place}"
        if not isinstance(task, dict):
            raise DataError(f"{where}: expected an object, got {quoted(task)}")
        objects = _objects(task, "task_object_list", where)
        videos = []
        for name, frames in _named_videos(task, "task_videos", where):
            spot = f"{where}, video {quoted(name)}"
            if not isinstance(frames, dict):
                raise DataError(f"{spot}: expected frame numbers and predictions, got {quoted(frames)}")
            pairs = frames.pairs if isinstance(frames, DoubledObject) else frames.items()
            numbers = _frame_numbers([number for number, _ in pairs], spot)
            videos.append(EntryVideo(name, numbers, _indices([index for _, index in pairs], len(objects), spot)))
        macs = _macs(task.get("task_macs_to_personalise"), where)
        yield Entry(user, place, objects, tuple(videos), macs, f"user {quoted(user)}, task {place}")


def _entry_2022(path: Path, user: str, value: dict[str, Any]) -> Entry:
    where = f"{path}: user {quoted(user)}"
    objects = _objects(value, "user_objects", where)
    videos = []
    for name, indices in _named_videos(value, "user_videos", where):
        spot = f"{where}, video {quoted(name)}"
        if not isinstance(indices, list):
            raise DataError(f"{spot}: expected a list of predictions, got {quoted(indices)}")
        frames = np.arange(1, len(indices) + 1, dtype=np.int64)
        videos.append(EntryVideo(name, frames, _indices(indices, len(objects), spot)))
    return Entry(user, 0, objects, tuple(videos), None, f"user {quoted(user)}")


def _objects(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    _require_once(entry, where, "key")
    names = entry.get(key)
    if not isinstance(names, list) or not names or any(type(name) is not str or not name for name in names):
        raise DataError(f"{where}: {key}: expected a list of names, got {quoted(names)}")
    if len(set(names)) < len(names):
        raise DataError(f"{where}: {key}: a name appears twice")
    return tuple(names)


def _named_videos(entry: dict[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    videos = entry.get(key)
    if not isinstance(videos, dict):
        raise DataError(f"{where}: {key}: expected videos by name, got {quoted(videos)}")
    _require_once(videos, f"{where}, {key}", "video")
    if "" in videos:
        raise DataError(f"{where}: {key}: a video without a name")
    return list(videos.items())


def _frame_numbers(keys: Sequence[str], where: str) -> NDArray[np.int64]:
    joined = "".join(keys)
    # a number with ten digits can be too large, a longer one always is, so check the length before parsing
    if "" in keys or (keys and not (joined.isascii() and joined.isdecimal())) or max(map(len, keys), default=0) > 10:
        wrong = next(key for key in keys if not (key.isascii() and key.isdecimal()) or len(key) > 10)
        raise DataError(f"{where}: expected a frame number, got {quoted(wrong)}")
    numbers = np.array(list(map(int, keys)), dtype=np.int64)
    if len(numbers) and numbers.max() > HIGHEST:
        raise DataError(f"{where}: frame {numbers.max()}; expected at most {HIGHEST}")
    return numbers


def _indices(values: Sequence[Any], way: int, where: str) -> NDArray[np.int64]:
    if not set(map(type, values)) <= {int}:  # a bool is not an index
        wrong = next(value for value in values if type(value) is not int)
        raise DataError(f"{where}: expected a predicted index, got {quoted(wrong)}")
    return np.array([value if 0 <= value < way else -1 for value in values], dtype=np.int64)


def _macs(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if type(value) in (int, float) and 0 <= value < math.inf:
        return int(value)
    match = _MACS.fullmatch(value) if type(value) is str and len(value) < 40 else None
    if match is None:
        raise DataError(f"{where}: task_macs_to_personalise: expected a number, got {quoted(value)}")
    return round(float(match[1]) * UNITS[match[2]])


def _require_once(found: dict[str, Any], where: str, what: str) -> None:
    if isinstance(found, DoubledObject):
        raise DataError(f"{where}: {what} {quoted(found.doubled()[0])} appears twice")


def quoted(value: Any) -> str:
    """A value from a file on one line, truncated."""
    text = repr(value[:100] if isinstance(value, str | list) else value if not isinstance(value, dict) else {})
    return text if len(text) <= 80 else text[:77] + "..."
