"""Ranks videos from worst to best, by means over all tasks with the video."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from eval.formats.scorecard import Scorecard
from eval.metrics import METRICS
from eval.report.tables import metric_columns, reading
from groundwork.pages.table import Columns, Table

MOST_ROWS = 5


@dataclass(frozen=True)
class RankedVideo:
    """One video of a user: its number of tasks, and the mean of each metric (as in METRICS) over them."""

    user: str
    object: str
    video: str
    tasks: int
    metrics: tuple[float, ...]


def worst_first(scorecard: Scorecard) -> list[RankedVideo]:
    """All videos by frame accuracy, lowest first, then by latest recognition, then by name. Empty for single images."""
    if not scorecard.per_video:
        return []
    rows = pd.DataFrame([row.model_dump() for row in scorecard.per_video])
    groups = rows.groupby(["user", "video"], sort=True)
    table = groups[list(METRICS)].mean().assign(tasks=groups.size(), object=groups["object"].first()).reset_index()
    table = table.sort_values(
        ["frame_accuracy", "frames_to_recognition", "user", "video"], ascending=[True, False, True, True]
    )
    return [
        RankedVideo(row["user"], row["object"], row["video"], row["tasks"], tuple(row[name] for name in METRICS))
        for row in table.to_dict("records")
    ]


def video_tables(scorecard: Scorecard, ranked: Sequence[RankedVideo]) -> list[Table]:
    """The worst and the best videos; one table of all videos if there are few."""
    if len(ranked) <= 2 * MOST_ROWS:
        return [_table(scorecard, "All videos, worst first", ranked)]
    worst, best = ranked[:MOST_ROWS], ranked[: -MOST_ROWS - 1 : -1]
    return [
        _table(scorecard, f"The {MOST_ROWS} worst videos", worst),
        _table(scorecard, f"The {MOST_ROWS} best videos", best),
    ]


def _table(scorecard: Scorecard, caption: str, videos: Sequence[RankedVideo]) -> Table:
    rows = tuple((row.video, row.user, row.object, row.tasks, *row.metrics) for row in videos)
    columns: Columns = ("Video", "User", "Object", "Tasks", *metric_columns(scorecard))
    return Table(f"{caption}, means over their tasks, {reading(scorecard)}", columns, rows)
