"""Compares two scorecards of the same tasks in pairs: the differences, their intervals, and where they are largest."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from eval.formats.quantities import Count, Fraction, Unsaid
from eval.formats.scorecard import Scorecard
from eval.intervals import BootstrapInterval, bootstrap_over_tasks, bootstrap_over_users, too_few_users
from eval.metrics import METRICS
from eval.report.tables import counted_unit, metric_heading
from eval.score import ENGINE, filter_text
from groundwork.errors import DataError, UsageError
from groundwork.pages.cells import fixed, percent, printable
from groundwork.pages.printing import markdown_escaped, markdown_table, text_table, wrapped_text
from groundwork.pages.table import Column, Table
from groundwork.strict_model import Strict

COMPARISON_SCHEMA: Literal[1] = 1
SHOWN = 10  # the most objects and videos in text; JSON has all
SAME = 1e-12  # means of the same numbers can differ by rounding

_Signed = Annotated[float, Field(ge=-1, le=1)]


class Difference(Strict):
    """One metric of both, as means over the same `n` `unit`s; `difference` is b minus a.

    The bootstrap draws the same users for both, so it is for paired differences. `a_better`, `same` and `b_better`
    count units.
    """

    a: Fraction
    b: Fraction
    difference: _Signed
    n: Count
    unit: str
    bootstrap_over_users: BootstrapInterval
    bootstrap_over_tasks: Annotated[BootstrapInterval | None, Unsaid] = None
    a_better: Count
    same: Count
    b_better: Count


class MetricDifference(Strict):
    """One metric's difference, by what counts once.

    Attributes:
        per_video: every video of every task.
        per_task: every task; in place of per_video for single images.
        per_user: every user.
    """

    per_video: Annotated[Difference | None, Unsaid] = None
    per_task: Annotated[Difference | None, Unsaid] = None
    per_user: Difference

    @property
    def headline(self) -> Difference:
        """The difference to quote."""
        return self.per_video or self.per_task or self.per_user


class Overall(Strict):
    """One difference per metric, named as in eval.metrics.METRICS."""

    frame_accuracy: MetricDifference
    frames_to_recognition: Annotated[MetricDifference | None, Unsaid] = None
    video_accuracy: Annotated[MetricDifference | None, Unsaid] = None


class Place(Strict):
    """Frame accuracy of one user, object or video, a mean over `n` videos of tasks, or over `n` tasks of single images;
    "" means all of them."""

    user: str
    object: str
    video: str
    n: Count
    a: Fraction
    b: Fraction
    difference: _Signed


class Comparison(Strict):
    """Two scorecards of the same tasks. `users`, `objects`, `videos`: sorted by difference, largest first. `note`:
    other differences between the two, if any."""

    kind: Literal["comparison"] = "comparison"
    schema_number: Literal[1] = Field(COMPARISON_SCHEMA, alias="schema")
    a: str
    b: str
    protocol: str
    split: str
    every_query_frame: bool
    tasks_fingerprint: str
    note: Annotated[str | None, Unsaid] = None
    overall: Overall
    users: tuple[Place, ...]
    objects: tuple[Place, ...]
    videos: tuple[Place, ...]


def compare(a: Scorecard, b: Scorecard, *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Pair two scorecards by video, or for single images by task. The bootstrap's seed is the tasks' seed.

    Raises:
        UsageError: if they are not of the same tasks, so nothing can be paired.
        DataError: if they claim the same tasks but hold different videos.
    """
    _require_same(a, b, names)
    rows = _paired(a, b, names)
    users = rows.groupby("user", as_index=False).mean(numeric_only=True)
    return Comparison(
        a=names[0],
        b=names[1],
        protocol=a.protocol,
        split=a.split,
        every_query_frame=a.every_query_frame,
        tasks_fingerprint=a.tasks_fingerprint,
        note=" ".join(_other_ways(a, b, names)) or None,
        overall=Overall(
            **{
                name: MetricDifference(
                    per_video=None if a.single_images else _difference(rows, name, unit="videos of tasks", seed=a.seed),
                    per_task=_of_tasks(rows, name, seed=a.seed) if a.single_images else None,
                    per_user=_difference(users, name, unit="users", seed=a.seed),
                )
                for name in a.metrics
            }
        ),
        users=_places(rows, ["user"]),
        objects=() if a.single_images else _places(rows, ["user", "object"]),
        videos=() if a.single_images else _places(rows, ["user", "object", "video"]),
    )


def _other_ways(a: Scorecard, b: Scorecard, names: tuple[str, str]) -> Iterator[str]:
    """Yield one sentence per difference between the two other than their recognizers."""
    filters = filter_text(a.provenance), filter_text(b.provenance)
    if filters[0] != filters[1]:
        said = (
            f"{printable(name)} was {f'filtered over time ({text})' if text else 'not filtered over time'}"
            for name, text in zip(names, filters, strict=True)
        )
        yield f"{', '.join(said)}: part of the difference is due to the filter."
    engines = a.provenance.get(ENGINE), b.provenance.get(ENGINE)
    if engines[0] != engines[1]:
        said = (
            f"{printable(name)} by {f'engine {printable(engine)}' if engine else 'an unknown engine'}"
            for name, engine in zip(names, engines, strict=True)
        )
        yield f"Features were computed {', '.join(said)}, so they differ by rounding."


def finding(comparison: Comparison) -> str:
    """The headline as a sentence: `B is 3.20 points above A …`."""
    part = comparison.overall.frame_accuracy.headline
    a, b, interval = (
        printable(comparison.a),
        printable(comparison.b),
        part.bootstrap_over_tasks or part.bootstrap_over_users,
    )
    points = f"{abs(100 * part.difference):.2f} points"
    side = "the same as" if abs(part.difference) <= SAME else "above" if part.difference > 0 else "below"
    how = f"{b} is {side} {a}" if side == "the same as" else f"{b} is {points} {side} {a}"
    if interval.low is None or interval.high is None:
        return f"Frame accuracy, mean over {part.n} {part.unit}: {how}. No interval: {too_few_users(interval)}."
    inside = interval.low <= 0 <= interval.high
    reading = (
        f"0 is inside, so with other {interval.unit} like these either could be better" if inside else "0 is outside"
    )
    return (
        f"Frame accuracy, mean over {part.n} {part.unit}: {how}; 95 % interval of the difference "
        f"{_points(interval.low)} to {_points(interval.high)} points, from repeatedly drawing {interval.n} "
        f"{interval.unit} ({reading})."
    )


def comparison_text(comparison: Comparison, *, width: int | None = None) -> str:
    """As plain text that ends with a newline, wrapped to `width` characters if given."""
    tables = (text_table(table, width=width) for table in _tables(comparison))
    notes = [comparison.note] if comparison.note else []
    sentences = (wrapped_text(text, width) for text in (finding(comparison), *notes))
    return "\n\n".join([_title(comparison), *sentences, *tables]) + "\n"


def comparison_markdown(comparison: Comparison) -> str:
    """As a Markdown page."""
    parts = [f"# {markdown_escaped(_title(comparison))}", markdown_escaped(finding(comparison))]
    parts += [markdown_escaped(comparison.note)] if comparison.note else []
    for heading, table in zip(("Overall", "Users", "Objects", "Videos"), _tables(comparison), strict=False):
        parts += [f"## {heading}", markdown_table(table)]
    return "\n\n".join(parts) + "\n"


def _require_same(a: Scorecard, b: Scorecard, names: tuple[str, str]) -> None:
    for what, first, second in (("protocol", a.protocol, b.protocol), ("split", a.split, b.split)):
        if first != second:
            found = f"{names[0]} has {what} {printable(first) or 'none'}, {names[1]} has {printable(second) or 'none'}"
            raise UsageError(f"{found}: they can't be compared")
    if a.tasks_fingerprint != b.tasks_fingerprint:
        raise UsageError(
            f"{names[0]} and {names[1]} have different tasks (fingerprints {a.tasks_fingerprint[:12]} and "
            f"{b.tasks_fingerprint[:12]}), so they can't be compared. Predict and score both with the same tasks file"
        )


def _paired(a: Scorecard, b: Scorecard, names: tuple[str, str]) -> pd.DataFrame:
    """One row per video of a task, or per task for single images: its keys, and each metric of both (`frame_accuracy
    a`, …) with the difference."""
    keys = ["user", "task", "objects", "videos"] if a.single_images else ["user", "task", "object", "video", "frames"]
    first, second = (
        pd.DataFrame([row.model_dump() for row in (card.per_task if a.single_images else card.per_video)])
        .set_index(keys)
        .sort_index()
        for card in (a, b)
    )
    if not first.index.equals(second.index) or not first.index.is_unique:
        raise DataError(
            f"{names[0]} and {names[1]} claim the same tasks but hold different videos, so one of the files was "
            "changed. Score again"
        )
    rows = first.add_suffix(" a").join(second.add_suffix(" b"))
    for name in a.metrics:
        rows[f"{name} difference"] = rows[f"{name} b"] - rows[f"{name} a"]
    return rows.reset_index()


def _difference(rows: pd.DataFrame, metric: str, *, unit: str, seed: int) -> Difference:
    differences = rows[f"{metric} difference"].to_numpy(dtype=np.float64)
    gains = differences if METRICS[metric].higher_is_better else -differences
    return Difference(
        a=_fraction(rows[f"{metric} a"].mean()),
        b=_fraction(rows[f"{metric} b"].mean()),
        difference=float(differences.mean()),
        n=len(rows),
        unit=unit,
        bootstrap_over_users=bootstrap_over_users(differences, rows["user"].to_list(), seed=seed, bounds=(-1, 1)),
        a_better=int((gains < -SAME).sum()),
        same=int((np.abs(gains) <= SAME).sum()),
        b_better=int((gains > SAME).sum()),
    )


def _of_tasks(rows: pd.DataFrame, metric: str, *, seed: int) -> Difference:
    values, users = rows[f"{metric} difference"].to_numpy(dtype=np.float64), rows["user"].to_list()
    over_tasks = bootstrap_over_tasks(values, users, seed=seed, bounds=(-1, 1))
    return _difference(rows, metric, unit="tasks", seed=seed).model_copy(update={"bootstrap_over_tasks": over_tasks})


def _places(rows: pd.DataFrame, keys: list[str]) -> tuple[Place, ...]:
    """Means over the rows with the same keys, sorted by difference, largest first, then by name."""
    groups = rows.groupby(keys)
    means = groups[["frame_accuracy a", "frame_accuracy b", "frame_accuracy difference"]].mean()
    table = means.assign(n=groups.size()).reset_index()
    places = [
        Place(
            user=row["user"],
            object=row.get("object", ""),
            video=row.get("video", ""),
            n=row["n"],
            a=_fraction(row["frame_accuracy a"]),
            b=_fraction(row["frame_accuracy b"]),
            difference=row["frame_accuracy difference"],
        )
        for row in table.to_dict("records")
    ]
    return tuple(sorted(places, key=lambda row: (-round(abs(row.difference), 12), row.user, row.object, row.video)))


def _fraction(mean: float) -> float:
    return min(max(float(mean), 0.0), 1.0)  # rounding can put a mean slightly outside


def _title(comparison: Comparison) -> str:
    users = f"{printable(comparison.split)} users" if comparison.split else "all users"
    return (
        f"{printable(comparison.a)} and {printable(comparison.b)} compared, {printable(comparison.protocol)}, {users}"
    )


def _tables(comparison: Comparison) -> list[Table]:
    a, b = comparison.a, comparison.b
    rows = []
    for name, metric in comparison.overall:
        for part in (metric.headline, metric.per_user) if metric else ():
            heading = metric_heading(name, sampled=not comparison.every_query_frame)
            signs = (part.a_better, part.same, part.b_better)
            means = (part.a, part.b, part.difference)
            rows.append((heading, counted_unit(part.n, part.unit), *means, _interval(part), *signs))
    overall = Table(
        f"{b} minus {a}, in points, with a 95 % interval from repeatedly drawing {_drawn(comparison)}, the same "
        f"for both; and on how many each is better",
        ("Metric", "Mean over", *_heads(a, b), "Interval", f"{a} better", "Same", f"{b} better"),
        tuple(rows),
    )
    unit = comparison.overall.frame_accuracy.headline.unit.capitalize()
    places = [_place_table("user", "Users", comparison.users, unit, a, b)]
    if comparison.objects:
        places.append(_place_table("object", "Objects", comparison.objects[:SHOWN], unit, a, b))
        places.append(_place_table("video", "Videos", comparison.videos[:SHOWN], unit, a, b))
    return [overall, *places]


def _drawn(comparison: Comparison) -> str:
    """What the bootstraps draw."""
    if comparison.overall.frame_accuracy.per_video:
        return "whole users"
    return "each user's tasks, or whole users for the mean over users"


def _place_table(kind: str, heading: str, places: Sequence[Place], unit: str, a: str, b: str) -> Table:
    rows = []
    for place in places:
        name = getattr(place, kind)
        first = (name,) if kind == "user" else (name, place.user)
        rows.append((*first, place.n, place.a, place.b, place.difference))
    columns = (kind.capitalize(), *(() if kind == "user" else ("User",)), unit, *_heads(a, b))
    return Table(f"{heading} by frame accuracy, largest difference first", columns, tuple(rows))


def _heads(a: str, b: str) -> tuple[Column, Column, Column]:
    exact = partial(percent, digits=2)
    return Column(f"{a}, %", exact), Column(f"{b}, %", exact), Column("Difference", _points)


def _interval(part: Difference) -> str:
    interval = part.bootstrap_over_tasks or part.bootstrap_over_users
    if interval.low is None or interval.high is None:
        return f"none: {too_few_users(interval)}"
    return f"{_points(interval.low)} to {_points(interval.high)}"


def _points(difference: float) -> str:
    return fixed(100 * difference, 2, signed=True)
