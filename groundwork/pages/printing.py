"""A table as plain text, Markdown, HTML and CSV: the same rows, whatever reads them."""

import os
import re
import sys
from html import escape

from groundwork.files import csv_text
from groundwork.pages.cells import plain
from groundwork.pages.table import Table

LEAST_WIDTH = 12  # characters: no column of words is made narrower
SHADES = 5  # as in style.css
MANY_COLUMNS = 8  # from here on a table is printed across the paper
SCROLL_HINT = "Scroll sideways for all columns."

_GAP, _CUT = "  ", "..."  # dots in ASCII: every terminal can print them


def text_table(table: Table, *, width: int | None = None) -> str:
    """Caption, then columns two spaces apart, without lines drawn; no newline at the end.

    Args:
        table: what to print.
        width: characters in a line of the terminal that it is for, see `terminal_width`. Words are shortened in the
            middle until the lines fit, those of the widest column first; headings and numbers never are. None: nothing
            is shortened.
    """
    lines = [table.headings, *table.cells]
    widths = _widths(table, width)
    aligned = [
        _GAP.join(
            _cut(cell, room).rjust(room) if right else _cut(cell, room).ljust(room)
            for cell, room, right in zip(line, widths, table.to_the_right, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([plain(table.caption), *aligned])


def terminal_width() -> int | None:
    """Characters in a line of the terminal that standard output is; None where it is a file or a pipe."""
    if not sys.stdout.isatty():
        return None
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or None
    except OSError:  # one that does not say
        return None


def markdown_table(table: Table, *, heading_level: int | None = None) -> str:
    """Caption, as a heading if a level is given, then a Markdown table; what could be markup is escaped. No newline at
    the end."""
    rules = ["---:" if right else "---" for right in table.to_the_right]
    heading, *rows = ([markdown_escaped(cell) for cell in line] for line in (table.headings, *table.cells))
    lines = [f"| {' | '.join(line)} |" for line in (heading, rules, *rows)]
    caption = markdown_escaped(plain(table.caption))
    return "\n".join([f"{'#' * heading_level} {caption}" if heading_level else f"{caption}:", "", *lines])


def markdown_escaped(text: str) -> str:
    """Text that Markdown leaves as it is. What HTML takes for markup is an entity: not every reader of Markdown knows a
    backslash before it."""
    return escape(re.sub(r"([\\`*_{}\[\]#|!~$])", r"\\\1", text), quote=False)


def html_table(table: Table, *, scroll_hint: str = SCROLL_HINT) -> str:
    """A table with caption, `scope` on every heading, and a frame that the keyboard can scroll; where it is wider than
    the window, `scroll_hint` is shown above it."""
    caption = escape(plain(table.caption))
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
    """CSV with a header: the values themselves in full precision, an empty cell for None; see `csv_text`."""
    return csv_text([column.name or column.heading for column in table.heads], table.rows)


def _widths(table: Table, width: int | None) -> list[int]:
    """Characters of each column; columns of words give way, if all of them together can make a line fit."""
    columns = list(zip(table.headings, *table.cells, strict=True))
    wanted = [max(map(len, column)) for column in columns]
    if width is None:
        return wanted
    least = [
        most if right else min(most, max(LEAST_WIDTH, len(heading)))
        for most, right, heading in zip(wanted, table.to_the_right, table.headings, strict=True)
    ]
    room = width - len(_GAP) * (len(columns) - 1)
    if sum(least) > room:
        return wanted  # the terminal has to wrap such lines: then it shall wrap all that there is
    while sum(wanted) > room:
        widest = max((place for place in range(len(columns)) if wanted[place] > least[place]), key=wanted.__getitem__)
        wanted[widest] -= 1
    return wanted


def _cut(cell: str, width: int) -> str:
    """In the middle: names of videos differ at their ends."""
    if len(cell) <= width:
        return cell
    end = (width - len(_CUT)) // 2
    return cell[: width - len(_CUT) - end] + _CUT + cell[-end:]


def _row(table: Table, row: tuple[str, ...], *, total: bool) -> str:
    cells = []
    for place, (cell, right) in enumerate(zip(row, table.to_the_right, strict=True)):
        if place == 0:
            cells.append(f'<th scope="row">{escape(cell)}</th>')
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
