"""Frame accuracy by what annotations say: how large the object is in a frame, and how good its support videos were.

Annotations come in as plain tables, so that this floor reads no tree; whoever scores makes them.
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

# Share of the frame's area. At 5 % a square object is 50 px wide in a frame of 224 px, at 15 % 87 px, at 40 % 142 px.
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
    """What is known of frames and of support videos; a table may hold more columns and rows than are used.

    frames: a row an annotated query frame, columns FRAME_FACTS: user, video, frame (number, from 1), box_share (area of
    the object's box / area of the frame, in [0, 1]; NaN without a box).
    support: a row an annotated support video, columns SUPPORT_FACTS: user, video, issue_share (share of the video's
    support frames that have any quality issue, in [0, 1]; NaN where nothing is annotated).
    """

    frames: pd.DataFrame | None = None
    support: pd.DataFrame | None = None


def by_annotation(query: QueryFrames, videos: PredictedVideos, facts: AnnotationFacts, *, seed: int) -> ByAnnotation:
    """Frame accuracy by box size and by support quality.

    By box size, the unit is a frame of a task, and the mean is over frames: a long video weighs more. The bins are
    fixed, so that runs can be compared. By support quality, the unit is a video of a task, as in the headline; videos
    are grouped by the share of their object's support frames that have an issue, in thirds of the users' objects (the
    edges are in the names), since nothing is known beforehand about how many issues a data set has. Groups without
    members are left out.

    Args:
        query: the tasks' frames.
        videos: their predictions, in the same order.
        facts: what is annotated.
        seed: of the bootstrap over users.

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
    """Place of each query frame's group in BOX_SIZES, shape (frames,)."""
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
    """Share of the support frames of each query video's object that have an issue, shape (videos,); NaN: not known."""
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
            of_object = issues / frames  # NaN where no support video is annotated
        shares += [of_object[plan.label] for plan in task.query]
    return np.array(shares, dtype=np.float64)


def _quality_bins(shares: Floats, query: QueryFrames) -> tuple[Integers, tuple[str, ...]]:
    """Place of each query video's group, shape (videos,), and the groups' names."""
    if np.isnan(shares).all():
        return np.zeros(len(shares), dtype=np.int64), ("not annotated",)
    tasks = [query.tasks[place] for place, _ in query.videos]
    objects = {
        (task.user, task.objects[plan.label], float(share))  # one entry an object, however many tasks and videos
        for task, (_, plan), share in zip(tasks, query.videos, shares, strict=True)
        if not np.isnan(share)
    }
    low, high = np.quantile([share for _, _, share in objects], [1 / 3, 2 / 3])
    names = (
        f"fewest issues: in at most {100 * low:.1f} % of support frames",
        f"middle: above {100 * low:.1f} %, at most {100 * high:.1f} %",
        f"most issues: above {100 * high:.1f} %",
        "not annotated",
    )
    return np.where(np.isnan(shares), len(names) - 1, np.searchsorted([low, high], shares, side="left")), names


def _groups(
    values: Floats, users: Integers, bins: Integers, names: tuple[str, ...], *, unit: str, seed: int
) -> tuple[Group, ...]:
    """A mean and a bootstrap for each group that has members. All three arrays are of shape (n,)."""
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
        raise DataError(f"{what}: {share} from {np.nanmin(values)} to {np.nanmax(values)}; fractions expected")
    doubled = table.duplicated(keys)
    if doubled.any():
        where = ", ".join(
            f"{name} {value!r}" for name, value in zip(keys, table.loc[doubled, keys].iloc[0], strict=True)
        )
        raise DataError(f"{what}: {where} is there twice")
    return table
