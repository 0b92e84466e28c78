"""Reports files of a raw tree that are skipped: empty ones, and those that are not videos or photos by their names.
They are reported once, with kinds and counts."""

import logging
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePath

from data_prep.tree.layout import TREE_FILES, is_junk, nfc
from data_prep.tree.object_folder import holds_frames
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
    others, nothing = [], []
    for relative, is_empty in _files(root, root, 0):
        named = is_video_file(relative) or is_photo_file(relative)
        if not named and not TREE_FILES.holds(PurePath(relative).parts):
            others.append(relative)
        elif named and is_empty and empty:
            nothing.append(relative)
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


def _files(root: Path, folder: Path, depth: int) -> Iterator[tuple[str, bool]]:
    """Each visible file's place below the root, and whether it is empty; frames of videos are left out."""
    with os.scandir(folder) as entries:
        visible = [entry for entry in entries if not is_junk(entry.name)]
    for entry in visible:
        path = Path(entry.path)
        if entry.is_dir():
            if depth < _DEEPEST and not entry.is_symlink() and not holds_frames(path):
                yield from _files(root, path, depth + 1)
        elif entry.is_file():
            yield nfc(path.relative_to(root).as_posix()), entry.stat().st_size == 0
