"""Checks names that somebody types into the page or that a browser sends, before they become folders or files."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from data_prep.tree.layout import ANNOTATIONS, SPLITS, TREE_FILES, TREE_TYPES, nfc
from data_prep.tree.own_videos import RESULTS_NAME
from data_prep.video import is_photo_file, is_video_file
from groundwork.errors import UsageError
from orbit_lite.studio.wording import wording

LONGEST_BYTES = 80  # so that a path with participant, thing and video stays below every system's limit
_FORBIDDEN = set('/\\<>:"|?*')
_OF_WINDOWS = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
_RESERVED = {name.casefold() for name in (*SPLITS, *TREE_TYPES, *TREE_FILES.names, ANNOTATIONS, RESULTS_NAME)}


class NameRefused(UsageError):
    """A name that can't be used; the message says why, and is shown beside the field."""


def judged_name(typed: str, what: str) -> str:
    """A name for a participant or a thing in the form used on the disk: NFC, single spaces.

    Args:
        typed: the name as typed.
        what: `participant` or `thing`, for the message.

    Raises:
        NameRefused: if it can't be a folder's name on every system, or has another meaning in a tree.
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
    """A name for an uploaded file: the last part of its path, without characters that cause problems in files or pages.

    Raises:
        NameRefused: if its suffix is not that of a video or photo.
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
    """Check that a name, or another spelling of it, is not taken.

    Raises:
        NameRefused: if it is taken.
    """
    for other in taken:
        if is_same_name(name, other):
            raise NameRefused(wording()("name.taken", name=other))


def is_same_name(one: str, other: str) -> bool:
    """Whether two names are the same on some disks, because they differ only in case or Unicode form."""
    return nfc(one).casefold() == nfc(other).casefold()


def _fits(character: str) -> bool:
    return character.isprintable() and character not in _FORBIDDEN and unicodedata.category(character) != "Cs"


def _cut(text: str) -> str:
    return text.encode()[:LONGEST_BYTES].decode(errors="ignore")
