"""A table of strings as plain text, Markdown and HTML: the same cells, whatever reads them."""

import re
from html import escape

from groundwork.pages.table import Table

SHADES = 5  # as in style.css


def text_table(table: Table) -> str:
    """Caption, then columns two spaces apart: words to the left, numbers to the right. No newline at the end."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[place]) for line in lines) for place in range(len(table.columns))]
    aligned = [
        "  ".join(
            cell.rjust(width) if number else cell.ljust(width)
            for cell, width, number in zip(line, widths, table.numeric, strict=True)
        ).rstrip()
        for line in lines
    ]
    return "\n".join([table.caption, *aligned])


def markdown_table(table: Table) -> str:
    """Caption, then a Markdown table; what could be markup is escaped. No newline at the end."""
    rules = tuple("---:" if number else "---" for number in table.numeric)
    rows = [tuple(map(markdown_escaped, row)) for row in table.rows]
    lines = [tuple(map(markdown_escaped, table.columns)), rules, *rows]
    return "\n".join([f"{markdown_escaped(table.caption)}:", "", *(f"| {' | '.join(line)} |" for line in lines)])


def markdown_escaped(text: str) -> str:
    """Text that Markdown leaves as it is."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", text)


def html_table(table: Table) -> str:
    """A table with caption, `scope` on every heading, and a frame that the keyboard can scroll."""
    head = "".join(
        f'<th{_class("number" if number else "")} scope="col">{escape(column)}</th>'
        for column, number in zip(table.columns, table.numeric, strict=True)
    )
    rows = [
        _row(table, row, total=table.ends_in_total and place == len(table.rows) - 1)
        for place, row in enumerate(table.rows)
    ]
    body = "\n".join(rows)
    # focusable, so that a table wider than the window can be scrolled from the keyboard
    return (
        f'<div class="wide" role="region" aria-label="{escape(table.caption)}" tabindex="0">\n<table>\n'
        f"<caption>{escape(table.caption)}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )


def _row(table: Table, row: tuple[str, ...], *, total: bool) -> str:
    cells = []
    for place, (cell, number) in enumerate(zip(row, table.numeric, strict=True)):
        if place == 0:
            cells.append(f'<th scope="row">{escape(cell)}</th>')
            continue
        kinds = ["number"] if number else []
        if table.shaded_from is not None and place >= table.shaded_from:
            kinds.append(f"shade{min(int(float(cell) / 100 * SHADES), SHADES - 1)}")
        cells.append(f"<td{_class(*kinds)}>{escape(cell)}</td>")
    return f"<tr{_class('total' if total else '')}>{''.join(cells)}</tr>"


def _class(*names: str) -> str:
    """A class attribute with a space before it, or nothing."""
    given = " ".join(filter(None, names))
    return f' class="{given}"' if given else ""
