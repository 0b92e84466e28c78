"""A table of strings as plain text, Markdown, CSV and HTML: the same cells, whatever reads them."""

import csv
import io
import re
from html import escape

from eval.report.tables import Table


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


def csv_text(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """CSV with a header, lines ending in a newline alone."""
    content = io.StringIO()
    csv.writer(content, lineterminator="\n").writerows([columns, *rows])
    return content.getvalue()


def html_table(table: Table) -> str:
    """A table with caption, `scope` on every heading, and a frame that the keyboard can scroll."""
    kinds = [' class="number"' if number else "" for number in table.numeric]
    columns = zip(kinds, table.columns, strict=True)
    head = "".join(f'<th{kind} scope="col">{escape(column)}</th>' for kind, column in columns)
    rows = []
    for first, *rest in table.rows:
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
        rows.append(f'<tr><th scope="row">{escape(first)}</th>{cells}</tr>')
    body = "\n".join(rows)
    return (
        f'<div class="wide" role="region" aria-label="{escape(table.caption)}" tabindex="0">\n<table>\n'
        f"<caption>{escape(table.caption)}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
