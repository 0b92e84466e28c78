"""What a page is made of, before any markup: sections of blocks, which become HTML and Markdown."""

from dataclasses import dataclass
from typing import Literal

from groundwork.pages.table import Table


@dataclass(frozen=True)
class Paragraph:
    """Text; `strong` comes first and stands out. A note says what must not be overlooked."""

    text: str
    strong: str = ""
    kind: Literal["plain", "note", "headline"] = "plain"


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Figure:
    """A drawn picture, also a file of its own: what it shows in words, its caption, and the file with its data."""

    file_name: str
    svg: bytes
    alt: str
    caption: str
    csv: str

    def __post_init__(self) -> None:
        _require_words(self.alt, self.file_name)


@dataclass(frozen=True)
class Thumbnail:
    """One frame of a video: its JPEG file's content, and what is said below it."""

    jpeg: bytes
    alt: str
    caption: str

    def __post_init__(self) -> None:
        _require_words(self.alt, self.caption)


@dataclass(frozen=True)
class Thumbnailed:
    """Frames of one timeline."""

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
        raise ValueError(f"{picture}: expected words for those who do not see the picture")
