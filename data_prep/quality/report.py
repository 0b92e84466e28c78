"""Reports estimates of how videos were filmed, as text for the person who filmed them and as CSV."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, groupby
from pathlib import Path
from typing import Protocol

import numpy as np

from data_prep.quality.estimate import ISSUES, VideoQuality
from data_prep.quality.measures import MEASURES
from data_prep.tree.shard import Shard
from groundwork.files import csv_text, write_text
from groundwork.pages.cells import printable
from groundwork.words import first_capital

NOTE = (
    "These are estimates from the frames alone. A video counts as blurred, too dark or too bright if a tenth of its"
    " frames are; as moving too fast if a fifth of them are; as nearly still if four fifths of them are; and as without"
    " clear edges if half of them have none."
)


class Judged(Protocol):
    """The facts about a video that `filming_lines` needs; `issues` are names in ISSUES."""

    @property
    def split(self) -> str: ...

    @property
    def user(self) -> str: ...

    @property
    def object(self) -> str: ...

    @property
    def issues(self) -> tuple[str, ...]: ...


def filming_lines(videos: Iterable[Judged]) -> list[str]:
    """One line per object for the person who filmed it; with more than one user, each line begins with the user."""

    def place(video: Judged) -> tuple[str, str, str]:
        return video.split, video.user, video.object

    ordered = sorted(videos, key=place)
    several = len({(video.split, video.user) for video in ordered}) > 1
    lines = []
    for (_, user, thing), filmed in groupby(ordered, key=place):
        name = f"{user}, {thing}" if several else thing
        lines.append(f"{printable(name)}: {filming_verdict([video.issues for video in filmed])}")
    return lines


def filming_verdict(videos: Sequence[tuple[str, ...]], *, noun: str = "video") -> str:
    """A verdict on an object's videos from the issues of each: `3 of your 5 videos are blurred; hold still …`."""
    sentences: list[str] = []
    for issue in ISSUES:
        if count := sum(issue.name in issues for issues in videos):
            which = _which(count, len(videos), noun)
            sentences.append(f"{first_capital(which) if sentences else which} {issue.words}; {issue.advice}.")
    fine = f"your {noun} looks fine." if len(videos) == 1 else f"your {len(videos)} {noun}s look fine."
    return " ".join(sentences) or fine


def quality_text(videos: Iterable[Judged]) -> str:
    """The lines for the person filming, and a note on how they are made."""
    return "\n".join([*filming_lines(videos), "", NOTE, ""])


def write_csv(videos: Sequence[VideoQuality], folder: Path, *, shard: Shard | None = None) -> tuple[Path, ...]:
    """Write quality_videos.csv (one row per video) and quality_frames.csv (one row per frame) into a folder, which is
    created if missing.

    A cell is empty if the value is unknown: blur without edges, or motion in the first frame. The tables of a shard
    have its number in their names, see `join.join_tables`.
    """
    place = ["split", "user", "object", "video_type", "video"]
    names = [issue.name for issue in ISSUES]
    tables = {
        "quality_videos.csv": ([*place, "frames", "issues", *(f"{n}_share" for n in names)], map(_video_row, videos)),
        "quality_frames.csv": ([*place, "frame", *MEASURES, *names], chain.from_iterable(map(_frame_rows, videos))),
    }
    paths = {name: folder / (name if shard is None else shard.file_name(name)) for name in tables}
    for name, (heading, rows) in tables.items():
        write_text(paths[name], csv_text(heading, rows))
    return tuple(paths.values())


def quality_rows(videos: Iterable[VideoQuality]) -> list[dict[str, object]]:
    """One row per video, as plain JSON: its place, number of frames, issues, and the share of frames with each
    issue."""
    rows = []
    for video in videos:
        place = dict(zip(("split", "user", "object", "video_type", "video"), _place(video), strict=True))
        shares = {name: None if share is None else float(share) for name, share in video.shares.items()}
        rows.append({**place, "frames": video.frames, "issues": list(video.issues), "shares": shares})
    return rows


def _which(count: int, total: int, noun: str) -> str:
    if total == 1:
        return f"your {noun} is"
    if count == total:
        return f"{'both' if total == 2 else f'all {total}'} of your {noun}s are"
    return f"{count} of your {total} {noun}s {'is' if count == 1 else 'are'}"


def _video_row(video: VideoQuality) -> list[object]:
    return [*_place(video), video.frames, " ".join(video.issues), *video.shares.values()]


def _frame_rows(video: VideoQuality) -> Iterator[list[object]]:
    measures, flags = video.measures, video.flags
    columns = [getattr(measures, name).tolist() for name in MEASURES]
    for issue in ISSUES:
        pairs = zip(flags.of(issue).tolist(), issue.judged(measures).tolist(), strict=True)
        columns.append([flag if judged else None for flag, judged in pairs])
    for number, values in enumerate(zip(*columns, strict=True), start=1):
        yield [*_place(video), number, *map(_cell, values)]


def _place(video: VideoQuality) -> list[str]:
    return [video.split, video.user, video.object, video.video_type, video.video]


def _cell(value: float | bool | None) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return None if value is None or np.isnan(value) else value
