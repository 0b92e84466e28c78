"""Summarizes what a recognizer learned from a user's videos: text for the person who filmed, and CSV rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from data_prep.quality.report import filming_verdict
from groundwork.files import csv_text
from groundwork.pages.cells import fraction_cell, printable
from groundwork.words import counted
from orbit_lite.personal.calibrating.leave_out import HeldOut
from orbit_lite.personal.promises import estimate_lines, rejection_lines
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.teaching.material import UserVideos

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
FEW_VIDEOS = 3  # with fewer, one badly filmed video is a large part of all
FPS = 30.0


@dataclass(frozen=True)
class ObjectSummary:
    """One object: how many videos and frames taught it, how long they last, and how well held-out ones are recognized.

    held_out_accuracy: share of held-out frames recognized, in [0, 1]; None for an object with a single video.
    filming: how it was filmed and what to film again, in words; "" for an object that was taught earlier.
    """

    object: str
    videos: int
    frames: int
    seconds: float
    held_out_frames: int
    held_out_accuracy: float | None
    filming: str


def summarize(
    personal: PersonalRecognizer, found: HeldOut, user_videos: UserVideos | None = None
) -> list[ObjectSummary]:
    """One row per object, in the order of their names.

    Args:
        personal: the recognizer.
        found: its results on held-out videos.
        user_videos: the videos that it was just taught with.
    """
    new = () if user_videos is None else user_videos.objects
    rows = []
    for label, name in enumerate(personal.objects):
        videos = [video for video in personal.support.videos if video.object == name]
        right = found.right[found.label == label]
        verdict = filming_verdict([video.issues for video in videos]) if name in new else ""
        rows.append(
            ObjectSummary(
                object=name,
                videos=len(videos),
                frames=sum(len(video.frames) for video in videos),
                seconds=sum(video.length for video in videos) / FPS,
                held_out_frames=len(right),
                held_out_accuracy=float(np.mean(right)) if len(right) else None,
                filming=_advice(verdict, len(videos)),
            )
        )
    return rows


def summary_text(personal: PersonalRecognizer, rows: Sequence[ObjectSummary]) -> str:
    """The summary: first what to expect, then a line or two for each object; ends with a newline."""
    lines = [f"{printable(personal.user)}: {counted(len(rows), 'object')}", *promise_lines(personal), ""]
    for row in rows:
        counts = f"{counted(row.videos, 'video')}, {row.seconds:.0f} s, {counted(row.frames, 'frame')} taken"
        line = f"{printable(row.object)}: {counts}"
        if row.held_out_accuracy is not None:
            line += f"; recognized in {100 * row.held_out_accuracy:.0f} % of the frames of held-out videos"
        lines += [line, *([f"  {row.filming}"] if row.filming else [])]
    return "\n".join([*lines, ""])


def promise_lines(personal: PersonalRecognizer) -> list[str]:
    """How many frames it is likely to recognize, and when it will answer "none of these"."""
    lines = [*estimate_lines(personal.calibration.estimate, personal.origin)]
    if not personal.fitted.recognizer.shares_features:
        lines.append(
            "These shares are somewhat too high, because this learner adapted its extractor to the held-out videos, "
            "too. 'orbit-lite check-user' adapts it without them."
        )
    return [*lines, *rejection_lines(personal.rejection, personal.origin)]


def summary_csv(participants: Sequence[tuple[str, Sequence[ObjectSummary]]]) -> str:
    """One row per participant and object, with fractions in [0, 1]; a cell is empty if nothing could be held out."""
    return csv_text(CSV_COLUMNS, [_cells(user, row) for user, rows in participants for row in rows])


def _cells(user: str, row: ObjectSummary) -> list[object]:
    counts = [row.videos, row.frames, f"{row.seconds:.1f}", row.held_out_frames]
    return [user, row.object, *counts, fraction_cell(row.held_out_accuracy), row.filming]


def _advice(verdict: str, videos: int) -> str:
    if videos == 1:
        verdict += " This is a single video: film one or more others, so that one can be held out for the check."
    elif videos < FEW_VIDEOS:
        verdict += f" {videos} videos are few: film {FEW_VIDEOS} or more, in different places."
    return verdict.strip()
