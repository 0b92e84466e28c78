"""A table as plain text, Markdown, HTML and CSV."""

import os
import re
import sys
import textwrap
from html import escape
from itertools import zip_longest

from groundwork.files import csv_text
from groundwork.pages.cells import printable
from groundwork.pages.table import Table

LEAST_WIDTH = 12  # characters: no column of words is made narrower
SHADES = 5  # as in style.css
MANY_COLUMNS = 8  # a table with this many columns or more is printed in landscape
SCROLL_HINT = "Scroll sideways for all columns."

_GAP, _CUT = "  ", "..."  # dots in ASCII: every terminal can print them


def text_table(table: Table, *, width: int | None = None) -> str:
    """Caption, then columns two spaces apart, without lines drawn; no newline at the end.

    Args:
        table: what to print.
        width: characters in a line of the terminal, see `terminal_width`. A wider table wraps its headings and cells at
            spaces. If that is not enough, long words are shortened in the middle, but no heading and no number. If even
            that is not enough, each row becomes a list with one line per column. None: the table keeps its full width.
    """
    lines = [table.headings, *table.cells]
    widths = _widths(table, width)
    if widths is None:
        return "\n".join([*_wrapped(printable(table.caption), width), *_as_lists(table, width)])
    aligned = []
    for line in lines:
        cells = [_wrapped(cell, room) for cell, room in zip(line, widths, strict=True)]
        for parts in zip_longest(*cells, fillvalue=""):
            padded = (
                part.rjust(room) if right else part.ljust(room)
                for part, room, right in zip(parts, widths, table.to_the_right, strict=True)
            )
            aligned.append(_GAP.join(padded).rstrip())
    return "\n".join([*_wrapped(printable(table.caption), width), *aligned])


def wrapped_text(text: str, width: int | None) -> str:
    """A paragraph in lines of at most `width` characters, broken at spaces; None: one line."""
    return "\n".join(_wrapped(text, width))


def terminal_width() -> int | None:
    """Width in characters of the terminal on standard output; None if that is a file or a pipe."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:  # it does not report its width
        return None


def markdown_table(table: Table, *, heading_level: int | None = None) -> str:
    """Caption (a heading if a level is given), then a Markdown table with all text escaped; no newline at the end."""
    rules = ["---:" if right else "---" for right in table.to_the_right]
    heading, *rows = ([markdown_escaped(cell) for cell in line] for line in (table.headings, *table.cells))
    lines = [f"| {' | '.join(line)} |" for line in (heading, rules, *rows)]
    caption = markdown_escaped(printable(table.caption))
    return "\n".join([f"{'#' * heading_level} {caption}" if heading_level else f"{caption}:", "", *lines])


def markdown_escaped(text: str) -> str:
    """Text escaped for Markdown. HTML's special characters become entities: not every Markdown reader accepts a
    backslash before them."""
    return escape(re.sub(r"([\\`*_{}\[\]#|!~$])", r"\\\1", text), quote=False)


def html_table(table: Table, *, scroll_hint: str = SCROLL_HINT) -> str:
    """A table with a caption, `scope` on every heading, and a frame that can be scrolled from the keyboard; if it is
    wider than the window, `scroll_hint` is shown above it."""
    caption = escape(printable(table.caption))
    head = "".join(
        f'<th{_class("number" if right else "")} scope="col">{escape(heading)}</th>'
        for heading, right in zip(table.headings, table.to_the_right, strict=True)
    )
    rows = [
        _row(table, row, total=table.ends_in_total and place == len(table.cells) - 1)
        for place, row in enumerate(table.cells)
    ]
    body, many = "\n".join(rows), "many" if len(table.columns) >= MANY_COLUMNS else ""
    # focusable, so that a table wider than the window can be scrolled from the keyboard
    return (
        f'<div{_class("wide", many)} role="region" aria-label="{caption}" tabindex="0">\n'
        f'<p class="scrolls">{escape(scroll_hint)}</p>\n<table>\n'
        f"<caption>{caption}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def csv_table(table: Table) -> str:
    """CSV with a header: values in full precision, an empty cell for None; see `csv_text`."""
    return csv_text([column.name or column.heading for column in table.heads], table.rows)


def _widths(table: Table, width: int | None) -> list[int] | None:
    """Characters of each column, so that a line fits into `width`; None if no widths make it fit.

    Wrapping comes first, because it loses nothing; then long words are shortened below whole headings.
    """
    columns = list(zip(table.headings, *table.cells, strict=True))
    full = [max(map(len, column)) for column in columns]
    room = None if width is None else width - len(_GAP) * (len(columns) - 1)
    if room is None or sum(full) <= room:
        return full
    words = [max((len(word) for cell in column for word in cell.split()), default=0) for column in columns]
    numbers = [
        max((len(cell) for cell in cells), default=0) if right else 0
        for right, (_, *cells) in zip(table.to_the_right, columns, strict=True)
    ]
    uncut = [max(word, number) for word, number in zip(words, numbers, strict=True)]
    short = [
        most if right else min(most, max(LEAST_WIDTH, len(heading)))
        for most, right, heading in zip(full, table.to_the_right, table.headings, strict=True)
    ]
    for least in (uncut, short):
        if sum(least) <= room:
            return _narrowed(full, least, room)
    return None


def _narrowed(full: list[int], least: list[int], room: int) -> list[int]:
    """Take from the widest column that can still give, one character at a time, until all fit into `room`."""
    widths = list(full)
    while sum(widths) > room:
        widest = max((place for place in range(len(widths)) if widths[place] > least[place]), key=widths.__getitem__)
        widths[widest] -= 1
    return widths


def _wrapped(text: str, width: int | None) -> list[str]:
    """Lines of at most `width` characters, broken at spaces; a longer word is shortened."""
    if width is None or len(text) <= width:
        return [text]
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [_cut(line, width) for line in lines]


def _as_lists(table: Table, width: int | None) -> list[str]:
    """Each row's first cell on a line of its own, then `heading: value` for each other column, indented."""
    lines = []
    for first, *rest in table.cells:
        lines += _wrapped(first, width)
        for heading, cell in zip(table.headings[1:], rest, strict=True):
            text = f"{heading}: {cell}"
            if width is None or width <= 3 * len(_GAP):
                lines.append(_GAP + text)
            else:
                part, *others = _wrapped(text, width - 2 * len(_GAP))
                lines += [_GAP + part, *(2 * _GAP + other for other in others)]
    return lines


def _cut(word: str, width: int) -> str:
    """Shorten in the middle: names of videos differ at their ends. Below four characters it stays whole."""
    if len(word) <= width or width <= len(_CUT):
        return word
    end = (width - len(_CUT)) // 2
    return word[: width - len(_CUT) - end] + _CUT + word[len(word) - end :]


def _row(table: Table, row: tuple[str, ...], *, total: bool) -> str:
    cells = []
    for place, (cell, right) in enumerate(zip(row, table.to_the_right, strict=True)):
        if place == 0:
            cells.append(f'<th{_class("number" if right else "")} scope="row">{escape(cell)}</th>')
            continue
        kinds = ["number"] if right else []
        if table.shaded_from is not None and place >= table.shaded_from:
            shade, same = min(int(float(cell) / 100 * SHADES), SHADES - 1), table.is_same(row, place)
            kinds += [f"shade{shade}", "same"] if same else [f"{'wrong' if table.confusion else 'shade'}{shade}"]
        cells.append(f"<td{_class(*kinds)}>{escape(cell)}</td>")
    return f"<tr{_class('total' if total else '')}>{''.join(cells)}</tr>"


def _class(*names: str) -> str:
    """A class attribute with a space before it, or nothing."""
    given = " ".join(filter(None, names))
    return f' class="{given}"' if given else ""
