"""Videos exported by the ORBIT-Camera app: one flat folder of `participant--label--technique--random.mp4`."""

from collections.abc import Mapping
from pathlib import Path

from data_prep.tree.layout import TREE_TYPES, nfc
from data_prep.tree.left_aside import report_left_aside
from data_prep.tree.naming import RawVideo, raw_files
from data_prep.tree.portable import require_text_names
from groundwork.errors import DataError, UsageError
from groundwork.words import listed

SKIP = "skip"
# T: train; Z: test by zooming in; S: test in the second phase; P: test by panning, which the benchmark left out.
TECHNIQUES: Mapping[str, str] = {"T": "clean", "Z": "clutter", "S": "clutter", "P": "clutter-pan"}


def parse_techniques(pairs: str) -> dict[str, str]:
    """Parse `T=clean,Z=clutter,P=skip` into a mapping.

    Raises:
        UsageError: if it does not have that form, or names an unknown video type.
    """
    mapping = {}
    for pair in pairs.split(","):
        technique, _, video_type = (part.strip() for part in pair.partition("="))
        if not technique or video_type not in (*TREE_TYPES, SKIP):
            raise UsageError(
                f"technique {pair!r}: expected LETTER=TYPE with a type of {', '.join(TREE_TYPES)} or {SKIP}, as in"
                " T=clean,Z=clutter,S=clutter,P=clutter-pan."
            )
        mapping[technique] = video_type
    return mapping


def scan_flat(root: Path, techniques: Mapping[str, str] = TECHNIQUES) -> list[RawVideo]:
    """All videos of a flat export, sorted by path. The label is the object; the random part identifies the file.

    Raises:
        DataError: if a file's name does not have that form, its technique is not in `techniques`, or it is in a
            subfolder.
    """
    videos, odd, unknown = [], [], set()
    for path, size_bytes in raw_files(root):
        relative = nfc(path.relative_to(root).as_posix())
        parts = nfc(path.stem).split("--", 3)  # the random part may hold "--" itself
        if path.parent != root or len(parts) != 4 or not all(parts):
            odd.append(relative)
            continue
        user, thing, technique, own = parts
        if technique not in techniques:
            unknown.add(technique)
        elif techniques[technique] != SKIP:
            videos.append(RawVideo("", user, thing, techniques[technique], own, relative, path, size_bytes))
    if odd:
        raise DataError(
            f"{root}: expected files participant--label--technique--random.mp4, found {listed(sorted(odd))}."
        )
    if unknown:
        raise DataError(
            f"{root}: no video type for technique {listed(sorted(unknown))}; known: "
            + ", ".join(f"{letter}={video_type}" for letter, video_type in techniques.items())
            + ". Give its type with --techniques."
        )
    require_text_names(root, [video.relative for video in videos])
    report_left_aside(root)
    return sorted(videos, key=lambda video: video.relative)
