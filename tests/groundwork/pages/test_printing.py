"""One table as text, Markdown, HTML and CSV: the same cells in each, aligned, escaped and short enough."""

import csv
import os
import re
import struct
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.pages.cells import percent
from groundwork.pages.printing import (
    csv_table,
    html_table,
    markdown_escaped,
    markdown_table,
    text_table,
)
from groundwork.pages.table import Column, Table

ROOT = Path(__file__).resolve().parents[3]
VIDEOS = Table(
    "Videos | worst first",
    ("Video", Column("Right, %", percent, name="right"), "Taken for"),
    (("P177--mug--clutter--a1", 0.25, "<b>cup</b>"), ("P22--keys--clutter--b2", 1 / 3, None)),
)
TEXT = """\
Videos | worst first
Video                   Right, %  Taken for
P177--mug--clutter--a1      25.0  <b>cup</b>
P22--keys--clutter--b2      33.3  -"""
NARROW = """\
Videos | worst first
Video           Right, %  Taken for
P177--...r--a1      25.0  <b>cup</b>
P22--k...r--b2      33.3  -"""
WORDY = Table(
    "Rows of words, with a long caption",
    ("Model", "Frame accuracy, %", "Standing"),
    (("ProtoNets + LITE", 75.38, "published, not re-run"),),
)
WRAPPED = """\
Rows of words, with a long
caption
Model          Frame  Standing
           accuracy,
                   %
ProtoNets      75.38  published,
+ LITE                not re-run"""
LISTS = """\
Rows of words, with
a long caption
ProtoNets + LITE
  Frame accuracy,
    %: 75.38
  Standing:
    published, not
    re-run"""
MARKDOWN = r"""Videos \| worst first:

| Video | Right, % | Taken for |
| --- | ---: | --- |
| P177--mug--clutter--a1 | 25.0 | &lt;b&gt;cup&lt;/b&gt; |
| P22--keys--clutter--b2 | 33.3 | - |"""

WORDS = st.text(st.characters(codec="utf-8"), max_size=40)
ROWS = st.lists(st.tuples(WORDS, WORDS, st.integers(-(10**6), 10**6)), min_size=1, max_size=4).map(tuple)


def test_text():
    assert text_table(VIDEOS) == TEXT


def test_markdown():
    assert markdown_table(VIDEOS) == MARKDOWN
    assert markdown_table(VIDEOS, heading_level=2).splitlines()[:3] == [
        r"## Videos \| worst first",
        "",
        *MARKDOWN.splitlines()[2:3],
    ]


def test_markup_is_escaped_in_markdown():
    assert markdown_escaped("a|b*c_d<e>") == r"a\|b\*c\_d&lt;e&gt;"


def test_html_has_caption_and_scope():
    region = ElementTree.fromstring(html_table(VIDEOS))  # parsing as XML checks escaping and closing tags
    assert region.attrib["aria-label"] == region.findtext("table/caption") == VIDEOS.caption
    assert [(cell.text, cell.attrib["scope"]) for cell in region.findall("table/thead/tr/th")] == [
        ("Video", "col"),
        ("Right, %", "col"),
        ("Taken for", "col"),
    ]
    rows = region.findall("table/tbody/tr")
    assert [[cell.tag for cell in row] for row in rows] == [["th", "td", "td"]] * 2
    assert [row[0].attrib["scope"] for row in rows] == ["row", "row"]
    assert [[cell.text for cell in row] for row in rows] == [list(cells) for cells in VIDEOS.cells]
    assert [cell.attrib.get("class") for cell in rows[0]] == [None, "number", None]


def test_csv_has_the_values_in_full_precision():
    text = csv_table(VIDEOS)
    assert text.splitlines()[0] == "Video,right,Taken for"
    first, second = csv.DictReader(text.splitlines())
    assert float(second["right"]) == 1 / 3
    assert (first["Taken for"], second["Taken for"]) == ("<b>cup</b>", "")


@given(ROWS)
def test_all_formats_have_the_same_rows_and_cells(rows):
    table = Table("caption", ("a", "b", "c"), rows)
    region = ElementTree.fromstring(html_table(table))
    assert [tuple(cell.text or "" for cell in row) for row in region.findall("table/tbody/tr")] == [*table.cells]
    lines = text_table(table).split("\n")
    assert len(lines) == 2 + len(rows)
    assert len(set(map(len, lines[1:]))) == 1  # the last column has numbers, so no line is shorter
    markdown = markdown_table(table).split("\n")[4:]
    for line, row in zip(markdown, table.cells, strict=True):
        assert line == f"| {' | '.join(map(markdown_escaped, row))} |"
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 4


def test_words_are_shortened_in_the_middle_to_fit():
    lines = TEXT.splitlines()
    assert text_table(VIDEOS, width=max(map(len, lines[1:]))) == TEXT
    assert text_table(VIDEOS, width=36).splitlines() == NARROW.splitlines()


def test_headings_and_cells_wrap_at_spaces_before_anything_is_shortened():
    assert text_table(WORDY, width=32) == WRAPPED


def test_a_table_that_does_not_fit_even_wrapped_becomes_one_list_per_row():
    assert text_table(WORDY, width=20) == LISTS


@given(ROWS, st.integers(24, 120))
def test_lines_fit_and_numbers_are_not_cut(rows, width):
    table = Table("caption", ("a", "b", "c"), rows)
    lines = text_table(table, width=width).split("\n")[1:]
    assert max(map(len, lines)) <= width
    words = {word for line in lines for word in line.split()}
    assert {str(row[2]) for row in rows} <= words


def test_no_box_drawing_characters_are_used():
    assert text_table(VIDEOS, width=36).isascii()


PRINTS = """
from groundwork.pages.printing import terminal_width, text_table
from groundwork.pages.table import Table
print(terminal_width())
print(text_table(Table("caption", ("a", "b"), (("x" * 50, 1),)), width=terminal_width()))
"""


def test_the_width_of_a_terminal_is_found():
    pytest.importorskip("termios", reason="this system has no POSIX terminals")
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 30, 0, 0))
    subprocess.run([sys.executable, "-c", PRINTS], cwd=ROOT, stdout=theirs, check=True)
    os.close(theirs)
    lines = os.read(ours, 10_000).decode().splitlines()
    os.close(ours)
    assert lines[0] == "30"
    assert [len(line) for line in lines[2:]] == [30, 30]


def test_output_to_a_file_or_pipe_is_not_shortened():
    done = subprocess.run([sys.executable, "-c", PRINTS], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[0] == "None"
    assert "x" * 50 in done.stdout
