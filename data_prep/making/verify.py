"""Checks a tree against its index and its annotations, reading every frame; reports all faults, not only the first."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from data_prep.tree.annotation_judge import judge_annotations
from data_prep.tree.index import VideoRow, find_index, read_rows
from data_prep.tree.layout import (
    ANNOTATIONS,
    INDEX_NAME,
    annotation_path,
    frame_file_name,
    nfc,
    parse_frame_file_name,
    tree_splits,
)
from data_prep.tree.listing import Found, Kind, content_fingerprint, list_frames, not_frames_in, scan_tree
from data_prep.tree.packed import PackedUser, PackedVideo
from data_prep.video import count_frames, decode_jpeg, iterate_frames, probe
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import DataError
from groundwork.progress import Progress

TIME_LIMIT_S = 1800.0  # for one raw video, as in extraction: a hung decoder never ends
_END_OF_JPEG = b"\xff\xd9"

Size = tuple[int, int]  # width, height in pixels


@dataclass(frozen=True)
class Fault:
    """One fault. `path` is relative to the root; `kind` is one word, `detail` a sentence.

    Kinds: missing, extra, changed, unreadable, size, sequence, annotation, index; other comparisons also give duration
    and differs.
    """

    path: str
    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.path}: {self.kind}: {self.detail}"


@dataclass(frozen=True)
class _Read:
    """The result of reading one video, or one archive that can't be opened (then `found.video` is "").

    Attributes:
        found: the video or archive.
        fingerprint: as in the index, None if unknown.
        frames: the numbers of the files, 0 for a file that is not a frame; None if unknown.
        faults: what is wrong.
        sizes: the numbers of the files of each size.
    """

    found: Found
    fingerprint: str | None
    frames: Sequence[int] | None
    faults: Sequence[Fault]
    sizes: dict[Size, list[int]] = field(default_factory=dict)


def verify(root: Path, *, time_limit_s: float = TIME_LIMIT_S) -> list[Fault]:
    """Read a whole tree (of frames, packed or raw) and list everything that is wrong with it, sorted by path.

    Without an index, only frames and annotations are checked. An archive with a malformed directory is one fault.

    Args:
        root: the tree.
        time_limit_s: seconds after which a raw video counts as unreadable.

    Raises:
        UsageError: if there is no tree.
        DataError: if its videos can't be identified (two kinds of tree in one, videos at wrong levels).
    """
    kind, found = scan_tree(root)
    faults: list[Fault] = []
    rows: dict[str, VideoRow] | None = None
    if (path := find_index(root)) is not None:
        try:
            rows = {row.path: row for row in read_rows(path)}
        except DataError as error:
            faults.append(Fault(INDEX_NAME, "index", str(error)))
    sizes: list[tuple[Found, dict[Size, list[int]]]] = []
    for read in _READERS[kind](root, found, time_limit_s):
        faults += read.faults
        sizes.append((read.found, read.sizes))
        if read.found.video:
            faults += _annotation_faults(root, read)
            place = _relative(root, read.found.path)
            faults += _against_row(place, read, rows.pop(place, None)) if rows is not None else ()
    # The content of an archive that can't be opened is unknown.
    unknown = tuple(f"{_relative(root, found.path)}#" for found, _ in sizes if not found.video)
    faults += [
        Fault(place, "missing", f"in {INDEX_NAME}, not on disk")
        for place in rows or {}
        if not place.startswith(unknown)
    ]
    faults += _odd_sizes(root, sizes)
    faults += _stray_annotations(root, [video for video, _ in sizes])
    return sorted(faults, key=lambda fault: (fault.path, fault.kind, fault.detail))


# --- one reader per kind of tree


def _read_folders(root: Path, found: Sequence[Found], _: float) -> Iterator[_Read]:
    with ThreadPoolExecutor(default_workers()) as pool, Progress("videos", len(found)) as progress:
        for read in pool.map(partial(_read_folder, root), found):
            yield read
            progress.advance()


def _read_folder(root: Path, video: Found) -> _Read:
    try:
        files = list_frames(video.path)
    except OSError as error:
        return _Read(video, None, None, [_unreadable(root, video.path, error)])
    return _read_frames(root, video, files, lambda name: (video.path / name).read_bytes())


def _read_archives(root: Path, found: Sequence[Found], _: float) -> Iterator[_Read]:
    with ThreadPoolExecutor(default_workers()) as pool, Progress("archives", len(found)) as progress:
        for archive in found:
            try:
                user = PackedUser(archive.path)
            except (DataError, OSError) as error:
                yield _Read(archive, None, None, [_unreadable(root, archive.path, error)])
            else:
                with user:
                    for read in pool.map(partial(_read_packed, root, archive, user), user.videos.values()):
                        yield read
                        progress.advance(0)  # an archive takes a while, so report in between
            progress.advance()


def _read_packed(root: Path, archive: Found, user: PackedUser, packed: PackedVideo) -> _Read:
    video = replace(
        archive,
        object=packed.object,
        video_type=packed.video_type,
        video=packed.video,
        path=Path(f"{archive.path}#{packed.place}"),
    )
    return _read_frames(root, video, packed.files, lambda name: user.read(packed.place, parse_frame_file_name(name)[1]))


def _read_videos(root: Path, found: Sequence[Found], time_limit_s: float) -> Iterator[_Read]:
    outcomes = run_in_workers(_decode_video, found, workers=default_workers(), time_limit_s=time_limit_s)
    with Progress("videos", len(found)) as progress:
        for outcome in outcomes:
            video, frames = outcome.item, outcome.value
            fingerprint = content_fingerprint([(nfc(video.path.name), video.path.stat().st_size)])
            if frames is None:
                yield _Read(video, fingerprint, None, [_unreadable(root, video.path, outcome.error)])
            else:
                yield _Read(video, fingerprint, range(1, frames + 1), [])
            progress.advance()


def _decode_video(video: Found) -> int:
    """Decode a raw video to its end; gives its number of frames after extraction. Runs in a worker: it may hang."""
    for _ in iterate_frames(video.path):
        pass
    return count_frames(probe(video.path))


_READERS: dict[Kind, Callable[[Path, Sequence[Found], float], Iterator[_Read]]] = {
    "frames": _read_folders,
    "packed": _read_archives,
    "raw": _read_videos,
}


def _read_frames(
    root: Path, video: Found, files: Sequence[tuple[str, int]], content_of: Callable[[str], bytes]
) -> _Read:
    """Decode the frames of one video, `files` by name and size."""
    faults: list[Fault] = []
    sizes: dict[Size, list[int]] = defaultdict(list)
    numbers = [_number(video, name) for name, _ in files]
    for (name, _), number in zip(files, numbers, strict=True):
        path = video.path / name
        if not number:
            expected = frame_file_name(video.video, 1)
            detail = f"not the name of a frame, expected {expected} and so on"
            faults.append(Fault(_relative(root, path), "sequence", detail))
        try:
            size = _size_of(content_of(name))
        except (DataError, OSError) as error:
            faults.append(_unreadable(root, path, error))
        else:
            sizes[size].append(number)
    faults += _gaps(root, video, numbers)
    if not files and (held := not_frames_in(video.path)):
        faults = [replace(fault, detail=fault.detail + "." + held) for fault in faults]
    return _Read(video, content_fingerprint(files), numbers, faults, sizes)


def _size_of(content: bytes) -> Size:
    """Width and height of a JPEG, which is decoded to its end."""
    height, width, _ = decode_jpeg(content).shape
    if _END_OF_JPEG not in content[-64:]:  # some decoders fill in what is cut off
        raise DataError(f"cut off: {len(content)} bytes without a JPEG end marker.")
    return width, height


def _gaps(root: Path, video: Found, numbers: Sequence[int]) -> Iterable[Fault]:
    """One fault for each gap in the numbers, because a single stray number may be in the billions."""
    present = sorted(set(numbers) - {0})
    if not present:
        yield Fault(_relative(root, video.path), "sequence", "no frames")
    for before, after in zip([0, *present], present, strict=False):
        if (missing := after - before - 1) > 0:
            place = video.path / frame_file_name(video.video, before + 1)
            more = f" (nor the next {missing - 1})" if missing > 1 else ""
            yield Fault(_relative(root, place), "sequence", f"no such frame{more}, but there is a frame {after}")


# --- comparisons


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _unreadable(root: Path, path: Path, error: Exception | None) -> Fault:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Fault(_relative(root, path), "unreadable", reason.removeprefix(str(path)).lstrip(":# "))


def _number(video: Found, name: str) -> int:
    """A frame file's number, 0 if it is not a frame of this video."""
    try:
        of_video, number = parse_frame_file_name(name)
    except ValueError:
        return 0
    return number if of_video == video.video and frame_file_name(of_video, number) == name else 0


def _against_row(place: str, read: _Read, row: VideoRow | None) -> Iterable[Fault]:
    if row is None:
        yield Fault(place, "extra", f"on disk, not in {INDEX_NAME}")
    elif read.frames is not None and len(read.frames) != row.frames:
        kind = "missing" if len(read.frames) < row.frames else "extra"
        yield Fault(place, kind, f"{len(read.frames)} frames on disk, {row.frames} in {INDEX_NAME}")
    elif read.fingerprint not in (None, row.fingerprint):
        yield Fault(place, "changed", f"names or sizes differ from those in {INDEX_NAME}")


def _odd_sizes(root: Path, videos: Sequence[tuple[Found, dict[Size, list[int]]]]) -> Iterable[Fault]:
    """Frames whose size is not that of most frames in the tree."""
    counts = Counter[Size]()
    for _, sizes in videos:
        counts.update({size: len(numbers) for size, numbers in sizes.items()})
    usual = max(counts, key=counts.__getitem__, default=(0, 0))
    for video, sizes in videos:
        for size, numbers in sizes.items():
            for number in filter(None, numbers if size != usual else ()):
                place = _relative(root, video.path / frame_file_name(video.video, number))
                yield Fault(place, "size", f"{size[0]} x {size[1]} px, most are {usual[0]} x {usual[1]}")


def _annotation_faults(root: Path, read: _Read) -> Iterable[Fault]:
    """Every fault of a video's annotations, compared with its frames if these are known."""
    path = annotation_path(root, read.found.split, read.found.video)
    if not path.is_file():
        return
    frames = None if read.frames is None else set(read.frames) - {0}
    try:
        _, faults = judge_annotations(path, frames)
    except OSError as error:
        yield _unreadable(root, path, error)
        return
    for fault in faults:
        yield Fault(_relative(root, path), "annotation", fault)


def _stray_annotations(root: Path, found: Sequence[Found]) -> Iterable[Fault]:
    """Annotations of videos that the tree does not have."""
    known = {annotation_path(root, video.split, video.video) for video in found}
    not_opened = {(archive.split, archive.user) for archive in found if not archive.video}
    for split in tree_splits(root):
        for path in sorted((root / ANNOTATIONS / split).glob("*.json")):
            user = path.name.partition("--")[0]
            if path not in known and (split, user) not in not_opened:
                yield Fault(_relative(root, path), "annotation", "its video is not in the tree")
