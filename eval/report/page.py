"""The report as one HTML page: no script, no network, readable without sight."""

import base64
from html import escape
from importlib import resources

from eval.report.csvs import PER_USER_CSV
from eval.report.picture import picture_finding
from eval.report.tables import (
    Table,
    left_out_table,
    object_table,
    overall_table,
    percent,
    plain,
    provenance_table,
    title,
    user_table,
)
from eval.scorecard import Scorecard

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
{sections}
</main>
</body>
</html>
"""


def html_page(scorecard: Scorecard, picture: bytes) -> str:
    """report.html.

    Args:
        scorecard: what to report.
        picture: the SVG of accuracy per user; it goes into the page.
    """
    sections = [
        _section("overall", "Overall", _headline(scorecard), _table(overall_table(scorecard)), _reading(scorecard)),
        _section("users", "Users", _figure(scorecard, picture), _table(user_table(scorecard))),
        _section("objects", "Objects", *_objects(scorecard)),
    ]
    if scorecard.left_out:
        sections.append(_section("left-out", "Left out", _table(left_out_table(scorecard))))
    sections.append(_section("provenance", "Provenance", _table(provenance_table(scorecard))))
    style = resources.files("eval.report").joinpath("style.css").read_text(encoding="utf-8")
    return _PAGE.format(title=escape(title(scorecard)), style=style, sections="\n".join(sections))


def _section(name: str, heading: str, *parts: str) -> str:
    body = "\n".join(parts)
    return f'<section aria-labelledby="{name}">\n<h2 id="{name}">{escape(heading)}</h2>\n{body}\n</section>'


def _headline(scorecard: Scorecard) -> str:
    summary, counts = scorecard.overall.frame_accuracy, scorecard.counts
    return (
        f'<p class="headline"><strong>{percent(summary.per_video.mean, 2)} %</strong> of frames right, mean over '
        f"{counts.video_scores} videos of {counts.tasks} tasks; {percent(summary.per_user.mean, 2)} % as a mean over "
        f"{counts.users} {'user' if counts.users == 1 else 'users'}.</p>"
    )


def _reading(scorecard: Scorecard) -> str:
    notes = "".join(f'<p class="note">Note: {escape(plain(note))}</p>\n' for note in scorecard.notes)
    return notes + (
        "<p>The protocol's interval is 1.96·std/√n, as the leaderboard prints it. It takes every video for "
        "independent, although the same videos come in many tasks: it is too narrow as a statement about new users. "
        "The bootstrap draws whole users anew and speaks of users like these.</p>"
    )


def _figure(scorecard: Scorecard, picture: bytes) -> str:
    source = "data:image/svg+xml;base64," + base64.b64encode(picture).decode()
    return (
        f'<figure>\n<img src="{source}" alt="{escape(picture_finding(scorecard))}">\n'
        f'<figcaption>Frame accuracy per user, best first. Data: <a href="{PER_USER_CSV}">{PER_USER_CSV}</a>'
        "</figcaption>\n</figure>"
    )


def _objects(scorecard: Scorecard) -> list[str]:
    return [
        f"<h3>User {escape(plain(user.user))}</h3>\n{_table(object_table(scorecard, user))}"
        for user in scorecard.per_user
    ]


def _table(table: Table) -> str:
    kinds = [' class="number"' if numeric else "" for numeric in table.numeric]
    columns = zip(kinds, table.columns, strict=True)
    head = "".join(f'<th{kind} scope="col">{escape(column)}</th>' for kind, column in columns)
    rows = []
    for place, (first, *rest) in enumerate(table.rows):
        last = table.ends_in_total and place == len(table.rows) - 1
        cells = "".join(f"<td{kind}>{escape(cell)}</td>" for kind, cell in zip(kinds[1:], rest, strict=True))
        total = ' class="total"' if last else ""
        rows.append(f'<tr{total}><th scope="row">{escape(first)}</th>{cells}</tr>')
    body = "\n".join(rows)
    # focusable, so that a table wider than the window can be scrolled from the keyboard
    return (
        f'<div class="wide" role="region" aria-label="{escape(table.caption)}" tabindex="0">\n<table>\n'
        f"<caption>{escape(table.caption)}</caption>\n<thead>\n<tr>{head}</tr>\n</thead>\n"
        f"<tbody>\n{body}\n</tbody>\n</table>\n</div>"
    )
