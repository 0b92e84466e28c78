"""Writes the scorecard's rows as CSV files, with fractions instead of percent and unchanged names."""

from collections import defaultdict
from collections.abc import Sequence

import pandas as pd

from eval.formats.scorecard import ByAnnotation, Confusion, Cost, Scorecard
from eval.metrics import METRICS
from eval.report.answers import ANSWERS_CSV, curve_csv
from eval.report.tables import summary_of
from eval.report.timelines import TIMELINES_CSV, Timeline, timelines_table
from groundwork.csv_cells import safe_cell

OVERALL_CSV = "overall.csv"
PER_TASK_CSV = "per_task.csv"
PER_OBJECT_CSV = "per_object.csv"
PER_VIDEO_CSV = "per_video.csv"
PER_USER_CSV = "per_user.csv"
CONFUSION_CSV = "confusion.csv"
BY_ANNOTATION_CSV = "by_annotation.csv"
COST_CSV = "cost.csv"
COST_PER_TASK_CSV = "cost_per_task.csv"
# All files that a report can have.
CSV_NAMES = frozenset(
    {OVERALL_CSV, PER_TASK_CSV, PER_OBJECT_CSV, PER_VIDEO_CSV, PER_USER_CSV}
    | {CONFUSION_CSV, BY_ANNOTATION_CSV, COST_CSV, COST_PER_TASK_CSV, TIMELINES_CSV, ANSWERS_CSV}
)


def csv_files(scorecard: Scorecard, timelines: Sequence[Timeline] = ()) -> dict[str, bytes]:
    """Map file names to contents in UTF-8; unknown parts of the scorecard have no file."""
    tables = {OVERALL_CSV: _overall(scorecard)}
    if not scorecard.single_images:
        tables[CONFUSION_CSV] = _confusion(scorecard.confusion)
    if scorecard.by_annotation:
        tables[BY_ANNOTATION_CSV] = _by_annotation(scorecard.by_annotation)
    if scorecard.cost:
        tables[COST_CSV] = _cost(scorecard.cost)
    if scorecard.cost and scorecard.cost.per_task:
        tables[COST_PER_TASK_CSV] = pd.DataFrame([row.model_dump() for row in scorecard.cost.per_task])
    if scorecard.answers_curve:
        tables[ANSWERS_CSV] = curve_csv(scorecard.answers_curve)
    if timelines:
        tables[TIMELINES_CSV] = timelines_table(timelines)
    rows = {
        PER_TASK_CSV: scorecard.per_task,
        PER_OBJECT_CSV: scorecard.per_object,
        PER_VIDEO_CSV: scorecard.per_video,
        PER_USER_CSV: scorecard.per_user,
    }
    tables |= {name: pd.DataFrame([row.model_dump() for row in part]) for name, part in rows.items() if part}
    safe = {name: table.map(safe_cell) for name, table in tables.items()}
    return {name: table.to_csv(index=False, lineterminator="\n").encode() for name, table in safe.items()}


def _overall(scorecard: Scorecard) -> pd.DataFrame:
    rows = []
    for name in scorecard.metrics:
        for how, part in summary_of(scorecard, name).parts.items():
            bootstrap = part.bootstrap_over_users
            rows.append(
                {
                    "metric": name,
                    "mean_over": how,
                    "mean": part.mean,
                    "n": part.n,
                    "unit": part.unit,
                    "protocol_half_width": part.protocol_interval.half_width,
                    "bootstrap_low": bootstrap.low,
                    "bootstrap_high": bootstrap.high,
                    "bootstrap_users": bootstrap.n,
                    "of_a_sample_of_frames": METRICS[name].needs_every_frame and not scorecard.every_query_frame,
                }
            )
    return pd.DataFrame([*rows, *_beside_metrics(scorecard)])


def _beside_metrics(scorecard: Scorecard) -> list[dict[str, object]]:
    """Chance, calibration error and a personal file's answers, if known; cells that don't apply stay empty."""
    overall, counts = scorecard.overall, scorecard.counts
    answers = overall.answers.model_dump() if overall.answers else {}
    rows = [
        ("chance", overall.chance, "per_task", counts.tasks, "tasks"),
        ("ece", overall.ece, "per_frame", counts.frames, "frames"),
        *(
            (f"answers_{name}", share, "per_video", counts.video_scores, "videos of tasks")
            for name, share in answers.items()
        ),
    ]
    names = ("metric", "mean", "mean_over", "n", "unit")
    return [dict(zip(names, row, strict=True)) for row in rows if row[1] is not None]


def _confusion(confusions: Sequence[Confusion]) -> pd.DataFrame:
    """One row per pair of objects, including those never confused; `object_set` numbers a user's sets of objects from
    1."""
    seen: dict[str, int] = defaultdict(int)
    rows = []
    for confusion in confusions:
        seen[confusion.user] += 1
        for shown, counts in zip(confusion.objects, confusion.frames, strict=True):
            for taken, count in zip(confusion.objects, counts, strict=True):
                rows.append((confusion.user, seen[confusion.user], confusion.tasks, shown, taken, count))
    return pd.DataFrame(rows, columns=["user", "object_set", "tasks", "object", "predicted_object", "frames"])


def _by_annotation(groups: ByAnnotation) -> pd.DataFrame:
    rows = []
    for by in ByAnnotation.model_fields:
        for group in getattr(groups, by):
            interval = group.bootstrap_over_users
            rows.append(
                (by, group.name, group.frame_accuracy, group.n, group.unit, interval.low, interval.high, interval.n)
            )
    names = ["by", "group", "frame_accuracy", "n", "unit", "bootstrap_low", "bootstrap_high", "bootstrap_users"]
    return pd.DataFrame(rows, columns=names)


def _cost(cost: Cost) -> pd.DataFrame:
    known = cost.model_dump(exclude={"source", "per_task"}, exclude_none=True)
    rows = [{"what": name, **amount, "source": cost.source} for name, amount in known.items()]
    return pd.DataFrame(rows, columns=["what", "mean", "std", "n", "source"])
