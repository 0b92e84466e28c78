"""The report as one HTML page: no script, no network, readable without sight."""

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources

from eval.report.blocks import Block, Figure, Heading, Paragraph, Section, Thumbnail, Thumbnailed
from eval.report.tables import Table

SHADES = 5  # as in style.css

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<nav aria-label="Sections">
<ul>
{links}
</ul>
</nav>
{sections}
</main>
</body>
</html>
"""


def html_page(title: str, sections: Sequence[Section]) -> str:
    """report.html; pictures go into the page, their data stands beside it."""
    style = resources.files("eval.report").joinpath("style.css").read_text(encoding="utf-8")
    links = "\n".join(f'<li><a href="#{part.name}">{escape(part.heading)}</a></li>' for part in sections)
    return _PAGE.format(title=escape(title), style=style, links=links, sections="\n".join(map(_section, sections)))


def _section(section: Section) -> str:
    body = "\n".join(map(_block, section.blocks))
    heading = f'<h2 id="{section.name}">{escape(section.heading)}</h2>'
    return f'<section aria-labelledby="{section.name}">\n{heading}\n{body}\n</section>'


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            strong = f"<strong>{escape(block.strong)}</strong> " if block.strong else ""
            kind = "" if block.kind == "plain" else f' class="{block.kind}"'
            return f"<p{kind}>{strong}{escape(block.text)}</p>"
        case Heading():
            return f"<h3>{escape(block.text)}</h3>"
        case Figure():
            return _figure(block)
        case Thumbnailed():
            return '<ul class="frames">\n' + "\n".join(map(_thumbnail, block.frames)) + "\n</ul>"
        case Table():
            return _table(block)


def _figure(figure: Figure) -> str:
    source = f"data:image/svg+xml;base64,{base64.b64encode(figure.svg).decode()}"
    return (
        f'<figure>\n<img src="{source}" alt="{escape(figure.alt)}">\n'
        f'<figcaption>{escape(figure.caption)} Data: <a href="{figure.csv}">{figure.csv}</a></figcaption>\n</figure>'
    )


def _thumbnail(frame: Thumbnail) -> str:
    source = f"data:image/jpeg;base64,{base64.b64encode(frame.jpeg).decode()}"
    return (
        f'<li><figure><img src="{source}" alt="{escape(frame.alt)}">'
        f"<figcaption>{escape(frame.caption)}</figcaption></figure></li>"
    )


def _table(table: Table) -> str:
    head = "".join(
        f'<th{_kind("number" if number else "")} scope="col">{escape(column)}</th>'
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
        cells.append(f"<td{_kind(*kinds)}>{escape(cell)}</td>")
    return f"<tr{_kind('total' if total else '')}>{''.join(cells)}</tr>"


def _kind(*names: str) -> str:
    given = " ".join(filter(None, names))
    return f' class="{given}"' if given else ""
