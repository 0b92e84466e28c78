"""Scorecard to report: one HTML page that needs no network, Markdown, plain text, CSVs and a picture."""

from pathlib import Path

from eval.report.csvs import csv_files
from eval.report.markdown import markdown_page
from eval.report.page import html_page
from eval.report.picture import PICTURE_NAME, accuracy_picture
from eval.report.text import compare_table, scorecard_text
from eval.scorecard import Scorecard
from groundwork.files import write_bytes, write_text

__all__ = ["compare_table", "scorecard_text", "write_report"]


def write_report(scorecard: Scorecard, run_dir: Path) -> None:
    """Write report.html, report.md, the picture and the CSVs into a run folder, each file whole or not at all.

    The same scorecard gives the same bytes. Numbers are percent in the pages and fractions in the CSVs.
    """
    for name, content in csv_files(scorecard).items():
        write_bytes(run_dir / name, content)
    picture = accuracy_picture(scorecard)
    write_bytes(run_dir / PICTURE_NAME, picture)
    write_text(run_dir / "report.md", markdown_page(scorecard))
    write_text(run_dir / "report.html", html_page(scorecard, picture))  # last: where it is, all of it is
