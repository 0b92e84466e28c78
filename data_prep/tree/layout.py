"""Names and places in frame trees and raw trees, as ORBIT publishes them.

    ROOT/{train,validation,test}/USER/OBJECT/{clean,clutter}/VIDEO/VIDEO-00001.jpg      frame tree
    ROOT/{train,validation,test}/USER/OBJECT/{clean,clutter}/NAME.mp4                   raw tree, photos too
    ROOT/annotations/{train,validation,test}/VIDEO.json

A tree of new users has no split level. Videos directly in OBJECT are clean (see object_folder.py). VIDEO is
`USER--OBJECT--TYPE--ID` with dashes for the object's spaces, so the object's name can't be read from it; the folder's
name is the object's name.
"""

import errno
import hashlib
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from data_prep.video import PHOTO_SUFFIXES, RAW_SUFFIXES
from groundwork.cache import cache_base
from groundwork.errors import FULL_DISK, UsageError
from groundwork.outputs import Protected

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    **{split: split for split in SPLITS},
    "val": "validation",
    "valid": "validation",
}  # as others name them
VIDEO_TYPES = ("clean", "clutter")
TREE_TYPES = (*VIDEO_TYPES, "clutter-pan")  # panning videos were collected with ORBIT, but belong to no protocol
ANNOTATIONS = "annotations"
INDEX_NAME = "index.csv"
MANIFEST_NAME = "manifest.json"  # how a frame tree was made
SHARDS = ".shards"  # a folder: what each shard of a run has made, until the shards are joined
TREE_FILES = Protected(  # of a tree of any kind, and of one user's folder
    names=(INDEX_NAME, MANIFEST_NAME, "download.json", "pocket.json", ".journal.jsonl"),
    folders=(ANNOTATIONS, SHARDS),
    suffixes=(".zip", *RAW_SUFFIXES, *PHOTO_SUFFIXES),
)

_FRAME_NAME = re.compile(r"(?P<video>.+)-(?P<number>[0-9]{5,})\.jpg", re.DOTALL)


@dataclass(frozen=True)
class VideoPlace:
    """The place of one video. `split` is "" in a tree without splits; `path` is relative to the root, with `/`."""

    split: str
    user: str
    object: str
    video_type: str
    video: str
    path: str


@dataclass(frozen=True)
class VideoName:
    """The parts of `USER--OBJECT--TYPE--ID`. `object_slug` has dashes for spaces."""

    user: str
    object_slug: str
    video_type: str
    id: str

    def __str__(self) -> str:
        return f"{self.user}--{self.object_slug}--{self.video_type}--{self.id}"


def slug(object_name: str) -> str:
    """The object's name as part of a video's name: `my-keys` for `my keys`."""
    return object_name.replace(" ", "-")


def parse_video_name(name: str) -> VideoName:
    """Split a video's name at its first three `--`; the id may contain `--` itself (35 of ORBIT's 3,822 ids do).

    Raises:
        ValueError: if there are not four parts.
    """
    parts = name.split("--", 3)
    if len(parts) != 4 or not all(parts):
        raise ValueError(f"{name!r} is not a video name USER--OBJECT--TYPE--ID")
    return VideoName(*parts)


def frame_file_name(video: str, number: int) -> str:
    """The file name of a frame: `VIDEO-00001.jpg` for frame 1, the first one; five digits."""
    return f"{video}-{number:05d}.jpg"


def parse_frame_file_name(name: str) -> tuple[str, int]:
    """Video and frame number from `VIDEO-00001.jpg`; the number follows the last dash.

    Raises:
        ValueError: if it is not the name of a frame.
    """
    match = _FRAME_NAME.fullmatch(name)
    if match is None:
        raise ValueError(f"{name!r} is not a frame name VIDEO-00001.jpg")
    return match["video"], int(match["number"])


def place_user(place: str) -> str:
    """The user of a place relative to its tree, `[split/]USER/OBJECT/[TYPE/]NAME`, or of a file that ORBIT-Camera
    exported, `USER--label--technique--random.mp4`."""
    parts = place.split("/")
    if len(parts) < 3:
        return parts[-1].partition("--")[0]
    return parts[-4] if len(parts) > 3 and parts[-2] in TREE_TYPES else parts[-3]


def user_name(user: str) -> str:
    """A user's name as in trees (NFC). It becomes part of paths that are removed, so it must not lead elsewhere.

    Raises:
        UsageError: if it can't be a single folder's name.
    """
    name = nfc(user)
    if not name.strip() or is_junk(name) or Path(name).name != name or set(name) & set("/\\\0"):
        raise UsageError(f"user {user!r}: expected the name of one user's folder, such as P177.")
    return name


def annotation_path(root: Path, split: str, video: str) -> Path:
    """The path of a video's annotations below a tree's root."""
    return root / ANNOTATIONS / split / f"{video}.json" if split else root / ANNOTATIONS / f"{video}.json"


def tree_splits(root: Path) -> tuple[str, ...]:
    """The split folders a tree has, in ORBIT's order; ("",) for a tree without a split level."""
    return tuple(split for split in SPLITS if (root / split).is_dir()) or ("",)


def is_junk(name: str) -> bool:
    """Whether a name is not data: hidden files, macOS's `._` files and `.DS_Store`, partial files."""
    return name.startswith(".")


def nfc(name: str) -> str:
    """A name in NFC: macOS stores `é` as two characters, other systems as one, but it is the same name."""
    return unicodedata.normalize("NFC", name)


def cache_folder(root: Path) -> Path:
    """The user's cache folder for a tree, for when the tree or its parent folder is read-only. Not created here."""
    place = str(root.resolve())
    mark = hashlib.sha256(place.encode(errors="surrogateescape")).hexdigest()[:16]
    return cache_base() / f"{root.resolve().name}-{mark}"


@contextmanager
def written_in_cache(beside: Path, cached: Path) -> Iterator[None]:
    """For a block that writes a tree's file to the cache, as `cached`, because `beside` can't be written.

    Raises:
        UsageError: if `cached` can't be written, either; names the cache.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
        raise UsageError(
            f"{beside}: can't be written, and neither can {cached} in the cache ({error.strerror or error});"
            " set XDG_CACHE_HOME to a folder that can be written"
        ) from None


def refuses_writing(error: OSError) -> bool:
    """Whether an error says that writing is not allowed: no permission, or a read-only disk."""
    return error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
