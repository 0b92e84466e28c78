"""The report as Markdown."""

import re

from eval.report.picture import PICTURE_NAME, picture_finding
from eval.report.tables import (
    Table,
    left_out_table,
    object_table,
    overall_table,
    plain,
    provenance_table,
    title,
    user_table,
)
from eval.scorecard import Scorecard


def markdown_page(scorecard: Scorecard) -> str:
    """report.md; the picture stands beside it."""
    parts = [f"# {escaped(title(scorecard))}", "## Overall", _table(overall_table(scorecard))]
    parts += [f"Note: {escaped(plain(note))}" for note in scorecard.notes]
    parts += ["## Users", f"![{escaped(picture_finding(scorecard))}]({PICTURE_NAME})", _table(user_table(scorecard))]
    parts.append("## Objects")
    for user in scorecard.per_user:
        parts += [f"### User {escaped(plain(user.user))}", _table(object_table(scorecard, user))]
    if scorecard.left_out:
        parts += ["## Left out", _table(left_out_table(scorecard))]
    parts += ["## Provenance", _table(provenance_table(scorecard))]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is: every character that could be markup with a backslash before it."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", text)


def _table(table: Table) -> str:
    lines = [table.columns, ("---",) * len(table.columns), *(tuple(map(escaped, row)) for row in table.rows)]
    return "\n".join([f"{escaped(table.caption)}:", "", *(f"| {' | '.join(line)} |" for line in lines)])
