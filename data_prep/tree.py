"""Which videos a tree holds, folders of frames or raw files, found without looking into them."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from data_prep.layout import RAW_SUFFIXES, VIDEO_TYPES, is_junk, plain, tree_splits
from data_prep.naming import listed, name_videos, scan_raw
from groundwork.errors import AskedWrong, FoundWrong

Kind = Literal["frames", "raw"]


@dataclass(frozen=True)
class Found:
    """A video's place as the disk has it, before it is looked into."""

    split: str
    user: str
    object: str
    video_type: str
    video: str
    path: Path


def scan_tree(root: Path) -> tuple[Kind, list[Found]]:
    """Find every video of a tree, of either kind, without looking into it; sorted by path.

    Raises:
        AskedWrong: if the folder is missing or holds neither kind.
        FoundWrong: if it holds both kinds, or videos where none belong.
    """
    if not root.is_dir():
        raise AskedWrong(f"{root}: no such folder.")
    folders, has_files = [], False
    for split in tree_splits(root):
        for place, type_folder in _type_folders(root, split):
            for entry in os.scandir(type_folder):
                if is_junk(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(Found(split, *place, plain(entry.name), Path(entry.path)))
                elif entry.name.lower().endswith(RAW_SUFFIXES):
                    has_files = True
    if folders and has_files:
        raise FoundWrong(f"{root}: holds both raw videos and folders of frames; give each a tree of its own.")
    if folders:
        unknown = listed(sorted({found.video_type for found in folders} - set(VIDEO_TYPES)))
        if unknown:
            raise FoundWrong(
                f"{root}: expected folders {' and '.join(VIDEO_TYPES)} below each object, found {unknown}."
            )
        return "frames", sorted(folders, key=lambda found: found.path.as_posix())
    raw = scan_raw(root)
    if not raw:
        raise AskedWrong(
            f"{root}: holds neither frames (USER/OBJECT/clean/VIDEO/VIDEO-00001.jpg)"
            " nor videos (USER/OBJECT/clean/FILE.mp4)."
        )
    names = name_videos(root, raw)
    return "raw", [Found(v.split, v.user, v.object, v.video_type, names[v.relative], v.path) for v in raw]


def list_frames(folder: Path) -> list[tuple[str, int]]:
    """Names and sizes in bytes of a folder's JPEG files, by name; hidden files and other kinds are left aside."""
    with os.scandir(folder) as entries:
        return sorted(
            (plain(entry.name), entry.stat().st_size)
            for entry in entries
            if entry.name.endswith(".jpg") and not is_junk(entry.name)
        )


def content_fingerprint(files: Sequence[tuple[str, int]]) -> str:
    """Hash of names and sizes: no times, so that a copy has its original's."""
    lines = "".join(f"{name}\t{size}\n" for name, size in files)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]


def _type_folders(root: Path, split: str) -> Iterator[tuple[tuple[str, str, str], Path]]:
    for user in _folders(root / split):
        for thing in _folders(user):
            for video_type in _folders(thing):
                yield (plain(user.name), plain(thing.name), plain(video_type.name)), video_type


def _folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:
        return [Path(entry.path) for entry in entries if entry.is_dir() and not is_junk(entry.name)]
