"""The report's tables of scores before any markup: the same cells become HTML, Markdown and plain text."""

from collections.abc import Sequence

from eval.formats.scorecard import Amount, Cost, Group, MetricSummary, ObjectScore, Scorecard, Summary, UserScore
from eval.intervals import BootstrapInterval, too_few_users
from eval.metrics import METRICS
from groundwork.pages.cells import percent, printable
from groundwork.pages.table import Column, Columns, Table

_ONE = {
    "users": "1 user",
    "tasks": "1 task",
    "videos of tasks": "1 video of a task",
    "images of tasks": "1 image of a task",
    "frames of tasks": "1 frame of a task",
}
_SIZES = ((1e12, " T"), (1e9, " G"), (1e6, " M"))


def metric_columns(scorecard: Scorecard) -> tuple[Column, ...]:
    """One column per metric in the scorecard."""
    return tuple(Column(METRICS[name].title, percent) for name in scorecard.metrics)


def counted_unit(number: int, unit: str) -> str:
    """The number of units in a mean: `2 users`, `1 user`."""
    return _ONE.get(unit, unit) if number == 1 else f"{number} {unit}"


def title(scorecard: Scorecard) -> str:
    """The report's title: protocol and users."""
    users = f"{scorecard.split} users" if scorecard.split else "all users"
    return f"Evaluation, {printable(scorecard.protocol)}, {printable(users)}"


def metric_heading(name: str, *, sampled: bool = False) -> str:
    """`Frame accuracy (higher is better)`, with a note on sampling for metrics that need every frame."""
    metric = METRICS[name]
    note = "; of a sample of frames" if sampled and metric.needs_every_frame else ""
    return f"{metric.title} ({'higher' if metric.higher_is_better else 'lower'} is better{note})"


def summary_of(scorecard: Scorecard, metric: str) -> MetricSummary:
    """A metric's summary, by its name in the scorecard's `metrics`."""
    summary: MetricSummary = getattr(scorecard.overall, metric)
    return summary


def overall_table(scorecard: Scorecard) -> Table:
    """Every metric, per video and per user, with both intervals."""
    rows = []
    for name in scorecard.metrics:
        summary, heading = summary_of(scorecard, name), metric_heading(name, sampled=not scorecard.every_query_frame)
        rows += [(heading, *_cells(part)) for part in summary.parts.values()]
    columns: tuple[str, ...] = ("Metric", "Mean over", "Mean, %", "Protocol's interval", "Bootstrap over users")
    if scorecard.single_images:
        parts = [part for name in scorecard.metrics for part in summary_of(scorecard, name).parts.values()]
        rows = [(*row, _over_tasks(part)) for row, part in zip(rows, parts, strict=True)]
        columns += ("Bootstrap over each user's tasks",)
    return Table("Overall result, with 95 % intervals", columns, tuple(rows))


def beside_accuracy(scorecard: Scorecard) -> str:
    """Sentences on chance and calibration error, which help to interpret an accuracy; "" if neither is known."""
    overall, parts = scorecard.overall, []
    if overall.chance is not None:
        parts.append(f"Chance is {percent(overall.chance, 2)} %, the mean over tasks of 1 / objects.")
    if overall.ece is not None:
        parts.append(f"The confidences' calibration error (ECE) is {percent(overall.ece, 2)} %, lower is better.")
    return " ".join(parts)


def _cells(part: Summary) -> tuple[str, ...]:
    interval = part.protocol_interval
    return (
        counted_unit(part.n, part.unit),
        percent(part.mean, 2),
        f"± {percent(interval.half_width, 2)}, n = {interval.n} {interval.unit}" if part.n > 1 else "none: only one",
        _bootstrap(part.bootstrap_over_users, digits=2),
    )


def _over_tasks(part: Summary) -> str:
    return _bootstrap(part.bootstrap_over_tasks, digits=2) if part.bootstrap_over_tasks else "none: not over tasks"


def _bootstrap(interval: BootstrapInterval, *, digits: int) -> str:
    if interval.low is None or interval.high is None:
        return f"none: {too_few_users(interval)}"
    return f"{percent(interval.low, digits)} to {percent(interval.high, digits)}, n = {interval.n} {interval.unit}"


def reading(scorecard: Scorecard) -> str:
    """`in %, lower is better for frames to recognition, higher for the rest`, and the metrics from a sample of
    frames."""
    if scorecard.single_images:
        return "in %, higher is better"
    lower = [metric.title.lower() for metric in METRICS.values() if not metric.higher_is_better]
    sampled = [metric.title.lower() for metric in METRICS.values() if metric.needs_every_frame]
    note = "" if scorecard.every_query_frame else f"; of a sample of frames: {' and '.join(sampled)}"
    return f"in %, lower is better for {', '.join(lower)}, higher for the rest{note}"


def user_table(scorecard: Scorecard) -> Table:
    """One row per user, then the mean over users."""
    rows = [(row.user, row.tasks, row.objects, row.videos, *_metrics(scorecard, row)) for row in scorecard.per_user]
    means = (summary_of(scorecard, name).per_user.mean for name in scorecard.metrics)
    counts = scorecard.counts
    rows.append(("Mean over users", counts.tasks, counts.objects, counts.videos, *means))
    columns: Columns = ("User", "Tasks", "Objects", "Videos", *metric_columns(scorecard))
    return Table(
        f"Result per user, {reading(scorecard)}; counts in the last row are totals",
        columns,
        tuple(rows),
        ends_in_total=True,
    )


def object_table(scorecard: Scorecard, user: UserScore) -> Table:
    """One row per object of one user, then the user's mean."""
    own = [row for row in scorecard.per_object if row.user == user.user]
    rows = [(row.object, row.tasks, row.videos, *_metrics(scorecard, row)) for row in own]
    over = "tasks" if scorecard.single_images else "videos"
    rows.append((f"Mean over {over}", user.tasks, user.videos, *_metrics(scorecard, user)))
    columns: Columns = ("Object", "Tasks", "Videos", *metric_columns(scorecard))
    caption = f"Result per object of user {user.user}, {reading(scorecard)}"
    return Table(caption, columns, tuple(rows), ends_in_total=True)


def box_size_table(groups: Sequence[Group]) -> Table:
    """One row per bin of box sizes."""
    caption = "Frame accuracy by size of the object: its annotated box, as a share of the frame's area"
    return _group_table(caption, "Box", groups)


def support_quality_table(groups: Sequence[Group]) -> Table:
    """One row per third of the objects, by the share of their support frames with an issue."""
    caption = "Frame accuracy by quality of support: objects in thirds, by the share of support frames with any issue"
    return _group_table(caption, "Support frames", groups)


def _group_table(caption: str, first: str, groups: Sequence[Group]) -> Table:
    rows = [
        (
            group.name,
            group.frame_accuracy,
            counted_unit(group.n, group.unit),
            _bootstrap(group.bootstrap_over_users, digits=1),
        )
        for group in groups
    ]
    columns = (first, Column("Frame accuracy, %", percent), "Mean over", "Bootstrap over users, 95 %")
    return Table(caption, columns, tuple(rows))


def cost_table(cost: Cost) -> Table:
    """The cost of personalizing per task, and of a filter's additional frames."""
    macs = "Multiply-accumulates (MACs)"
    rows = [
        _cost_row(f"{macs}, all of them", cost.macs_to_personalize),
        _cost_row(f"{macs} as the leaderboard counted them, without attention", cost.macs_to_personalize_thop),
        _cost_row("Seconds", cost.seconds_to_personalize),
    ]
    if cost.filter_extra_frames:
        rows.append(_cost_row("Frames that the filter read in addition to the task's", cost.filter_extra_frames))
    if cost.filter_extra_macs:
        rows.append(_cost_row("MACs of these frames", cost.filter_extra_macs))
    return Table("Cost to personalize", ("Cost", "Mean per task", "Standard deviation", "Tasks"), tuple(rows))


def _cost_row(name: str, amount: Amount | None) -> tuple[str, ...]:
    """`4.78 T` for a mean of 4.78e12, with the deviation in the same unit."""
    if amount is None:
        return (name, "not known", "not known", "0")
    factor, letter = next(((size, unit) for size, unit in _SIZES if amount.mean >= size), (1.0, ""))
    return (name, *(f"{number / factor:.2f}{letter}" for number in (amount.mean, amount.std)), str(amount.n))


def left_out_table(scorecard: Scorecard) -> Table:
    """The objects and videos that are in no task, and why."""
    rows = tuple(
        (entry.user, entry.object, entry.video or "all of the object", entry.reason) for entry in scorecard.left_out
    )
    return Table("Objects and videos that are in no task", ("User", "Object", "Video", "Reason"), rows)


def provenance_table(scorecard: Scorecard) -> Table:
    """What was scored, and where it comes from."""
    counts = scorecard.counts
    facts = {
        "protocol": scorecard.protocol,
        "split": scorecard.split or "none: the tree has no splits",
        "seed of the tasks": str(scorecard.seed),
        "frames scored": _scored_frames(scorecard),
        "users, tasks": f"{counts.users}, {counts.tasks}",
        "objects, videos": f"{counts.objects}, {counts.videos}",
        "videos of tasks, frames": f"{counts.video_scores}, {counts.frames}",
        "data fingerprint": scorecard.data_fingerprint,
        "tasks fingerprint": scorecard.tasks_fingerprint,
    }
    given = [(f"predictions: {key}", value) for key, value in sorted(scorecard.provenance.items())]
    return Table("What was scored", ("Fact", "Value"), (*facts.items(), *given))


def _scored_frames(scorecard: Scorecard) -> str:
    if scorecard.single_images:
        return "single images"
    return "every frame of a video" if scorecard.every_query_frame else "a sample of each video's frames"


def _metrics(scorecard: Scorecard, row: UserScore | ObjectScore) -> Sequence[float]:
    return [getattr(row, name) for name in scorecard.metrics]
