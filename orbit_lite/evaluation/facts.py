"""What a scorecard holds besides accuracy: annotations of the tasks' frames, and the cost of personalizing."""

from collections.abc import Sequence
from functools import cache

import pandas as pd

from data_prep.tree.annotated_videos import TreeAnnotations
from data_prep.tree.annotation_judge import ANNOTATED_SIZE_PX
from data_prep.tree.annotation_table import table_of
from data_prep.tree.annotations import ISSUES
from eval.by_annotation import FRAME_FACTS, SUPPORT_FACTS, AnnotationFacts
from eval.formats.records import Task
from eval.formats.scorecard import Cost, TaskCost
from orbit_lite.costs.macs import frame_macs, personalize_macs
from orbit_lite.costs.seconds import TaskSeconds, measured_on
from orbit_lite.evaluation.causal_filter import CausalFilter
from orbit_lite.evaluation.user_work import extra_frames
from orbit_lite.models.counting import total
from orbit_lite.models.recognizer import Recognizer


def annotation_facts(annotations: TreeAnnotations, split: str, tasks: Sequence[Task]) -> AnnotationFacts | None:
    """Box sizes of clutter frames, and each support video's share of frames with an issue; None without annotations.

    Raises:
        DataError: if `annotation_judge` finds an error.
    """
    if not annotations.annotated(split):
        return None
    table = table_of(annotations, split=split or None, frame_size_px=ANNOTATED_SIZE_PX)
    clutter = table[table.video_type == "clutter"]
    frames = clutter.assign(box_share=clutter.box_w * clutter.box_h / ANNOTATED_SIZE_PX**2)[list(FRAME_FACTS)]
    return AnnotationFacts(frames, _support_facts(table, tasks))


def personalize_cost(
    recognizer: Recognizer,
    tasks: Sequence[Task],
    seconds: Sequence[TaskSeconds] = (),
    *,
    causal_filter: CausalFilter | None = None,
    most_sizes: int | None = None,
) -> Cost:
    """MACs to personalize for each task, by both counts; and the seconds per task if they were measured.

    Counting runs the head once for each distinct way and number of support frames; no MACs are counted if there are
    more than most_sizes of these. With a filter, also the number of additional frames that it reads, and their MACs.
    """

    @cache
    def count(way: int, support: int) -> tuple[int, int]:
        found = total(personalize_macs(recognizer, way=way, support=support))
        return found.ours, found.leaderboard

    @cache
    def count_frame(way: int) -> int:
        return total(frame_macs(recognizer, way=way)).ours

    sizes = {(task.way, _support_frames(task)) for task in tasks}
    counts = most_sizes is None or len(sizes) <= most_sizes
    seconds_of = {(row.user, row.task): row.seconds for row in seconds}
    rows = []
    for task in tasks:
        extra = extra_frames(task, causal_filter) if causal_filter else None
        ours, leaderboard = count(task.way, _support_frames(task)) if counts else (None, None)
        rows.append(
            TaskCost(
                user=task.user,
                task=task.task,
                macs_to_personalize=ours,
                macs_to_personalize_thop=leaderboard,
                seconds_to_personalize=seconds_of.get((task.user, task.task)),
                filter_extra_frames=extra,
                filter_extra_macs=None if extra is None else extra * count_frame(task.way),
            )
        )
    source = "MACs counted from each task's way and number of support frames; one frame is counted and multiplied"
    if not counts:
        source = f"MACs not counted: the tasks have {len(sizes)} sizes, and each would need a run of the head"
    if seconds:
        source += (
            f"; seconds measured on {measured_on(seconds)}, from frames in memory to a fitted recognizer, once "
            "for each distinct support set"
        )
    return Cost.of(rows, source=source)


def _support_frames(task: Task) -> int:
    return sum(len(plan.frames) for plan in task.support)


def _support_facts(table: pd.DataFrame, tasks: Sequence[Task]) -> pd.DataFrame:
    """For each support video, the share of its annotated support frames (of any task) that have an issue."""
    used = {(task.user, plan.video, frame) for task in tasks for plan in task.support for frame in plan.frames}
    support = pd.DataFrame(sorted(used), columns=["user", "video", "frame"])
    issues = list(ISSUES)
    judged = table.dropna(subset=issues, how="all")
    judged = judged.assign(issue_share=judged[issues].fillna(False).any(axis=1).astype(float))
    places = judged[["user", "video", "frame", "issue_share"]].astype({"user": str, "video": str})
    found = support.merge(places, on=["user", "video", "frame"], how="left")
    shares = found.groupby(["user", "video"])["issue_share"].mean()
    return shares.reset_index()[list(SUPPORT_FACTS)]
