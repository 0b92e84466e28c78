"""Turns a scorecard into a report: one HTML page that needs no network, Markdown, plain text, CSVs and figures."""

import re
from collections.abc import Sequence
from pathlib import Path

from eval.formats.scorecard import Scorecard
from eval.report.answers import ANSWERS_CSV
from eval.report.answers import PICTURE_NAME as ANSWERS_PICTURE
from eval.report.contents import Thumbnails, report_sections
from eval.report.csvs import (
    BY_ANNOTATION_CSV,
    CONFUSION_CSV,
    COST_CSV,
    COST_PER_TASK_CSV,
    CSV_NAMES,
    PER_VIDEO_CSV,
    csv_files,
)
from eval.report.picture import PICTURE_NAME
from eval.report.tables import title
from eval.report.text import compare_table, scorecard_text
from eval.report.timelines import TIMELINES_CSV, PredictedTasks, chosen_timelines
from eval.report.videos import worst_first
from groundwork.errors import UsageError
from groundwork.files import write_bytes, write_text
from groundwork.pages.blocks import Figure
from groundwork.pages.markdown import markdown_page
from groundwork.pages.page import html_page

__all__ = ["PredictedTasks", "Thumbnails", "compare_table", "is_report_file", "scorecard_text", "write_report"]

# Files that only some reports have; left from an earlier report, they would show old numbers.
_OPTIONAL = {
    TIMELINES_CSV,
    CONFUSION_CSV,
    PER_VIDEO_CSV,
    BY_ANNOTATION_CSV,
    COST_CSV,
    COST_PER_TASK_CSV,
    ANSWERS_CSV,
    ANSWERS_PICTURE,
}
_PAGES = {"report.html", "report.md", PICTURE_NAME, ANSWERS_PICTURE}
_TIMELINE = re.compile(r"timeline_[0-9]+\.svg")


def write_report(
    scorecard: Scorecard,
    run_dir: Path,
    *,
    predicted: PredictedTasks | None = None,
    videos: Sequence[str] = (),
    thumbnails: Thumbnails | None = None,
) -> None:
    """Write report.html, report.md, figures and CSVs into a run folder, each file atomically.

    The same arguments give the same bytes. Numbers are in percent in the pages and fractions in the CSVs.

    Args:
        scorecard: the scorecard.
        run_dir: the folder to write to.
        predicted: the tasks and predictions of the scorecard, for timelines; None for a report without timelines.
        videos: the videos with timelines; by default some of the worst, the middle and the best.
        thumbnails: returns a frame's JPEG file, given its video and number; the page then shows frames of the
            timelines, and says so. None for a report without filmed images.

    Raises:
        UsageError: if timelines or thumbnails are requested without predictions, or for a video that was not scored.
        DataError: if tasks or predictions don't belong to the scorecard.
    """
    if predicted is None and (videos or thumbnails):
        raise UsageError(f"{run_dir}: timelines and thumbnails need the run's tasks and predictions, which are missing")
    ranked = worst_first(scorecard)
    if scorecard.single_images and (videos or thumbnails):
        raise UsageError(f"{run_dir}: timelines show a video over time, but these tasks are of single images")
    shows = predicted is not None and not scorecard.single_images
    timelines = chosen_timelines(scorecard, predicted, ranked, videos=videos) if predicted and shows else []
    sections = report_sections(scorecard, ranked, timelines, thumbnails)
    files = csv_files(scorecard, timelines)
    figures = [block for section in sections for block in section.blocks if isinstance(block, Figure)]
    files |= {figure.file_name: figure.svg for figure in figures}
    _remove_leftovers(run_dir, files)
    for name, content in files.items():
        write_bytes(run_dir / name, content)
    write_text(run_dir / "report.md", markdown_page(title(scorecard), sections))
    # last, so that it only exists with all other files
    write_text(run_dir / "report.html", html_page(title(scorecard), sections))


def is_report_file(name: str) -> bool:
    """Whether `write_report` writes a file of this name."""
    return name in CSV_NAMES or name in _PAGES or _TIMELINE.fullmatch(name) is not None


def _remove_leftovers(run_dir: Path, files: dict[str, bytes]) -> None:
    for path in run_dir.iterdir() if run_dir.is_dir() else ():
        if path.name not in files and (path.name in _OPTIONAL or _TIMELINE.fullmatch(path.name)):
            path.unlink()
