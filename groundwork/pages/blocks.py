"""The content of a page before any markup: sections of blocks, which become HTML and Markdown."""

from dataclasses import dataclass
from typing import Literal

from groundwork.pages.table import Table


@dataclass(frozen=True)
class Paragraph:
    """Text; `strong` comes first and is emphasized. A `note` must not be overlooked."""

    text: str
    strong: str = ""
    kind: Literal["plain", "note", "headline"] = "plain"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A drawn picture that is also a separate file, with its alt text, caption and the CSV file of its data."""

    file_name: str
    svg: bytes
    alt: str
    caption: str
    csv: str

    def __post_init__(self) -> None:
        _require_words(self.alt, self.file_name)


@dataclass(frozen=True)
class Thumbnail:
    """One frame of a video: the content of its JPEG file, its alt text and the caption below it."""

    jpeg: bytes
    alt: str
    caption: str

    def __post_init__(self) -> None:
        _require_words(self.alt, self.caption)


@dataclass(frozen=True)
class Thumbnailed:
    """The frames of one timeline."""

    frames: tuple[Thumbnail, ...]


Block = Paragraph | Heading | Table | Figure | Thumbnailed


@dataclass(frozen=True)
class Section:
    """A part of the page; `name` is its address within the page."""

    name: str
    heading: str
    blocks: tuple[Block, ...]


def _require_words(alt: str, picture: str) -> None:
    if not alt.strip():
        raise ValueError(f"{picture}: expected alt text that describes the picture")
