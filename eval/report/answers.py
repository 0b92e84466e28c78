"""Reports a personal file's answers in a table, and at every strictness in a curve."""

from collections.abc import Sequence

import pandas as pd

from eval.formats.answer_text import NONE_OF_THESE
from eval.formats.answers import AnswerPoint, Answers, AnswersCurve
from groundwork.pages.blocks import Block, Figure, Paragraph
from groundwork.pages.cells import MISSING, percent, printable
from groundwork.pages.drawing import INK, LINE, add_title, drawing
from groundwork.pages.table import Column, Table

ANSWERS_CSV = "answers_curve.csv"
PICTURE_NAME = "answers_curve.svg"

ANSWERS_NOTE = (
    f'An answer is an object, an object with a "maybe", or {NONE_OF_THESE}. An answer with a "maybe" counts as right '
    "or wrong by its object. The metrics above use each frame's likeliest object, regardless of the answer."
)
PROMISED_NOTE = (
    "Every video scored here shows an object that was taught, so false alarms (other objects named as one of "
    "these) can't be measured on them. They are promised by the personal file, which estimated them from the "
    "videos that it was taught with. The same is true of the promised misses: frames of its own objects answered "
    f"with {NONE_OF_THESE}."
)
NOT_ESTIMATED = (
    "How often another object would be named as one of these is not known: this needs three objects "
    "with two videos each."
)
SHOWN_STEP = 5  # in percent: the step between aims in the table; the CSV has all

_GOT, _PROMISED = "#2f5d8a", LINE


def answers_table(answers: Answers) -> Table:
    """The answers, as shares of frames."""
    rows = (
        ("right", answers.right),
        ("wrong", answers.wrong),
        (NONE_OF_THESE, answers.none),
        ('with a "maybe", included in right and wrong', answers.unsure),
    )
    return Table("Answers, mean over videos of tasks", ("Answer", _share("Share of frames, %")), rows)


def curve_blocks(curve: AnswersCurve) -> list[Block]:
    """The figure, the table and notes on how to read them."""
    if _alarming(curve):
        figure = Figure(
            PICTURE_NAME,
            curve_picture(curve),
            curve_finding(curve),
            "Right answers on these videos, against false alarms as promised.",
            ANSWERS_CSV,
        )
        return [figure, curve_table(curve), Paragraph(PROMISED_NOTE, kind="note")]
    return [
        curve_table(curve),
        Paragraph(f"{PROMISED_NOTE} {NOT_ESTIMATED} The data are in {ANSWERS_CSV}.", kind="note"),
    ]


def curve_table(curve: AnswersCurve) -> Table:
    """One row per strictness shown, including the chosen one."""
    rows = []
    for place, point in enumerate(curve.points):
        aim = None if point.aim is None else round(100 * point.aim, 6)
        if place in (0, curve.chosen) or aim is None or aim % SHOWN_STEP == 0:
            got, in_use = point.answers, "yes" if place == curve.chosen else "no"
            promised = (point.aim, point.misses, point.false_alarms)
            rows.append((*promised, got.right, got.wrong, got.none, got.unsure, in_use))
    shares = ("Aim", "Misses promised", "False alarms promised", "Right", "Wrong", "None of these", "Maybe")
    caption = (
        f"Answers at every strictness, in % of frames; {curve.strictness} is in use. The aim is the share "
        f"of the taught objects' own frames that may be answered with {NONE_OF_THESE}"
    )
    return Table(caption, (*map(_share, shares), "In use"), tuple(rows))


def curve_picture(curve: AnswersCurve) -> bytes:
    """Right answers (measured) and frames not missed (promised) over false alarms (promised), as SVG."""
    points = _alarming(curve)
    alarms = [100 * alarm for alarm, _ in points]
    with drawing(height=4.2) as (axes, content):
        axes.plot(alarms, [100 * point.answers.right for _, point in points], color=_GOT, marker="o", markersize=3)
        known = [(100 * alarm, 100 * (1 - point.misses)) for alarm, point in points if point.misses is not None]
        axes.plot(*zip(*known, strict=True), color=_PROMISED, linestyle="--", linewidth=1.2) if known else None
        held = curve.points[curve.chosen]
        if held.false_alarms is not None:
            axes.plot(
                [100 * held.false_alarms],
                [100 * held.answers.right],
                color=INK,
                marker="o",
                markersize=11,
                fillstyle="none",
                markeredgewidth=1.6,
            )
        add_title(
            axes,
            "Solid: right answers on these videos. Dashed: frames not missed, as promised. Ring: the strictness in "
            "use.",
        )
        axes.set_xlim(0, max(5.0, 1.05 * max(alarms)))
        axes.set_ylim(0, 103)
        axes.set_xlabel("False alarms promised, % of other objects' frames\n(lower is better)")
        axes.set_ylabel("% of frames (higher is better)")
        axes.spines[["top", "right"]].set_visible(False)
    return content.getvalue()


def curve_finding(curve: AnswersCurve) -> str:
    """The content of the figure in words."""
    points = sorted(_alarming(curve), key=lambda pair: pair[0])
    (fewest, low), (most, high) = points[0], points[-1]
    held = curve.points[curve.chosen]
    alarms = "" if held.false_alarms is None else f" at {percent(held.false_alarms)} % false alarms promised"
    return (
        f"Curve of right answers against false alarms promised: from {percent(low.answers.right)} % right at "
        f"{percent(fewest)} % false alarms to {percent(high.answers.right)} % right at {percent(most)} %; the "
        f"strictness in use, {printable(curve.strictness)}, has {percent(held.answers.right)} % right{alarms}. "
        f"The numbers are in {ANSWERS_CSV} and in the table below."
    )


def curve_csv(curve: AnswersCurve) -> pd.DataFrame:
    """One row per point, as fractions; empty cells for unknown values."""
    rows = [
        {
            "aim": point.aim,
            "misses_promised": point.misses,
            "false_alarms_promised": point.false_alarms,
            **point.answers.model_dump(),
            "holds": place == curve.chosen,
        }
        for place, point in enumerate(curve.points)
    ]
    return pd.DataFrame(rows)


def _alarming(curve: AnswersCurve) -> Sequence[tuple[float, AnswerPoint]]:
    """The points with known false alarms."""
    return [(point.false_alarms, point) for point in curve.points if point.false_alarms is not None]


def _share(heading: str) -> Column:
    """A column of shares in percent, with `-` for unknown values."""
    return Column(heading, lambda share: MISSING if share is None else percent(share))
