"""The report as Markdown; its pictures stand beside it."""

import re
from collections.abc import Sequence

from eval.report.blocks import Block, Figure, Heading, Paragraph, Section, Thumbnailed
from eval.report.tables import Table


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """report.md."""
    parts = [f"# {escaped(title)}"]
    for section in sections:
        parts += [f"## {escaped(section.heading)}", *map(_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def escaped(text: str) -> str:
    """Text that Markdown leaves as it is: every character that could be markup with a backslash before it."""
    return re.sub(r"([\\`*_{}\[\]<>#|!~&$])", r"\\\1", text)


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            strong = f"**{escaped(block.strong)}** " if block.strong else ""
            return strong + escaped(block.text)
        case Heading():
            return f"### {escaped(block.text)}"
        case Figure():
            data = f"Data: [{escaped(block.csv)}]({block.csv})"
            return f"![{escaped(block.alt)}]({block.file_name})\n\n{escaped(block.caption)} {data}"
        case Thumbnailed():
            shown = "\n".join(f"- {escaped(frame.caption)}" for frame in block.frames)
            return f"Frames, to be seen in report.html:\n\n{shown}"
        case Table():
            return _table(block)


def _table(table: Table) -> str:
    lines = [table.columns, ("---",) * len(table.columns), *table.rows]
    rows = [f"| {' | '.join(map(escaped, line))} |" for line in lines]
    return "\n".join([f"{escaped(table.caption)}:", "", *rows])
