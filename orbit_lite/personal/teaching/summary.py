"""What a recogniser learned from a user's videos: as text for the person who filmed, and as CSV rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.quality.report import filming_verdict
from groundwork.files import csv_text
from groundwork.pages.cells import plain
from orbit_lite.personal.calibrating.leave_out import HeldOut
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.material import Lesson

CSV_COLUMNS = (
    "participant",
    "object",
    "videos",
    "frames_taken",
    "seconds_filmed",
    "held_out_frames",
    "held_out_accuracy",
    "filming",
)
FEW_VIDEOS = 3  # below that, one video filmed badly is a large part of what there is
FPS = 30.0


@dataclass(frozen=True)
class ObjectSummary:
    """One object: how many videos and frames taught it, how long they last, and how well it fares when one is left out.

    held_out_accuracy: share of held-out frames recognised, in [0, 1]; None for an object with a single video.
    filming: how it was filmed, and what to film again, in words; "" for one of an earlier lesson.
    """

    object: str
    videos: int
    frames: int
    seconds: float
    held_out_frames: int
    held_out_accuracy: float | None
    filming: str


def summarize(personal: PersonalRecognizer, found: HeldOut, lesson: Lesson | None = None) -> list[ObjectSummary]:
    """A row an object, in the order of their names.

    Args:
        personal: the recogniser.
        found: leave-one-video-out of it.
        lesson: what it was just taught with.
    """
    new = () if lesson is None else lesson.objects
    rows = []
    for label, name in enumerate(personal.objects):
        videos = [video for video in personal.recognizer.videos if video.object == name]
        right = found.right[found.label == label]
        told = filming_verdict([video.issues for video in videos]) if name in new else ""
        rows.append(
            ObjectSummary(
                object=name,
                videos=len(videos),
                frames=sum(len(video.frames) for video in videos),
                seconds=sum(video.length for video in videos) / FPS,
                held_out_frames=len(right),
                held_out_accuracy=float(np.mean(right)) if len(right) else None,
                filming=_advice(told, len(videos)),
            )
        )
    return rows


def summary_text(personal: PersonalRecognizer, rows: Sequence[ObjectSummary]) -> str:
    """What was learned, a line or two an object; ends with a newline."""
    lines = [f"{plain(personal.user)}: {_count(len(rows), 'object')}"]
    for row in rows:
        counts = f"{_count(row.videos, 'video')}, {row.seconds:.0f} s, {_count(row.frames, 'frame')} taken"
        told = f"{plain(row.object)}: {counts}"
        if row.held_out_accuracy is not None:
            told += f"; recognised in {100 * row.held_out_accuracy:.0f} % of the frames of videos left out"
        lines += [told, *([f"  {row.filming}"] if row.filming else [])]
    return "\n".join([*lines, *_adapted_lines(personal), "", *_threshold_lines(personal), ""])


def summary_csv(participants: Sequence[tuple[str, Sequence[ObjectSummary]]]) -> str:
    """A row a participant and object; fractions in [0, 1], an empty cell where nothing could be held out."""
    return csv_text(CSV_COLUMNS, [_cells(user, row) for user, rows in participants for row in rows])


def _cells(user: str, row: ObjectSummary) -> list[object]:
    accuracy = "" if row.held_out_accuracy is None else f"{row.held_out_accuracy:.4f}"
    counts = [row.videos, row.frames, f"{row.seconds:.1f}", row.held_out_frames]
    return [user, row.object, *counts, accuracy, row.filming]


def _adapted_lines(personal: PersonalRecognizer) -> list[str]:
    if personal.fitted.recognizer.shares_features:
        return []
    return [
        "These shares are somewhat too good: this learner adapted its extractor to the videos left out, too; "
        "'orbit-lite check-user' adapts it without them."
    ]


def _threshold_lines(personal: PersonalRecognizer) -> list[str]:
    threshold = personal.threshold
    if threshold.auroc is None:
        return ["'None of these' can't be answered: no object has two videos, so that one could be left out."]
    if threshold.value is None or threshold.false_alarms is None or threshold.misses is None:
        return ["'None of these' can't be answered: things never taught look as familiar as these to this recogniser."]
    return [
        f"'None of these' is answered below a familiarity of {threshold.value:.3f}. Estimated from "
        f"{_count(threshold.frames, 'frame')} of videos left out: it is answered for "
        f"{100 * threshold.misses:.0f} % of the frames of these objects, and not answered for "
        f"{100 * threshold.false_alarms:.0f} % of the frames of other things "
        f"(AUROC {threshold.auroc:.2f}, where 0.5 is chance).",
    ]


def _advice(told: str, videos: int) -> str:
    if videos == 1:
        told += " A single video: film one more or better several, so that it can be checked on one left out."
    elif videos < FEW_VIDEOS:
        told += f" {videos} videos are few: film {FEW_VIDEOS} or more, in different places."
    return told.strip()


def _count(number: int, what: str) -> str:
    return f"1 {what}" if number == 1 else f"{number} {what}s"
