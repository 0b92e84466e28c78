"""The report for a terminal: plain lines without box drawing, numbers in columns."""

from functools import partial

from eval.formats.scorecard import Scorecard
from eval.report.answers import PROMISED_NOTE, answers_table, curve_table
from eval.report.tables import (
    beside_accuracy,
    box_size_table,
    cost_table,
    left_out_table,
    metric_heading,
    overall_table,
    summary_of,
    support_quality_table,
    title,
    user_table,
)
from groundwork.errors import UsageError
from groundwork.pages.cells import fixed, percent, printable
from groundwork.pages.printing import text_table, wrapped_text
from groundwork.pages.table import Column, Columns, Table


def scorecard_text(scorecard: Scorecard, *, width: int | None = None) -> str:
    """Headline, answers, one row per user, notes, other results, what was left out; ends with a newline.

    Args:
        scorecard: the scorecard to print.
        width: characters in a line of the terminal; wider tables and paragraphs are wrapped. None: nothing is.
    """
    as_text = partial(text_table, width=width)
    as_paragraph = partial(wrapped_text, width=width)
    parts = [title(scorecard), as_text(overall_table(scorecard))]
    parts += [as_paragraph(beside)] if (beside := beside_accuracy(scorecard)) else []
    if scorecard.overall.answers:
        parts.append(as_text(answers_table(scorecard.overall.answers)))
    if scorecard.answers_curve:
        parts += [as_text(curve_table(scorecard.answers_curve)), as_paragraph(PROMISED_NOTE)]
    parts.append(as_text(user_table(scorecard)))
    parts += [as_paragraph(f"Note: {printable(note)}") for note in scorecard.notes]
    if scorecard.by_annotation and scorecard.by_annotation.box_size:
        parts.append(as_text(box_size_table(scorecard.by_annotation.box_size)))
    if scorecard.by_annotation and scorecard.by_annotation.support_quality:
        parts.append(as_text(support_quality_table(scorecard.by_annotation.support_quality)))
    if scorecard.cost:
        parts += [as_text(cost_table(scorecard.cost)), as_paragraph(f"Source: {printable(scorecard.cost.source)}")]
    if scorecard.left_out:
        parts.append(as_text(left_out_table(scorecard)))
    return "\n\n".join(parts) + "\n"


def compare_table(before: Scorecard, after: Scorecard, names: tuple[str, str] = ("before", "after")) -> str:
    """The three metrics and the calibration error of two scorecards side by side; ends with a newline.

    Raises:
        UsageError: if they are not of the same tasks, so they can't be compared.
    """
    if before.protocol != after.protocol:
        raise UsageError(
            f"{names[0]} has protocol {before.protocol}, {names[1]} has {after.protocol}: they can't be compared"
        )
    if before.tasks_fingerprint != after.tasks_fingerprint:
        raise UsageError(
            f"{names[0]} and {names[1]} have different tasks, so they can't be compared; score both with the same "
            "tasks file"
        )
    rows = []
    for name in before.metrics:
        heading = metric_heading(name, sampled=not before.every_query_frame)
        old, new = (summary_of(card, name).parts.values() for card in (before, after))
        for first, second in zip(old, new, strict=True):
            difference = fixed(100 * (second.mean - first.mean), 1, signed=True)
            rows.append((heading, first.unit, first.mean, second.mean, difference))
    error, later = before.overall.ece, after.overall.ece
    if error is not None and later is not None:
        heading = "Calibration error, ECE (lower is better)"
        rows.append((heading, "frames", error, later, fixed(100 * (later - error), 1, signed=True)))
    chance = "" if before.overall.chance is None else f"; chance {percent(before.overall.chance)} %"
    columns: Columns = ("Metric", "Mean over", *(Column(f"{name}, %", percent) for name in names), "Difference")
    return text_table(Table(f"{title(before)}: {' and '.join(names)}{chance}", columns, tuple(rows))) + "\n"
