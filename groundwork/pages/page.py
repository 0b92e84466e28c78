"""One HTML page without scripts or network access, readable with a screen reader."""

import base64
from collections.abc import Sequence
from html import escape
from importlib import resources

from groundwork.pages.blocks import Block, Figure, Heading, Paragraph, Section, Thumbnail, Thumbnailed
from groundwork.pages.printing import html_table
from groundwork.pages.table import Table

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
    """The page. Pictures are embedded; the CSV files of their data are next to it."""
    style = resources.files("groundwork.pages").joinpath("style.css").read_text(encoding="utf-8")
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
            return html_table(block)


def _figure(figure: Figure) -> str:
    source = f"data:image/svg+xml;base64,{base64.b64encode(figure.svg).decode()}"
    # focusable, as tables are: a chart wider than the window is scrolled, for its text would be too small to read
    return (
        f'<figure>\n<div class="wide" role="group" aria-label="{escape(figure.caption)}" tabindex="0">\n'
        f'<img src="{source}" alt="{escape(figure.alt)}">\n</div>\n'
        f'<figcaption>{escape(figure.caption)} Data: <a href="{figure.csv}">{figure.csv}</a></figcaption>\n</figure>'
    )


def _thumbnail(frame: Thumbnail) -> str:
    source = f"data:image/jpeg;base64,{base64.b64encode(frame.jpeg).decode()}"
    return (
        f'<li><figure><img src="{source}" alt="{escape(frame.alt)}">'
        f"<figcaption>{escape(frame.caption)}</figcaption></figure></li>"
    )
