"""Recognizes files that are not videos by their first bytes, for a one-line message."""

from pathlib import Path

_HEAD_BYTES = 512
# first bytes, what it is
_PICTURES = {b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP"}
_PICTURE_BRANDS = {b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIC", b"avif": "AVIF"}
_LISTS = {
    b"#EXTM3U": "a playlist",
    b"ffconcat": "a concat script",
    b"<?xml": "an XML text",
    b"[playlist]": "a playlist",
}


def foreign_kind(path: Path) -> str | None:
    """What an empty file, a picture or a playlist with a video's suffix is, and what to do; None if unknown."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:
        return None
    if not head:
        return "an empty file; perhaps it is still in the cloud. Download it, or remove it."
    if (picture := picture_format(head)) is not None:
        return (
            f"is a {picture} picture, expected a video. Rename it to .{_SUFFIXES.get(picture, picture.lower())} to use"
            " it as a photo."
        )
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for start, kind in _LISTS.items():
        if text.startswith(start):
            return f"{kind}, expected a video. The files that it names are not opened; give the videos themselves."
    return None


def picture_format(head: bytes) -> str | None:
    """The format of a still picture, by a file's first 16 bytes or more; None if it is not a picture."""
    if head[4:8] == b"ftyp":
        return _PICTURE_BRANDS.get(head[8:12])
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((name for start, name in _PICTURES.items() if head.startswith(start)), None)


_SUFFIXES = {"JPEG": "jpg"}
