"""Tabulates a data set as the ORBIT paper does, from the index alone: no frame is opened.

Conventions in every table:

- An object belongs to one user: two users' cups are two objects.
- A user without an object of a video type counts as 0 in that type's objects per user, and an object without a video of
  a type counts as 0 in its videos per object, so that mean times count is the total. `objects` counts only those with a
  video.
- std is the standard deviation of the population (divided by n); a single value has none. The 25 % and 75 % points are
  found by linear interpolation.

Source of the form of the tables: Massiceti et al. 2021 (arXiv 2104.03841).
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import VIDEO_TYPES
from groundwork.files import csv_text, write_text
from groundwork.pages.cells import MISSING
from groundwork.pages.printing import csv_table, markdown_table, text_table, wrapped_text
from groundwork.pages.table import Column, Columns, Table

COMBINED = "combined"
BOTH = "both"
TYPES = (*VIDEO_TYPES, BOTH)
NO_SPLIT = "none"
NOTE = (
    "std is the standard deviation of the population (divided by n); 25 % and 75 % are found by linear interpolation."
    " Users and objects without a video of a type count as 0 in the tables of that type."
    " Videos of type clutter-pan belong to no protocol and are not counted."
)


@dataclass(frozen=True)
class Spread:
    """The distribution of `n` values. All others are None if n is 0; std is None if n is 1."""

    n: int
    mean: float | None
    std: float | None
    p25: float | None
    p75: float | None
    minimum: int | None
    maximum: int | None


@dataclass(frozen=True)
class Counts:
    """Counts of one video type in a split; `objects` and `users` are those with such a video."""

    split: str
    video_type: str
    users: int
    objects: int
    videos: int
    frames: int


@dataclass(frozen=True)
class Measure:
    """One line of a table: `name` is "objects per user", "videos per object" or "frames per video"."""

    split: str
    video_type: str
    name: str
    spread: Spread


@dataclass(frozen=True)
class UserRow:
    """One user of one split. Means are over the user's own videos; None without one."""

    split: str
    user: str
    objects: int
    clean_videos: int
    clutter_videos: int
    clean_frames: int
    clutter_frames: int
    clean_frames_per_video: float | None
    clutter_frames_per_video: float | None


@dataclass(frozen=True)
class DatasetSummary:
    """Counts and spreads by split and video type, splits in ORBIT's order and then all combined; and users by name."""

    counts: tuple[Counts, ...]
    measures: tuple[Measure, ...]
    users: tuple[UserRow, ...]

    def count(self, split: str = COMBINED, video_type: str = BOTH) -> Counts:
        """The counts of one split (or "combined") and video type (or "both"). Raises ValueError if there are none."""
        for row in self.counts:
            if (row.split, row.video_type) == (split, video_type):
                return row
        raise ValueError(f"no counts for split {split!r} and video type {video_type!r}")

    def spread(self, name: str, split: str = COMBINED, video_type: str = BOTH) -> Spread:
        """The spread of one measure; arguments and errors as for `count`."""
        for row in self.measures:
            if (row.name, row.split, row.video_type) == (name, split, video_type):
                return row.spread
        raise ValueError(f"no measure {name!r} for split {split!r} and video type {video_type!r}")


def summarize(index: Index) -> DatasetSummary:
    """Tabulate an index. Uses only its rows; opens no file."""
    counted = [row for row in index.rows if row.video_type in VIDEO_TYPES]
    groups = [(split or NO_SPLIT, [row for row in counted if row.split == split]) for split in index.splits]
    groups.append((COMBINED, counted))
    counts: list[Counts] = []
    measures: list[Measure] = []
    for split, rows in groups:
        for video_type in TYPES:
            of_type = [row for row in rows if video_type in (row.video_type, BOTH)]
            counts.append(_counts(split, video_type, of_type))
            measures += _measures(split, video_type, rows, of_type)
    users = sorted({(row.split, row.user) for row in counted}, key=lambda key: (index.splits.index(key[0]), key[1]))
    by_user: dict[tuple[str, str], list[VideoRow]] = {key: [] for key in users}
    for row in counted:
        by_user[row.split, row.user].append(row)
    return DatasetSummary(tuple(counts), tuple(measures), tuple(_user(*key, by_user[key]) for key in users))


def spread_of(values: Iterable[int]) -> Spread:
    """The spread of whole numbers, by this module's conventions."""
    array = np.fromiter(values, dtype=np.int64)
    if not array.size:
        return Spread(0, None, None, None, None, None, None)
    p25, p75 = np.percentile(array, [25, 75])
    low, high = int(array.min()), int(array.max())
    std = float(array.std()) if array.size > 1 else None
    return Spread(array.size, float(array.mean()), std, float(p25), float(p75), low, high)


def _object(row: VideoRow) -> tuple[str, str, str]:
    return row.split, row.user, row.object


def _counts(split: str, video_type: str, rows: Sequence[VideoRow]) -> Counts:
    users, objects = {row.user for row in rows}, {_object(row) for row in rows}
    return Counts(split, video_type, len(users), len(objects), len(rows), sum(row.frames for row in rows))


def _measures(split: str, video_type: str, rows: Sequence[VideoRow], of_type: Sequence[VideoRow]) -> list[Measure]:
    """The three spreads of one type: `rows` gives all users and objects, `of_type` the videos of the type."""
    objects = Counter(key[:2] for key in {_object(row) for row in of_type})
    videos = Counter(_object(row) for row in of_type)
    per_user = spread_of(objects[key] for key in {(row.split, row.user) for row in rows})
    per_object = spread_of(videos[key] for key in {_object(row) for row in rows})
    per_video = spread_of(row.frames for row in of_type)
    named = (("objects per user", per_user), ("videos per object", per_object), ("frames per video", per_video))
    return [Measure(split, video_type, name, spread) for name, spread in named]


def _user(split: str, user: str, rows: Sequence[VideoRow]) -> UserRow:
    clean, clutter = ([row.frames for row in rows if row.video_type == kind] for kind in VIDEO_TYPES)
    means = [sum(frames) / len(frames) if frames else None for frames in (clean, clutter)]
    objects = len({row.object for row in rows})
    return UserRow(
        split or NO_SPLIT, user, objects, len(clean), len(clutter), sum(clean), sum(clutter), means[0], means[1]
    )


# --- as text, Markdown and CSV


def summary_text(summary: DatasetSummary, *, width: int | None = None) -> str:
    """Plain text, fit for a terminal of `width` characters if given; ends with a newline."""
    tables = [text_table(table, width=width) for table in summary_tables(summary)]
    return "\n\n".join([*tables, wrapped_text(NOTE, width)]) + "\n"


def summary_markdown(summary: DatasetSummary) -> str:
    """Markdown tables, each with a heading; ends with a newline."""
    return "\n\n".join([*(markdown_table(table, heading_level=2) for table in summary_tables(summary)), NOTE]) + "\n"


def write_csv(summary: DatasetSummary, folder: Path) -> tuple[Path, ...]:
    """Write counts.csv, spreads.csv and users.csv into a folder, created if missing; full precision, empty for None."""
    spreads = [(m.split, m.video_type, m.name, *astuple(m.spread)) for m in summary.measures]
    tables = {
        "counts.csv": csv_text([f.name for f in fields(Counts)], map(astuple, summary.counts)),
        "spreads.csv": csv_text(["split", "video_type", "measure", *(f.name for f in fields(Spread))], spreads),
        "users.csv": csv_table(_users_table(summary)),
    }
    for name, text in tables.items():
        write_text(folder / name, text)
    return tuple(folder / name for name in tables)


def summary_tables(summary: DatasetSummary) -> list[Table]:
    """The splits, each measure's spread, and the users."""
    names = dict.fromkeys(row.name for row in summary.measures)
    return [_splits_table(summary), *(_spreads_table(summary, name) for name in names), _users_table(summary)]


def _splits_table(summary: DatasetSummary) -> Table:
    rows = []
    for split in dict.fromkeys(row.split for row in summary.counts):
        both, spread = summary.count(split), summary.spread("objects per user", split)
        videos = [summary.count(split, kind).videos for kind in VIDEO_TYPES]
        per_user = f"{_shown(spread.mean)} ({_shown(spread.minimum)}-{_shown(spread.maximum)})"
        rows.append((split, both.users, both.objects, *videos, both.frames, per_user))
    numbers = map(_number, ("users", "objects", "clean videos", "clutter videos", "frames"))
    return Table("Splits", ("split", *numbers, "objects/user mean (min-max)"), tuple(rows))


def _spreads_table(summary: DatasetSummary, name: str) -> Table:
    rows = tuple((row.split, row.video_type, *astuple(row.spread)) for row in summary.measures if row.name == name)
    numbers = map(_number, ("n", "mean", "std", "25 %", "75 %", "min", "max"))
    return Table(name.capitalize(), ("split", "type", *numbers), rows)


def _users_table(summary: DatasetSummary) -> Table:
    """A column for each field of UserRow: the first two are names, the others numbers."""
    split, user, *numbers = (field.name for field in fields(UserRow))
    columns: Columns = (split, user, *(_number(name.replace("_", " "), name) for name in numbers))
    return Table("Users", columns, tuple(map(astuple, summary.users)))


def _number(heading: str, name: str = "") -> Column:
    return Column(heading, _shown, "right", name)


def _shown(value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value:.1f}" if isinstance(value, float) else f"{value:,}"
