"""A page as Markdown; its pictures are files next to it."""

from collections.abc import Sequence

from groundwork.pages.blocks import Block, Figure, Heading, Paragraph, Section, Thumbnailed
from groundwork.pages.printing import markdown_escaped, markdown_table
from groundwork.pages.table import Table


def markdown_page(title: str, sections: Sequence[Section]) -> str:
    """The page, ending with a newline."""
    parts = [f"# {markdown_escaped(title)}"]
    for section in sections:
        parts += [f"## {markdown_escaped(section.heading)}", *map(_block, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _block(block: Block) -> str:
    match block:
        case Paragraph():
            strong = f"**{markdown_escaped(block.strong)}** " if block.strong else ""
            return strong + markdown_escaped(block.text)
        case Heading():
            return f"### {markdown_escaped(block.text)}"
        case Figure():
            data = f"Data: [{markdown_escaped(block.csv)}]({block.csv})"
            return f"![{markdown_escaped(block.alt)}]({block.file_name})\n\n{markdown_escaped(block.caption)} {data}"
        case Thumbnailed():
            shown = "\n".join(f"- {markdown_escaped(frame.caption)}" for frame in block.frames)
            return f"Frames (report.html shows them):\n\n{shown}"
        case Table():
            return markdown_table(block)
