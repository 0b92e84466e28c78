"""The content of a report, in order."""

from collections.abc import Callable, Sequence

import numpy as np

from eval.formats.scorecard import Scorecard, UserScore
from eval.report.answers import ANSWERS_NOTE, answers_table, curve_blocks
from eval.report.confusion import confusion_finding, confusion_table, largest_confusion
from eval.report.csvs import CONFUSION_CSV, COST_PER_TASK_CSV, PER_USER_CSV
from eval.report.picture import PICTURE_NAME, accuracy_picture, picture_finding
from eval.report.tables import (
    beside_accuracy,
    box_size_table,
    cost_table,
    left_out_table,
    object_table,
    overall_table,
    provenance_table,
    support_quality_table,
    user_table,
)
from eval.report.timelines import TIMELINES_CSV, Timeline, timeline_finding, timeline_picture, timeline_title
from eval.report.videos import RankedVideo, video_tables
from groundwork.pages.blocks import Block, Figure, Heading, Paragraph, Section, Thumbnail, Thumbnailed
from groundwork.pages.cells import percent, printable
from groundwork.words import counted

# Returns a frame as the content of a JPEG file, given its video and number.
Thumbnails = Callable[[str, int], bytes]

MOST_THUMBNAILS = 5  # per timeline, plus one for the first recognition
PRIVACY_NOTE = (
    "The HTML page of this report contains images of people's homes. Share it only with people who may see them."
)
INTERVALS_NOTE = (
    "The protocol's interval is 1.96·std/√n, as on the leaderboard. It treats all videos as independent, although "
    "the same videos are in many tasks, so it is too narrow for new users. The bootstrap repeatedly draws whole "
    "users, is widened for few users, and applies to users like these."
)
TASK_INTERVALS_NOTE = (
    "The protocol's interval is 1.96·std/√n over tasks, as in papers. The bootstrap over each "
    "user's tasks applies to other tasks from the same sources of images; the one over users draws whole sources, "
    "is widened for few sources, and applies to sources like these."
)
CONFUSION_NOTE = (
    "For each user: the metrics of each object, then the predictions for its frames. Each row adds "
    f"up to 100 %; if row and column name the same object, it was recognized. The counts are in {CONFUSION_CSV}."
)
TIMELINES_NOTE = (
    "The prediction for each frame, in one of the video's tasks. The upper lane is the right object; "
    "mistakes are hatched, with one lane per wrongly predicted object. A prediction is drawn up to the next "
    "predicted frame."
)


def report_sections(
    scorecard: Scorecard,
    ranked: Sequence[RankedVideo],
    timelines: Sequence[Timeline],
    thumbnails: Thumbnails | None = None,
) -> list[Section]:
    """The whole report.

    Args:
        scorecard: the scorecard.
        ranked: its videos, worst first.
        timelines: timelines of the videos to show over time; can be empty.
        thumbnails: returns the frames to show; None for a report without filmed images.
    """
    privacy = (Paragraph(PRIVACY_NOTE, kind="note"),) if thumbnails and timelines else ()
    users = Figure(
        PICTURE_NAME,
        accuracy_picture(scorecard),
        picture_finding(scorecard),
        "Frame accuracy per user, best first.",
        PER_USER_CSV,
    )
    objects = [block for user in scorecard.per_user for block in _user_blocks(scorecard, user)]
    sections = [
        Section("overall", "Overall", (*privacy, *_overall(scorecard))),
        *_answers(scorecard),
        Section("users", "Users", (users, user_table(scorecard))),
    ]
    if scorecard.single_images:
        sections.append(Section("objects", "Objects", tuple(objects)))
    else:
        sections += [
            Section("objects", "Objects and confusions", (Paragraph(CONFUSION_NOTE), *objects)),
            Section("videos", "Worst and best videos", tuple(video_tables(scorecard, ranked))),
        ]
    if timelines:
        blocks = [
            block
            for number, timeline in enumerate(timelines, start=1)
            for block in _timeline_blocks(number, timeline, thumbnails)
        ]
        sections.append(Section("timelines", "Predictions over time", (Paragraph(TIMELINES_NOTE), *blocks)))
    if scorecard.by_annotation:
        sections.append(Section("annotation", "By annotation", _by_annotation(scorecard)))
    if scorecard.left_out:
        sections.append(Section("left-out", "Left out", (left_out_table(scorecard),)))
    sections.append(Section("cost", "Cost", _cost(scorecard)))
    sections.append(Section("provenance", "Provenance", (provenance_table(scorecard),)))
    return sections


def _overall(scorecard: Scorecard) -> tuple[Block, ...]:
    summary, counts = scorecard.overall.frame_accuracy, scorecard.counts
    tasks = counted(counts.tasks, "task")
    users = counted(counts.users, "user")
    over = f"{tasks}" if scorecard.single_images else f"{counts.video_scores} videos of {tasks}"
    headline = Paragraph(
        f"of {'images' if scorecard.single_images else 'frames'} right, mean over {over}; "
        f"{percent(summary.per_user.mean, 2)} % as a mean over {users}. {beside_accuracy(scorecard)}".rstrip(),
        strong=f"{percent(summary.headline.mean, 2)} %",
        kind="headline",
    )
    notes = [Paragraph(f"Note: {printable(note)}", kind="note") for note in scorecard.notes]
    intervals = TASK_INTERVALS_NOTE if scorecard.single_images else INTERVALS_NOTE
    return (headline, overall_table(scorecard), *notes, Paragraph(intervals))


def _answers(scorecard: Scorecard) -> list[Section]:
    """Sections on a personal file's answers; none for other recognizers."""
    answers, curve = scorecard.overall.answers, scorecard.answers_curve
    if answers is None:
        return []
    blocks = (answers_table(answers), Paragraph(ANSWERS_NOTE), *(curve_blocks(curve) if curve else ()))
    return [Section("answers", "Answers", blocks)]


def _user_blocks(scorecard: Scorecard, user: UserScore) -> tuple[Block, ...]:
    heading = Heading(f"User {printable(user.user)}")
    if scorecard.single_images:
        return heading, object_table(scorecard, user)
    confusion, others = largest_confusion(scorecard, user.user)
    sets = counted(others, "other set")
    more = f" This user also has tasks with {sets} of objects; see {CONFUSION_CSV}." if others else ""
    return (
        heading,
        object_table(scorecard, user),
        Paragraph(confusion_finding(confusion) + more),
        confusion_table(confusion),
    )


def _timeline_blocks(number: int, timeline: Timeline, thumbnails: Thumbnails | None) -> tuple[Block, ...]:
    finding = timeline_finding(timeline)
    caption = f"Predictions in task {timeline.task}."
    figure = Figure(timeline_file(number), timeline_picture(timeline), finding, caption, TIMELINES_CSV)
    pictures = (_thumbnails(timeline, thumbnails),) if thumbnails else ()
    return (Heading(timeline_title(timeline)), figure, *pictures)


def timeline_file(number: int) -> str:
    """The file name of a timeline's figure; numbers count from 1, as in timelines.csv."""
    return f"timeline_{number}.svg"


def _thumbnails(timeline: Timeline, thumbnails: Thumbnails) -> Thumbnailed:
    """Frames spread over the video, and the first recognized frame."""
    last = len(timeline.frames) - 1
    places = set(np.linspace(0, last, min(MOST_THUMBNAILS, last + 1)).astype(int).tolist())
    if timeline.first_right is not None:
        places.add(timeline.first_right)
    shown = []
    for place in sorted(places):
        frame, label = int(timeline.frames[place]), int(timeline.predictions[place])
        taken = "right" if label == timeline.label else f"mistaken for {printable(timeline.objects[label])}"
        caption = f"Frame {frame}: {'first ' if place == timeline.first_right else ''}{taken}"
        alt = f"Frame {frame} of a video of {printable(timeline.object)}"
        shown.append(Thumbnail(thumbnails(timeline.video, frame), alt, caption))
    return Thumbnailed(tuple(shown))


def _by_annotation(scorecard: Scorecard) -> tuple[Block, ...]:
    groups = scorecard.by_annotation
    blocks: list[Block] = []
    if groups and groups.box_size:
        blocks += [
            box_size_table(groups.box_size),
            Paragraph("These are means over frames, so long videos weigh more."),
        ]
    if groups and groups.support_quality:
        blocks.append(support_quality_table(groups.support_quality))
    return tuple(blocks) or (Paragraph("Nothing is annotated."),)


def _cost(scorecard: Scorecard) -> tuple[Block, ...]:
    if scorecard.cost is None:
        return (Paragraph("The cost to personalize was not measured in this run."),)
    each = f" The cost of each task is in {COST_PER_TASK_CSV}." if scorecard.cost.per_task else ""
    return (cost_table(scorecard.cost), Paragraph(f"Source: {printable(scorecard.cost.source)}.{each}"))
