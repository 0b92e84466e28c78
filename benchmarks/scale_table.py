"""What larger sets take, worked out from the rates that `scale` has measured. docs/scale.md has these tables."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import scale
from data_prep.tree.shard import shard_of_video
from groundwork.csv_cells import open_csv
from groundwork.pages.table import Column, Columns, Table

SHARD_COUNTS = (1, 4, 16, 64, 256, 1000)


@dataclass(frozen=True)
class Rates:
    """Measured rates: processor seconds per frame of 1080p video, and bytes."""

    extract_s: float
    quality_s: float
    personalize_s: float
    frame_bytes: float
    personal_file_bytes: float

    @classmethod
    def read(cls, path: Path) -> "Rates":
        """From a CSV file that `python -m benchmarks scale` has written."""
        medians = {(row["metric"], row["side"]): float(row["median"]) for row in _rows(path)}
        return cls(
            extract_s=medians[scale.CPU_TIME, scale.EXTRACT] / scale.PER_FRAMES,
            quality_s=medians[scale.CPU_TIME, scale.QUALITY] / scale.PER_FRAMES,
            personalize_s=medians[scale.CPU_TIME, scale.PERSONALIZE] / scale.PER_FRAMES,
            frame_bytes=medians[scale.FRAME_BYTES, scale.FRAME_TREE],
            personal_file_bytes=medians[scale.USER_BYTES, scale.PERSONAL_FILE],
        )


@dataclass(frozen=True)
class Population:
    """A set of users with all their videos; `frames` at 30 fps."""

    name: str
    users: int
    videos: int
    frames: int


ORBIT = Population("ORBIT's benchmark", 67, 3_822, 2_687_934)  # Massiceti et al. 2021, and its published tree
OBJECTS, VIDEOS, VIDEO_FRAMES = 10, 5, 300  # of an app's user: so many objects, videos of each, and frames of each


def app(users: int) -> Population:
    """An app whose users film 10 objects, 5 videos of 10 s each."""
    videos = users * OBJECTS * VIDEOS
    return Population("an app", users, videos, videos * VIDEO_FRAMES)


POPULATIONS = (ORBIT, app(1_000), app(10_000))


def measured_table(path: Path) -> Table:
    """A CSV file of `scale`, one row per comparison, as the document has it."""
    rows = _rows(path)
    cells = tuple(
        (
            f"{first['setting']}: {first['metric']}, {first['unit']}",
            *(f"{side['side']}: {_rounded(float(side['median']))}" for side in (first, second)),
            float(second["ratio"]),
        )
        for first, second in zip(rows[::2], rows[1::2], strict=True)
    )
    return Table(
        "Measured", ("what", "one side", "the other", Column("ratio", lambda value: f"{value:.2f}", "right")), cells
    )


def needs_table(rates: Rates, populations: Sequence[Population] = POPULATIONS) -> Table:
    """Storage and hours of one core for each population, and the same per user."""
    rows = []
    for each in populations:
        tree_gb, files_gb = each.frames * rates.frame_bytes / 1e9, each.users * rates.personal_file_bytes / 1e9
        hours = [each.frames * seconds / 3600 for seconds in (rates.extract_s, rates.quality_s, rates.personalize_s)]
        per_user = (sum(hours) / each.users, (tree_gb + files_gb) / each.users)
        rows.append((each.name, each.users, each.videos, each.frames, tree_gb, files_gb, *hours, *per_user))
    counts = [Column(name, lambda value: f"{value:,}", "right") for name in ("users", "videos", "frames")]
    stored, hours_of = ("frame tree, GB", "personal files, GB"), ("extract, h", "quality, h", "personalize, h")
    amounts = (*stored, *hours_of, "hours per user", "GB per user")
    columns: Columns = ("set", *counts, *(Column(name, _rounded, "right") for name in amounts))
    return Table("Storage, and hours of one core", columns, tuple(rows))


def shards_table(rates: Rates, of: Population = ORBIT, counts: Sequence[int] = SHARD_COUNTS) -> Table:
    """How long extraction takes with more and more shards, one core each: as long as the largest shard."""
    rows = []
    for count in counts:
        # the hash deals these made paths out as it does any others
        dealt = Counter(shard_of_video(f"P{k % of.users}/thing/clean/{k}.mp4", count) for k in range(of.videos))
        largest = max(dealt.values())
        hours = largest * of.frames / of.videos * rates.extract_s / 3600
        rows.append((count, largest, hours, of.videos / largest, of.videos / largest / count))
    columns: Columns = (
        *(Column(name, lambda value: f"{value:,}", "right") for name in ("shards", "videos of the largest")),
        *(Column(name, _rounded, "right") for name in ("hours until it ends", "times as fast")),
        Column("of what N cores could do", lambda value: f"{100 * value:.0f} %", "right"),
    )
    return Table(f"Extraction of {of.name} in N shards", columns, tuple(rows))


def _rows(path: Path) -> list[dict[str, str]]:
    with open_csv(path) as lines:
        heading = next(lines)
        return [dict(zip(heading, cells, strict=True)) for cells in lines]


def _rounded(value: float) -> str:
    """Two significant digits, or whole numbers from 10 on: the rates are not known better."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"
