"""A results.json as it stands: its entries, read strictly, whoever wrote it. eval.formats.challenge says what
they mean."""

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
HIGHEST = 2**31 - 1  # of a frame number: predictions have 32 bits for it
MOST_BYTES = 2**27  # 17 users of 50 tasks are some 30 MB; parsed, a hostile file takes some 20 times its size
UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "P": 10**15}

_MACS = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([KMGTP]?)", re.ASCII)


@dataclass(frozen=True, eq=False)
class EntryVideo:
    """One video's predictions.

    frames: numbers as the file has them, shape (frames,): one may be there twice. predicted: indices into the entry's
    objects, shape (frames,); -1 for one that points nowhere.
    """

    name: str
    frames: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True)
class Entry:
    """One task of a file: `place` is its place in its user's list, `where` names it in an error."""

    user: str
    place: int
    objects: tuple[str, ...]
    videos: tuple[EntryVideo, ...]
    macs: int | None
    where: str


def read_entries(path: Path) -> tuple[Form, list[Entry]]:
    """Every task of a results.json, in its order, and which form it has.

    Raises:
        UsageError: if there is no such file.
        DataError: if it is too large, not JSON, or of another shape; names the place.
    """
    require_file(path, "a results file (results.json)")
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise DataError(f"{path}: {size} bytes; a results.json has some 30 million, and {MOST_BYTES} are the limit")
    content = parse_object(path.read_bytes(), str(path), pairs=keep_doubled)
    _require_once(content, str(path), "user")
    kinds = {type(value) for value in content.values()}
    if kinds == {list}:
        return "2023", [entry for user, tasks in content.items() for entry in _entries_2023(path, user, tasks)]
    if kinds and all(issubclass(kind, dict) for kind in kinds):
        return "2022", [_entry_2022(path, user, value) for user, value in content.items()]
    raise DataError(
        f"{path}: no results.json: each user with a list of tasks (2023), or each with user_objects and user_videos "
        "(2022), was expected"
    )


def _entries_2023(path: Path, user: str, tasks: list[Any]) -> Iterator[Entry]:
    for place, task in enumerate(tasks):
        where = f"{path}: user {quoted(user)}, task {place}"
        if not isinstance(task, dict):
            raise DataError(f"{where}: an object was expected, found {quoted(task)}")
        objects = _objects(task, "task_object_list", where)
        videos = []
        for name, frames in _named_videos(task, "task_videos", where):
            spot = f"{where}, video {quoted(name)}"
            if not isinstance(frames, dict):
                raise DataError(f"{spot}: frame numbers and predictions were expected, found {quoted(frames)}")
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
            raise DataError(f"{spot}: a list of predictions was expected, found {quoted(indices)}")
        frames = np.arange(1, len(indices) + 1, dtype=np.int64)
        videos.append(EntryVideo(name, frames, _indices(indices, len(objects), spot)))
    return Entry(user, 0, objects, tuple(videos), None, f"user {quoted(user)}")


def _objects(entry: dict[str, Any], key: str, where: str) -> tuple[str, ...]:
    _require_once(entry, where, "key")
    names = entry.get(key)
    if not isinstance(names, list) or not names or any(type(name) is not str or not name for name in names):
        raise DataError(f"{where}: {key}: a list of names was expected, found {quoted(names)}")
    if len(set(names)) < len(names):
        raise DataError(f"{where}: {key}: a name is there twice")
    return tuple(names)


def _named_videos(entry: dict[str, Any], key: str, where: str) -> list[tuple[str, Any]]:
    videos = entry.get(key)
    if not isinstance(videos, dict):
        raise DataError(f"{where}: {key}: videos by name were expected, found {quoted(videos)}")
    _require_once(videos, f"{where}, {key}", "video")
    if "" in videos:
        raise DataError(f"{where}: {key}: a video without a name")
    return list(videos.items())


def _frame_numbers(keys: Sequence[str], where: str) -> NDArray[np.int64]:
    joined = "".join(keys)
    # a number of ten digits may be too large, one of more is: looked at before it is read
    if "" in keys or (keys and not (joined.isascii() and joined.isdecimal())) or max(map(len, keys), default=0) > 10:
        wrong = next(key for key in keys if not (key.isascii() and key.isdecimal()) or len(key) > 10)
        raise DataError(f"{where}: a frame number was expected, found {quoted(wrong)}")
    numbers = np.array(list(map(int, keys)), dtype=np.int64)
    if len(numbers) and numbers.max() > HIGHEST:
        raise DataError(f"{where}: frame {numbers.max()}; the highest that can be is {HIGHEST}")
    return numbers


def _indices(values: Sequence[Any], way: int, where: str) -> NDArray[np.int64]:
    if not set(map(type, values)) <= {int}:  # a bool is no index
        wrong = next(value for value in values if type(value) is not int)
        raise DataError(f"{where}: a predicted index was expected, found {quoted(wrong)}")
    return np.array([value if 0 <= value < way else -1 for value in values], dtype=np.int64)


def _macs(value: Any, where: str) -> int | None:
    if value is None:
        return None
    if type(value) in (int, float) and 0 <= value < math.inf:
        return int(value)
    match = _MACS.fullmatch(value) if type(value) is str and len(value) < 40 else None
    if match is None:
        raise DataError(f"{where}: task_macs_to_personalise: a number was expected, found {quoted(value)}")
    return round(float(match[1]) * UNITS[match[2]])


def _require_once(found: dict[str, Any], where: str, what: str) -> None:
    if isinstance(found, DoubledObject):
        raise DataError(f"{where}: {what} {quoted(found.doubled()[0])} is there twice")


def quoted(value: Any) -> str:
    """A value from a file on one line, its end cut off."""
    text = repr(value[:100] if isinstance(value, str | list) else value if not isinstance(value, dict) else {})
    return text if len(text) <= 80 else text[:77] + "..."
