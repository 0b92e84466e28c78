"""Reports files of a raw tree that are skipped: empty ones, links that lead nowhere, and those that are not videos or
photos by their names. They are reported once, with kinds and counts."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath

from data_prep.tree.layout import TREE_FILES, is_junk, nfc
from data_prep.tree.object_folder import holds_frames, leads_nowhere
from data_prep.video import is_photo_file, is_video_file
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

_DEEPEST = 8  # as deep as videos are looked for


def report_left_aside(root: Path, *, empty: bool = True) -> None:
    """Report which files below a folder are skipped, in one line for each reason.

    Args:
        root: a tree's root, or one user's folder; hidden files and the kit's own files are not reported.
        empty: whether empty videos are skipped; if not, they are an error elsewhere.
    """
    others, nothing, links = [], [], []
    for relative, size_bytes in _files(root, root, 0):
        if size_bytes is None:
            links.append(relative)
            continue
        named = is_video_file(relative) or is_photo_file(relative)
        if not named and not TREE_FILES.holds(PurePath(relative).parts):
            others.append(relative)
        elif named and size_bytes == 0 and empty:
            nothing.append(relative)
    report_lost_links(root, links)
    if nothing:
        _LOG.warning(
            "note: %s: %s skipped, perhaps not yet downloaded from the cloud: %s",
            *(root, counted(len(nothing), "empty file"), listed(sorted(nothing))),
        )
    if others:
        kinds = Counter(PurePath(relative).suffix.lower() or "no suffix" for relative in others)
        _LOG.warning(
            "note: %s: %s skipped, not videos or photos by name (%s): %s",
            *(root, counted(len(others), "file"), ", ".join(f"{kinds[kind]} {kind}" for kind in sorted(kinds))),
            listed(sorted(others)),
        )


def report_lost_links(root: Path, places: Sequence[str]) -> None:
    """Report links that lead nowhere, by their places below the root."""
    if places:
        which = counted(len(places), "link that leads nowhere", "links that lead nowhere")
        _LOG.warning("note: %s: %s skipped, perhaps not yet fetched: %s", root, which, listed(sorted(places)))


def _files(root: Path, folder: Path, depth: int) -> Iterator[tuple[str, int | None]]:
    """Each visible file's place below the root, and its size; frames of videos are left out. A link that leads nowhere
    has the size None."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_junk(entry.name)]
    for entry in visible:
        path = Path(entry.path)
        if entry.is_dir():
            if depth < _DEEPEST and not entry.is_symlink() and not holds_frames(path):
                yield from _files(root, path, depth + 1)
        elif entry.is_file():
            yield nfc(path.relative_to(root).as_posix()), entry.stat().st_size
        elif leads_nowhere(entry):
            yield nfc(path.relative_to(root).as_posix()), None
