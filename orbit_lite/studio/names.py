"""Names that somebody types into the page, or that a browser sends: which may become a folder or a file."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from data_prep.tree.layout import ANNOTATIONS, SPLITS, TREE_FILES, TREE_TYPES, nfc
from data_prep.tree.own_videos import RESULTS_NAME
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import UsageError
from orbit_lite.studio.wording import wording

LONGEST_BYTES = 80  # with the thing's and the video's name, a path stays below what every system takes
_FORBIDDEN = set('/\\<>:"|?*')
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_RESERVED = {name.casefold() for name in (*SPLITS, *TREE_TYPES, *TREE_FILES.names, ANNOTATIONS, RESULTS_NAME)}


class NameRefused(UsageError):
    """A name that can't be given; the message says why, and is shown beside the field."""


def judged_name(typed: str, what: str) -> str:
    """A name for a participant or a thing, as it is written to the disk: NFC, single spaces.

    Args:
        typed: what somebody wrote.
        what: `participant` or `thing`, for the message.

    Raises:
        NameRefused: if it can't be the name of a folder on every system, or means something else in a tree.
    """
    words, name = wording(), " ".join(nfc(typed).split())
    if not name:
        raise NameRefused(words(f"name.{what}.none"))
    if len(name.encode("utf-8", "replace")) > LONGEST_BYTES:
        raise NameRefused(words(f"name.{what}.long"))
    if found := sorted({character for character in name if character in _FORBIDDEN or not character.isprintable()}):
        shown = " ".join(character if character.isprintable() else ascii(character)[1:-1] for character in found)
        raise NameRefused(words(f"name.{what}.characters", shown=shown))
    if name.startswith(".") or name.endswith("."):
        raise NameRefused(words(f"name.{what}.dot"))
    if name.casefold() in _RESERVED or _OF_WINDOWS.fullmatch(name):
        raise NameRefused(words(f"name.{what}.reserved", name=name))
    return name


def video_file_name(sent: str) -> str:
    """A name for an uploaded file: its last part alone, without what a file system or a page would stumble over.

    Raises:
        NameRefused: if its suffix is that of no video or photo.
    """
    base = PurePosixPath(nfc(sent).replace("\\", "/")).name
    kept = "".join(character if _fits(character) else "-" for character in base).strip(" .-")
    stem, dot, suffix = kept.rpartition(".")
    name = f"{_cut(stem.strip(' .-') or 'video')}{dot}{suffix.lower()}"
    if not dot or not (is_video_file(name) or is_photo_file(name)):
        raise NameRefused(wording()("name.file", name=_cut(kept) or wording()("name.this_file")))
    if _OF_WINDOWS.fullmatch(name):
        return f"video-{name}"
    return name


def require_free(name: str, taken: Iterable[str]) -> None:
    """See that a name is not taken, nor another way to write it.

    Raises:
        NameRefused: if it is.
    """
    for other in taken:
        if is_same_name(name, other):
            raise NameRefused(wording()("name.taken", name=other))


def is_same_name(one: str, other: str) -> bool:
    """Whether two names are one on some disks: in another case, or written in another way."""
    return nfc(one).casefold() == nfc(other).casefold()


def _fits(character: str) -> bool:
    return character.isprintable() and character not in _FORBIDDEN and unicodedata.category(character) != "Cs"


def _cut(text: str) -> str:
    return text.encode()[:LONGEST_BYTES].decode(errors="ignore")
