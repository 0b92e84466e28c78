"""Estimates how a new user's videos are filmed: blur, light, motion, repeated frames; with a line of advice per object.

The estimates use only pixels, frame by frame. What can't be judged (blur without edges) is distinguished from "no",
like null in ORBIT's annotations.
"""

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.quality.measures import FrameMeasures, Picture, measure_frames
from data_prep.tree.index import VideoRow, open_index
from data_prep.tree.layout import VIDEO_TYPES
from data_prep.tree.listing import Kind
from data_prep.tree.shard import Shard
from data_prep.tree.stored_frames import stored_frames
from data_prep.video import decode_jpeg, encode_jpeg, iterate_frames
from data_prep.workers.pool import require_processes, run_in_workers
from groundwork.cores import default_workers
from groundwork.errors import DataError, KitError, UsageError
from groundwork.progress import Progress
from groundwork.reporting import report_failed
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

TIME_LIMIT_S = 1800.0  # for one video, as for its extraction

# Thresholds from which a frame has an issue.
BLURRED_EDGE_PX = 5.0  # sharp edges take 2.9 to 3.7 px; 5 is a Gaussian of about 1.8 px, or 9 px of a 1080-px video
OVEREXPOSED_SHARE = 0.25  # a quarter of the picture is white; a lamp or a lit edge alone is less
UNDEREXPOSED_GRAY = 75 / 255  # the brightest twentieth is darker than this; a dark object in good light is not
FAST_SIDES_S = 1.0  # indoors, with 1/50 s per frame, this smears edges over 4 px of 224
STILL_CHANGE = 0.02  # about the effect of a shift by a quarter of a pixel of 224; even a slow hand causes more


@dataclass(frozen=True)
class Issue:
    """One issue to report to the person filming.

    Attributes:
        name: its name in tables.
        measure: the measure that decides it; a frame in which that is NaN is not judged.
        share: the share of a video's judged frames from which the video has the issue.
        words: words for such a video.
        advice: what to do about it.
    """

    name: str
    measure: str
    share: float
    words: str
    advice: str

    def judged(self, measures: FrameMeasures) -> NDArray[np.bool_]:
        """The frames in which it could be judged, (frames,)."""
        return np.asarray(~np.isnan(getattr(measures, self.measure)))


ISSUES = (
    Issue("blurred", "edge_width_px", 0.1, "blurred", "hold still for two seconds before you stop"),
    Issue("underexposed", "brightest", 0.1, "too dark", "turn on a light, or film near a window"),
    Issue("overexposed", "clipped_bright", 0.1, "too bright", "turn until the lamp or the window is behind you"),
    Issue("fast", "motion", 0.2, "moving too fast", "move the phone more slowly"),
    # four fifths: a 10-fps video converted to 30 fps shows each picture three times, but is not still
    Issue("still", "change", 0.8, "nearly one still picture", "turn the object slowly while you film"),
    Issue(
        *("no_edges", "brightness", 0.5),
        *("without clear edges, so blur can't be judged", "check that the object is in the picture"),
    ),
)


@dataclass(frozen=True, eq=False)
class FrameFlags:
    """The issues of each frame, bool (frames,), a field for each of ISSUES; also False if it was not judged."""

    blurred: NDArray[np.bool_]
    underexposed: NDArray[np.bool_]
    overexposed: NDArray[np.bool_]
    fast: NDArray[np.bool_]
    still: NDArray[np.bool_]
    no_edges: NDArray[np.bool_]

    def of(self, issue: Issue) -> NDArray[np.bool_]:
        """The frames with one issue."""
        return np.asarray(getattr(self, issue.name), np.bool_)


@dataclass(frozen=True)
class VideoQuality:
    """One video's estimates, frame by frame."""

    split: str
    user: str
    object: str
    video_type: str
    video: str
    measures: FrameMeasures

    @property
    def frames(self) -> int:
        """The number of measured frames."""
        return len(self.measures)

    @property
    def flags(self) -> FrameFlags:
        """The issues of each frame."""
        return judge(self.measures)

    @property
    def shares(self) -> dict[str, float | None]:
        """The share of the judged frames that have each issue, in [0, 1], by name; None if no frame could be judged."""
        flags = self.flags
        shares: dict[str, float | None] = {}
        for issue in ISSUES:
            judged = int(issue.judged(self.measures).sum())
            shares[issue.name] = int(flags.of(issue).sum()) / judged if judged else None
        return shares

    @property
    def issues(self) -> tuple[str, ...]:
        """The names of the issues that enough frames have."""
        shares = self.shares
        return tuple(issue.name for issue in ISSUES if (shares[issue.name] or 0.0) >= issue.share)


def judge(measures: FrameMeasures) -> FrameFlags:
    """The issues of each frame, by this module's thresholds. An unknown measure (NaN) sets no flag."""
    return FrameFlags(
        blurred=measures.edge_width_px >= BLURRED_EDGE_PX,
        underexposed=measures.brightest < UNDEREXPOSED_GRAY,
        overexposed=measures.clipped_bright >= OVEREXPOSED_SHARE,
        fast=measures.motion >= FAST_SIDES_S,
        still=measures.change <= STILL_CHANGE,
        no_edges=np.isnan(measures.edge_width_px),
    )


def video_quality(
    pictures: Iterable[Picture],
    *,
    object: str,
    user: str = "",
    video_type: str = "clean",
    video: str = "",
    split: str = "",
    fps: float = 30.0,
) -> VideoQuality:
    """Judge the pictures of one video, without a tree.

    Args:
        pictures: in order, uint8 (height, width, 3), RGB; one array (n, size, size, 3) or an iterator.
        object: the name of the object, for `filming_lines`.
        user, video_type, video, split: the video's place, if it has one.
        fps: frames per second.
    """
    return VideoQuality(split, user, object, video_type, video, measure_frames(pictures, fps=fps))


def quality(
    root: Path,
    *,
    video_type: str = "clean",
    workers: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    shard: Shard | None = None,
) -> list[VideoQuality]:
    """Judge every video of one type in a tree of frames, of raw videos or of packed users.

    The same frames give the same estimates in all three.

    Args:
        root: the tree; its index is checked, or built.
        video_type: "clean" or "clutter".
        workers: processes; by default one per core.
        time_limit_s: time limit for one video, after which a hung decoder is stopped.
        shard: judge only this share of the videos, which may be empty.

    Returns:
        the estimates in the index's order: by split, user, object and video.

    Raises:
        UsageError: if there is no such tree, or it has no video of the type.
        DataError: if the tree is malformed, or videos can't be read; names all of them.
    """
    if video_type not in VIDEO_TYPES:
        raise UsageError(f"type {video_type!r}: expected {' or '.join(VIDEO_TYPES)}.")
    require_processes(workers, time_limit_s)
    index = open_index(root)
    rows = index.select(video_type=video_type)
    if not rows:
        raise UsageError(f"{root}: has no {video_type} videos; expected USER/OBJECT/{video_type}/.")
    if shard is not None:
        rows = tuple(row for row in rows if shard.owns(row.place))
    measured: dict[VideoRow, FrameMeasures] = {}
    failed: list[str] = []
    measure = partial(_measure_row, root, index.kind)
    with Progress("videos", len(rows)) as progress:
        for outcome in run_in_workers(measure, rows, workers=workers or default_workers(), time_limit_s=time_limit_s):
            if outcome.value is not None:
                measured[outcome.item] = outcome.value
            elif isinstance(outcome.error, KitError):
                failed.append(outcome.item.path)
                report_failed(_LOG, f"{outcome.item.path}: {outcome.error}", outcome.error)
            elif outcome.error:
                raise outcome.error
            progress.advance()
    if failed:
        raise DataError(
            f"{root}: {len(failed)} of {counted(len(rows), 'video')} can't be read: {listed(sorted(failed))}."
            " Replace or remove these, then run the same command again."
        )
    return [VideoQuality(row.split, row.user, row.object, row.video_type, row.video, measured[row]) for row in rows]


def _measure_row(root: Path, kind: Kind, row: VideoRow) -> FrameMeasures:
    """Measure one video. Runs in a worker."""
    try:
        return measure_frames(_pictures(root, kind, row))
    except ValueError as error:
        raise DataError(f"{root / row.path}: {error}") from None


def _pictures(root: Path, kind: Kind, row: VideoRow) -> Iterator[Picture]:
    if kind == "raw":
        for _, picture in iterate_frames(root / row.path):
            yield decode_jpeg(encode_jpeg(picture))  # as stored by extraction: same numbers from every kind of tree
        return
    for place, content in stored_frames(root, row):
        yield _decoded(content, place)


def _decoded(content: bytes, where: str) -> Picture:
    try:
        return decode_jpeg(content)
    except DataError as error:
        raise DataError(f"{where}: {error}") from None
