"""Writes the check of a user's videos to a folder: an HTML page that needs no network, Markdown, CSVs and a figure."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundwork.files import write_bytes, write_text
from groundwork.lock import only_run
from groundwork.outputs import Output, require_outputs
from groundwork.pages.blocks import Block, Figure, Paragraph, Section
from groundwork.pages.cells import percent, printable
from groundwork.pages.drawing import BEHIND, INK, add_title, drawing, shortened
from groundwork.pages.markdown import markdown_page
from groundwork.pages.page import html_page
from orbit_lite.personal.checking.check import UserCheck
from orbit_lite.personal.checking.learning_curve import LearningCurve
from orbit_lite.personal.checking.numbers import CHECK_JSON, user_numbers, write_check_json
from orbit_lite.personal.checking.participants import write_participants
from orbit_lite.personal.checking.tables import (
    CONFUSION_CSV,
    CURVE_CSV,
    OBJECTS_CSV,
    VIDEOS_CSV,
    check_csvs,
    confusion_table,
    curve_table,
    facts_table,
    objects_table,
    rejection_table,
    videos_table,
)
from orbit_lite.personal.checking.words import FEW_NOTE, HOW, curve_finding, headline, object_result
from orbit_lite.personal.promises import estimate_lines, rejection_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PAGE_NAME, MARKDOWN_NAME, CURVE_SVG = "check.html", "check.md", "check_learning_curve.svg"
# all files of one user's check
CHECK_FILES = (PAGE_NAME, MARKDOWN_NAME, OBJECTS_CSV, VIDEOS_CSV, CONFUSION_CSV, CURVE_CSV, CURVE_SVG, CHECK_JSON)

CURVE_NOTE = (
    "The share of held-out frames recognized, by the number of videos that taught each object. An object with fewer "
    "videos is taught with all of them."
)

LOW = 15  # percent; the name of a lower point would overlap the axis
_LINE, _BAND, _THIN = "#2f5d8a", "#cfe0ef", "#767676"


def write_check(check: UserCheck, out: Path) -> Path:
    """Write the report into a folder, which is created if necessary; return the page's path, which is written last.

    Each file is written completely or not at all. The same check gives the same bytes. No filmed pictures are included.

    Raises:
        UsageError: if `out` is a file, or another run is writing there.
    """
    require_outputs([], [Output("--out", out, is_folder=True)])
    with only_run(out):
        return _write_one(check, out)


def write_checks(checks: Sequence[UserCheck], out: Path) -> Path:
    """Write each user's report into a folder named after them, and a page that compares all; return its path.

    Raises:
        UsageError: as `write_check`.
    """
    require_outputs([], [Output("--out", out, is_folder=True)])
    with only_run(out):
        for check in checks:
            _write_one(check, out / check.user)
        participants = {check.user: user_numbers(check) for check in checks}
        write_check_json(out / CHECK_JSON, participants)
        return write_participants(participants, out)


def _write_one(check: UserCheck, out: Path) -> Path:
    title, sections = f"Check of {printable(check.user)}'s videos", check_sections(check)
    for name in (CURVE_CSV, CURVE_SVG):  # a file left by an earlier check would show other numbers
        if not check.curve:
            (out / name).unlink(missing_ok=True)
    for name, content in check_csvs(check).items():
        write_text(out / name, content)
    if check.curve:
        write_bytes(out / CURVE_SVG, curve_picture(check.curve))
    write_check_json(out / CHECK_JSON, {check.user: user_numbers(check)})
    write_text(out / MARKDOWN_NAME, markdown_page(title, sections))
    write_text(out / PAGE_NAME, html_page(title, sections))
    return out / PAGE_NAME


def check_sections(check: UserCheck) -> list[Section]:
    """The whole report."""
    strong, of_what = headline(check)
    film = [
        Paragraph(f"{object_result(thing)} {printable(thing.advice.text)}", strong=f"{printable(thing.object)}:")
        for thing in check.worst_first
    ]
    notes = [Paragraph(printable(note), kind="note") for note in check.notes]
    promised = [Paragraph(printable(line)) for line in rejection_lines(check.rejection, check.origin)]
    strictness = [rejection_table(check)] if check.rejection.curve else []
    files = (OBJECTS_CSV, VIDEOS_CSV, CONFUSION_CSV, *([CURVE_CSV] if check.curve else []))
    return [
        Section(
            "overall",
            "Overall",
            (
                Paragraph(of_what, strong=strong, kind="headline"),
                *(
                    Paragraph(line) for line in estimate_lines(check.estimate, check.origin)[1:]
                ),  # the first line is the headline above
                Paragraph(f"{HOW} {FEW_NOTE}", kind="note"),
                *notes,
            ),
        ),
        Section("film", "What to film next, worst first", tuple(film)),
        Section("objects", "Objects", (objects_table(check),)),
        Section("confusion", "What objects were mistaken for", (confusion_table(check),)),
        Section("curve", "Would more videos help?", _curve_blocks(check)),
        Section("none", "None of these", (*promised, *strictness)),
        Section("videos", "Videos", (videos_table(check),)),
        Section(
            "provenance",
            "What was checked",
            (facts_table(check), Paragraph(f"The numbers are in CSV files beside this page: {', '.join(files)}.")),
        ),
    ]


def _curve_blocks(check: UserCheck) -> tuple[Block, ...]:
    if check.curve is None:
        return (Paragraph(check.no_curve),)
    finding = curve_finding(check.curve)
    alt = f"Learning curve. {finding} The numbers are in {CURVE_CSV} and in the table below."
    figure = Figure(
        CURVE_SVG,
        curve_picture(check.curve),
        alt,
        "Held-out frames recognized, by number of teaching videos.",
        CURVE_CSV,
    )
    return (Paragraph(finding), figure, curve_table(check.curve), Paragraph(CURVE_NOTE))


def curve_picture(curve: LearningCurve) -> bytes:
    """The figure as SVG: a thick line for all objects with the spread of the draws, and a thin line for each object.
    The same curve gives the same bytes."""
    taught, whole = curve.videos_taught, 100 * curve.accuracy()
    with drawing(height=4.0) as (axes, content):
        for name in sorted(set(curve.objects)):
            own = 100 * curve.accuracy(name).mean(axis=1)
            axes.plot(taught[: len(own)], own, color=_THIN, linewidth=0.9, marker=".", markersize=4)
        axes.fill_between(taught, whole.min(axis=1), whole.max(axis=1), color=_BAND, linewidth=0, zorder=0)
        axes.plot(taught, whole.mean(axis=1), color=_LINE, linewidth=3, marker="o")
        for count, mean in zip(taught, whole.mean(axis=1), strict=True):
            _note(axes, percent(mean / 100, 0), (count, mean), 9, "center")
        lowest = min(set(curve.objects), key=lambda name: (curve.accuracy(name)[-1].mean(), name))
        end = curve.accuracy(lowest)
        last = 100 * float(end[-1].mean())
        # below its point, away from the numbers above the thick line, or above it if the axis is too close
        _note(axes, shortened(printable(lowest)), (taught[len(end) - 1], last), -18 if last >= LOW else 26, "right")
        spread = f"shaded from the lowest to the highest of {curve.draws} draws"
        add_title(axes, f"Thick: all objects, {spread}; thin: each object, the lowest labeled")
        axes.set_xticks(taught)
        axes.set_ylim(0, 108)
        axes.set_yticks(range(0, 101, 20))
        axes.set_xlabel("Videos that taught each object")
        axes.set_ylabel("Held-out frames recognized, %")
        axes.spines[["top", "right"]].set_visible(False)
    return content.getvalue()


def _note(axes: "Axes", text: str, place: tuple[float, float], above: int, side: str) -> None:
    """A label some points above a position. Names are not parsed as formulas, even if they have dollar signs."""
    axes.annotate(
        text, place, xytext=(0, above), textcoords="offset points", ha=side, color=INK, bbox=BEHIND, parse_math=False
    )
