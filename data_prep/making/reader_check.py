"""Compares a tree's frames, or PyAV's frames of raw videos, with those of another reader, picture by picture."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from data_prep.making.extract import Settings
from data_prep.making.verify import TIME_LIMIT_S, Fault
from data_prep.tree.index import VideoRow, open_index
from data_prep.tree.layout import MANIFEST_NAME, frame_file_name
from data_prep.tree.listing import scan_tree
from data_prep.tree.packed import PackedUser, archive_place
from data_prep.video import Picture, decode_jpeg, encode_jpeg, iterate_frames, reader_named
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import DataError, UsageError
from groundwork.progress import Progress
from groundwork.strict_json import parse_json
from groundwork.strict_model import checked_record
from groundwork.words import counted

# Largest mean difference, of 255, between two readers' versions of the same picture: they scale and round color
# differently, by up to 2.5 (measured; see docs/data-preparation.md, Readers). Neighbors in a moving video differ more.
SAME_GRAY_LEVELS = 3.0


@dataclass(frozen=True)
class ReaderCheck:
    """The result of the comparison.

    Attributes:
        reader: the reader and its version.
        videos, frames: how many were compared.
        equal: how many frames are identical, pixel for pixel.
        worst: largest mean difference of a frame, in gray levels of 255.
        worst_place: the video and frame that has it; "" if none was compared.
        faults: one per video that has a frame that differs by more than SAME_GRAY_LEVELS, or could not be compared.
    """

    reader: str
    videos: int
    frames: int
    equal: int
    worst: float
    worst_place: str
    faults: tuple[Fault, ...]

    def __str__(self) -> str:
        where = f" ({self.worst_place})" if self.worst > 0 else ""
        return (
            f"{self.reader}: {counted(self.videos, 'video')}, {counted(self.frames, 'frame')} compared,"
            f" {self.equal} of them identical; largest mean difference {self.worst:.2f} gray levels{where}"
        )


@dataclass(frozen=True)
class _Job:
    source: Path
    place: str
    root: Path | None  # the tree of frames; None: compare with PyAV's frames
    row: VideoRow | None
    settings: Settings
    reader: str


@dataclass(frozen=True)
class _Compared:
    frames: int
    equal: int
    worst: float
    worst_frame: int


def check_by_reader(
    root: Path, reader: str, *, raw: Path | None = None, time_limit_s: float = TIME_LIMIT_S
) -> ReaderCheck:
    """Compare every frame with that of another reader.

    Args:
        root: frames that `extract` made, loose or packed; or raw videos, which PyAV reads for the comparison.
        reader: a name in READERS.
        raw: the raw videos, if `root` holds frames.
        time_limit_s: seconds after which a video counts as unreadable.

    Raises:
        UsageError: if there is no such reader or tree, or frames are given without their raw videos.
        DataError: if a tree is malformed, or its manifest does not say how the frames were made.
    """
    chosen = reader_named(reader)
    chosen.require()
    jobs = list(_jobs(root, reader, raw))
    frames, equal, worst, worst_place, faults, videos = 0, 0, 0.0, "", list[Fault](), 0
    outcomes = run_in_workers(_compare, jobs, workers=default_workers(), time_limit_s=time_limit_s)
    with Progress("videos", len(jobs)) as progress:
        for outcome in outcomes:
            job, found = outcome.item, outcome.value
            if found is None:
                reason = str(outcome.error).removeprefix(str(job.source)).lstrip(": ")
                faults.append(Fault(job.place, "unreadable", reason))
            else:
                videos, frames, equal = videos + 1, frames + found.frames, equal + found.equal
                if found.worst > worst:
                    worst, worst_place = found.worst, f"{job.place}, frame {found.worst_frame}"
                if found.worst > SAME_GRAY_LEVELS:
                    faults.append(Fault(job.place, "differs", _detail(found, reader)))
            progress.advance()
    ordered = tuple(sorted(faults, key=lambda fault: fault.path))
    return ReaderCheck(chosen.version(), videos, frames, equal, worst, worst_place, ordered)


def _detail(found: _Compared, reader: str) -> str:
    return (
        f"frame {found.worst_frame} differs from {reader}'s by {found.worst:.1f} gray levels on average, expected at"
        f" most {SAME_GRAY_LEVELS:g}"
    )


def _jobs(root: Path, reader: str, raw: Path | None) -> Iterator[_Job]:
    kind, _ = scan_tree(root)
    if kind != "raw" and raw is None:
        raise UsageError(f"{root}: holds {kind}, but a reader needs videos. Add --against-raw RAW, the raw videos.")
    videos = raw if kind != "raw" and raw is not None else root
    raw_kind, found = scan_tree(videos)
    if raw_kind != "raw":
        raise UsageError(f"{videos}: holds {raw_kind}, expected raw videos such as USER/OBJECT/FILE.mp4.")
    settings = Settings() if kind == "raw" else _settings(root)
    rows = (
        {} if kind == "raw" else {(r.split, r.user, r.object, r.video_type, r.video): r for r in open_index(root).rows}
    )
    for video in found:
        row = rows.get((video.split, video.user, video.object, video.video_type, video.video))
        if kind == "raw" or row is not None:  # --against-raw reports a video that is in only one tree
            place = video.path.relative_to(videos).as_posix()
            yield _Job(video.path, place, None if kind == "raw" else root, row, settings, reader)


def _settings(root: Path) -> Settings:
    """The settings that the frames were made with, from the manifest."""
    path = root / MANIFEST_NAME
    try:
        made_by = parse_json(path.read_bytes(), finite=True)["made_by"]
        if made_by["verb"] != "extract":
            raise ValueError(f"made by {made_by['verb']}")
        names = ("size_px", "fps", "quality", "shape", "resample")
        return checked_record(Settings, {name: made_by[name] for name in names})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{path}: does not say how extract made these frames ({error}). Compare the raw videos instead:"
            " prep verify RAW --reader NAME."
        ) from None


def _compare(job: _Job) -> _Compared:
    """Compare one video. Runs in a worker."""
    made = job.settings
    read = partial(
        iterate_frames, job.source, size_px=made.size_px, fps=made.fps, shape=made.shape, resample=made.resample
    )
    expected = (picture for _, picture in read()) if job.root is None else _stored(job.root, job.row)
    frames, equal, worst, worst_frame = 0, 0, 0.0, 0
    for number, picture in read(reader=job.reader):
        theirs = picture if job.root is None else decode_jpeg(encode_jpeg(picture, made.quality))
        ours = next(expected, None)
        if ours is None or ours.shape != theirs.shape:
            raise DataError(f"frame {number}: {'missing' if ours is None else 'has another size'}; extract it again.")
        difference = float(np.abs(ours.astype(np.int16) - theirs).mean())
        frames, equal = frames + 1, equal + (difference == 0)
        if difference > worst:
            worst, worst_frame = difference, number
    return _Compared(frames, equal, worst, worst_frame)


def _stored(root: Path, row: VideoRow | None) -> Iterator[Picture]:
    """The frames of one video in a tree."""
    if row is None:
        return
    if "#" not in row.path:
        yield from _decoded(row, lambda number: (root / row.path / frame_file_name(row.video, number)).read_bytes())
        return
    archive, place = archive_place(row.path)
    with PackedUser(root / archive) as user:
        yield from _decoded(row, partial(user.read, place))


def _decoded(row: VideoRow, content: Callable[[int], bytes]) -> Iterator[Picture]:
    for number in range(1, row.frames + 1):
        yield decode_jpeg(content(number))
