"""Frame accuracy by annotation: by the size of the object in a frame, and by the quality of its support videos.

Annotations are passed as plain tables, so this package does not read frame trees; the caller makes the tables.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from eval.formats.align import Integers, QueryFrames
from eval.formats.scorecard import ByAnnotation, Group
from eval.intervals import bootstrap_of_totals
from eval.metrics import PredictedVideos
from groundwork.errors import DataError

Floats = NDArray[np.float64]

FRAME_FACTS = ("user", "video", "frame", "box_share")
SUPPORT_FACTS = ("user", "video", "issue_share")

# Shares of the frame's area. In a frame of 224 px, a square object is 50 px wide at 5 %, 87 px at 15 %, 142 px at 40 %.
BOX_EDGES = (0.05, 0.15, 0.40)
BOX_SIZES = (
    "below 5 % of the frame",
    "5 to 15 %",
    "15 to 40 %",
    "40 % and more",
    "no box in the frame",
    "not annotated",
)
_NO_BOX, _NOT_ANNOTATED = 4, 5


@dataclass(frozen=True, eq=False)
class AnnotationFacts:
    """Annotations of query frames and support videos. The tables can have additional columns and rows.

    frames: one row per annotated query frame, columns FRAME_FACTS: user, video, frame (number, from 1), box_share (area
        of the object's box / area of the frame, in [0, 1]; NaN without a box).
    support: one row per annotated support video, columns SUPPORT_FACTS: user, video, issue_share (the share of the
        video's support frames with any quality issue, in [0, 1]; NaN if nothing is annotated).
    """

    frames: pd.DataFrame | None = None
    support: pd.DataFrame | None = None


def by_annotation(query: QueryFrames, videos: PredictedVideos, facts: AnnotationFacts, *, seed: int) -> ByAnnotation:
    """Frame accuracy by box size and by support quality.

    By box size, the unit is a frame of a task and the mean is over frames, so long videos weigh more. The bins are
    fixed, so that runs can be compared. By support quality, the unit is a video of a task, as in the headline. Videos
    are grouped by the share of their object's support frames with an issue, in thirds of the users' objects (the names
    contain the bounds), because the number of issues in a data set is not known in advance. Empty groups are left out.

    Args:
        query: the tasks' frames.
        videos: their predictions, in the same order.
        facts: the annotations.
        seed: the seed of the bootstrap over users.

    Raises:
        DataError: if a column is missing, a share is outside [0, 1], or a frame or video has two rows.
    """
    users = {user: place for place, user in enumerate(query.users)}
    user_of_video = np.array([users[query.tasks[place].user] for place in query.task_of_video], dtype=np.int64)
    box_size: tuple[Group, ...] = ()
    support_quality: tuple[Group, ...] = ()
    if facts.frames is not None:
        bins = _box_bins(query, facts.frames)
        user_of_frame = user_of_video[query.video_of_frame]
        right = videos.right.astype(np.float64)
        box_size = _groups(right, user_of_frame, bins, BOX_SIZES, unit="frames of tasks", seed=seed)
    if facts.support is not None:
        bins, names = _quality_bins(_issue_shares(query, facts.support), query)
        accuracy = videos.frame_accuracy()
        support_quality = _groups(accuracy, user_of_video, bins, names, unit="videos of tasks", seed=seed)
    return ByAnnotation(box_size=box_size, support_quality=support_quality)


def _box_bins(query: QueryFrames, table: pd.DataFrame) -> Integers:
    """The index of each query frame's group in BOX_SIZES, shape (frames,)."""
    wanted = {plan.video for _, plan in query.videos}
    table = _checked(table[table["video"].isin(wanted)] if "video" in table else table, FRAME_FACTS, "frame facts")
    known = {
        key: (rows["frame"].to_numpy(np.int64), rows["box_share"].to_numpy(np.float64))
        for key, rows in table.sort_values("frame").groupby(["user", "video"], observed=True)
    }
    bins = np.full(len(query.frames), _NOT_ANNOTATED)
    start = 0
    for place, plan in query.videos:
        end = start + len(plan.frames)
        annotated, shares = known.get((query.tasks[place].user, plan.video), (np.zeros(0, np.int64), np.zeros(0)))
        here = np.searchsorted(annotated, query.frames[start:end])
        found = np.flatnonzero(np.append(annotated, -1)[here] == query.frames[start:end])
        shares = shares[here[found]]
        bins[start + found] = np.where(np.isnan(shares), _NO_BOX, np.searchsorted(BOX_EDGES, shares, side="right"))
        start = end
    return bins


def _issue_shares(query: QueryFrames, table: pd.DataFrame) -> Floats:
    """The share of support frames with an issue, for each query video's object, shape (videos,); NaN if unknown."""
    table = _checked(table, SUPPORT_FACTS, "support facts")
    known = dict(zip(zip(table["user"], table["video"], strict=True), table["issue_share"], strict=True))
    shares = []
    for task in query.tasks:
        frames, issues = np.zeros(task.way), np.zeros(task.way)
        for plan in task.support:
            share = known.get((task.user, plan.video), np.nan)
            if not np.isnan(share):
                frames[plan.label] += len(plan.frames)
                issues[plan.label] += share * len(plan.frames)
        with np.errstate(invalid="ignore"):
            of_object = issues / frames  # NaN if no support video is annotated
        shares += [of_object[plan.label] for plan in task.query]
    return np.array(shares, dtype=np.float64)


def _quality_bins(shares: Floats, query: QueryFrames) -> tuple[Integers, tuple[str, ...]]:
    """The index of each query video's group, shape (videos,), and the groups' names."""
    if np.isnan(shares).all():
        return np.zeros(len(shares), dtype=np.int64), ("not annotated",)
    tasks = [query.tasks[place] for place, _ in query.videos]
    objects = {
        (task.user, task.objects[plan.label], float(share))  # one entry per object, for any number of tasks and videos
        for task, (_, plan), share in zip(tasks, query.videos, shares, strict=True)
        if not np.isnan(share)
    }
    low, high = np.quantile([share for _, _, share in objects], [1 / 3, 2 / 3])
    names = (
        f"fewest issues: at most {100 * low:.1f} % of support frames",
        f"middle: above {100 * low:.1f} %, at most {100 * high:.1f} %",
        f"most issues: above {100 * high:.1f} %",
        "not annotated",
    )
    return np.where(np.isnan(shares), len(names) - 1, np.searchsorted([low, high], shares, side="left")), names


def _groups(
    values: Floats, users: Integers, bins: Integers, names: tuple[str, ...], *, unit: str, seed: int
) -> tuple[Group, ...]:
    """A mean and a bootstrap interval for each group that is not empty. All three arrays have shape (n,)."""
    shape = (int(users.max()) + 1, len(names))
    cell = users * len(names) + bins
    counts = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
    sums = np.bincount(cell, weights=values, minlength=shape[0] * shape[1]).reshape(shape)
    return tuple(
        Group(
            name=name,
            frame_accuracy=min(float(sums[:, place].sum() / counts[:, place].sum()), 1.0),
            n=int(counts[:, place].sum()),
            unit=unit,
            bootstrap_over_users=bootstrap_of_totals(sums[own, place], counts[own, place], seed=seed, bounds=(0, 1)),
        )
        for place, name in enumerate(names)
        if (own := counts[:, place] > 0).any()
    )


def _checked(table: pd.DataFrame, columns: tuple[str, ...], what: str) -> pd.DataFrame:
    missing = [name for name in columns if name not in table]
    if missing:
        raise DataError(f"{what}: no column {missing[0]}; expected {', '.join(columns)}")
    *keys, share = columns
    values = table[share].to_numpy(np.float64)
    if not (np.isnan(values) | ((values >= 0) & (values <= 1))).all():
        raise DataError(f"{what}: {share} from {np.nanmin(values)} to {np.nanmax(values)}; expected fractions")
    doubled = table.duplicated(keys)
    if doubled.any():
        where = ", ".join(
            f"{name} {value!r}" for name, value in zip(keys, table.loc[doubled, keys].iloc[0], strict=True)
        )
        raise DataError(f"{what}: {where} appears twice")
    return table
