"""A tree against its index and its annotations, every file read: all faults, not the first."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from data_prep.index import VideoRow, find_index, read_rows
from data_prep.layout import (
    ANNOTATIONS,
    INDEX_NAME,
    annotation_path,
    frame_file_name,
    parse_frame_file_name,
    tree_splits,
)
from data_prep.probe import probe
from data_prep.tree import Found, content_fingerprint, list_frames, scan_tree
from data_prep.video import count_frames, decode_jpeg, iterate_frames
from data_prep.workers import default_workers
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.progress import Progress

_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True)
class Fault:
    """One thing wrong. `path` is relative to the root; `kind` is one word to count by, `detail` a sentence.

    Kinds: missing, extra, changed, unreadable, size, sequence, annotation, index.
    """

    path: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {self.detail}"


@dataclass(frozen=True)
class _Read:
    """What reading one video gave: its frames (name, bytes), the faults, and each frame's (width, height)."""

    files: tuple[tuple[str, int], ...]
    faults: tuple[Fault, ...]
    shapes: tuple[tuple[str, tuple[int, int]], ...]


def verify(root: Path) -> list[Fault]:
    """Read a whole tree, frames or raw videos, and list everything that is wrong with it, sorted by path.

    Without an index, frames and annotations are checked alone.

    Raises:
        AskedWrong: if there is no tree, or a packed one.
        FoundWrong: if its videos can't even be told apart (both kinds in one tree, videos at wrong levels).
    """
    kind, found = scan_tree(root)
    if kind == "packed":
        raise AskedWrong(f"{root}: a packed tree; 'verify' reads frames and raw videos. Unpack it, then verify that.")
    faults: list[Fault] = []
    rows: dict[str, VideoRow] | None = None
    if (path := find_index(root)) is not None:
        try:
            rows = {row.path: row for row in read_rows(path)}
        except FoundWrong as error:
            faults.append(Fault(INDEX_NAME, "index", str(error)))
    read_one = _read_frames if kind == "frames" else _read_raw
    shapes: list[tuple[str, tuple[int, int]]] = []
    frame_numbers: dict[str, set[int]] = {}
    with ThreadPoolExecutor(default_workers()) as pool, Progress("videos", len(found)) as progress:
        for video, read in zip(found, pool.map(lambda video: read_one(root, video), found), strict=True):
            faults += read.faults
            shapes += read.shapes
            frame_numbers[video.video] = {number for name, _ in read.files if (number := _number(video, name))}
            if rows is not None:
                faults += _against_row(root, video, read, rows.pop(_relative(root, video.path), None))
            progress.advance()
    faults += [Fault(place, "missing", f"in {INDEX_NAME}, not on disk") for place in rows or {}]
    faults += _odd_sizes(shapes)
    faults += _annotation_faults(root, found, frame_numbers)
    return sorted(faults, key=lambda fault: (fault.path, fault.kind, fault.detail))


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _number(video: Found, name: str) -> int:
    """A frame file's number, 0 if it is none of this video's."""
    try:
        of_video, number = parse_frame_file_name(name)
    except ValueError:
        return 0
    return number if of_video == video.video and frame_file_name(of_video, number) == name else 0


def _read_frames(root: Path, video: Found) -> _Read:
    faults, shapes = [], []
    files = list_frames(video.path)
    for name, _ in files:
        place = f"{_relative(root, video.path)}/{name}"
        if not _number(video, name):
            faults.append(
                Fault(place, "sequence", f"not a frame's name, expected {frame_file_name(video.video, 1)} and on")
            )
        try:
            content = (video.path / name).read_bytes()
            height, width, _ = decode_jpeg(content).shape
            if _END_OF_JPEG not in content[-64:]:  # some decoders fill up what is cut off
                raise FoundWrong(f"{len(content)} bytes without the mark that ends a JPEG: cut off.")
            shapes.append((place, (width, height)))
        except (FoundWrong, OSError) as error:
            faults.append(Fault(place, "unreadable", str(error)))
    numbers = {_number(video, name) for name, _ in files} - {0}
    gaps = sorted(set(range(1, max(numbers, default=0) + 1)) - numbers)
    for number in gaps:
        place = f"{_relative(root, video.path)}/{frame_file_name(video.video, number)}"
        faults.append(Fault(place, "sequence", f"no such frame, though there is a frame {max(numbers)}"))
    if not files:
        faults.append(Fault(_relative(root, video.path), "sequence", "no frame at all"))
    return _Read(tuple(files), tuple(faults), tuple(shapes))


def _read_raw(root: Path, video: Found) -> _Read:
    """Decode a raw video to its end. Its frames' names are those that extraction would give."""
    try:
        expected = count_frames(probe(video.path))
        for _ in iterate_frames(video.path):
            pass
    except FoundWrong as error:
        return _Read((), (Fault(_relative(root, video.path), "unreadable", str(error)),), ())
    return _Read(tuple((frame_file_name(video.video, k), 0) for k in range(1, expected + 1)), (), ())


def _against_row(root: Path, video: Found, read: _Read, row: VideoRow | None) -> Iterable[Fault]:
    place = _relative(root, video.path)
    if row is None:
        yield Fault(place, "extra", f"on disk, not in {INDEX_NAME}")
        return
    if video.path.is_file():
        fingerprint = content_fingerprint([(video.path.name, video.path.stat().st_size)])
    else:
        fingerprint = content_fingerprint(read.files)
    if len(read.files) != row.frames:
        kind = "missing" if len(read.files) < row.frames else "extra"
        yield Fault(place, kind, f"{len(read.files)} frames on disk, {row.frames} in {INDEX_NAME}")
    elif fingerprint != row.fingerprint:
        yield Fault(place, "changed", f"names or sizes are not those in {INDEX_NAME}")


def _odd_sizes(shapes: Sequence[tuple[str, tuple[int, int]]]) -> list[Fault]:
    """Frames that are not of the size that most frames of the tree have."""
    if not shapes:
        return []
    (usual, _), *_ = Counter(shape for _, shape in shapes).most_common(1)
    expected = f"{usual[0]} x {usual[1]}"
    return [Fault(place, "size", f"{w} x {h} px, most are {expected}") for place, (w, h) in shapes if (w, h) != usual]


def _annotation_faults(root: Path, found: Sequence[Found], numbers: dict[str, set[int]]) -> list[Fault]:
    faults: list[Fault] = []
    known: set[Path] = set()
    for video in found:
        path = annotation_path(root, video.split, video.video)
        known.add(path)
        if not path.is_file():
            continue
        try:
            content = json.loads(path.read_bytes())
            if not isinstance(content, dict):
                raise ValueError("no entry a frame")
        except ValueError as error:
            faults.append(Fault(_relative(root, path), "annotation", f"not JSON ({error})"))
            continue
        annotated = {name: _number(video, name) for name in content}
        there = numbers[video.video]
        faults += [
            Fault(_relative(root, path), "annotation", f"{name}: no such frame")
            for name, number in annotated.items()
            if number not in there
        ]
        faults += [
            Fault(
                _relative(root, path), "annotation", f"{frame_file_name(video.video, number)}: frame without an entry"
            )
            for number in sorted(there - set(annotated.values()))
        ]
    for split in tree_splits(root):
        folder = root / ANNOTATIONS / split
        for path in sorted(folder.glob("*.json")):
            if path not in known:
                faults.append(Fault(_relative(root, path), "annotation", "of a video that is not in the tree"))
    return faults
