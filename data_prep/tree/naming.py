"""The raw tree, and the video name of each of its files.

A file name can reveal where and when a video was filmed, so by default a video is named by a keyed hash of its path,
which reveals nothing without the key. Key and table are in one private file next to the raw tree, never in a tree that
is shared. A file that already has an ORBIT video name for its place keeps it.
"""

import base64
import hmac
import json
import logging
import os
import secrets
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from data_prep.tree.layout import (
    ANNOTATIONS,
    VIDEO_TYPES,
    VideoName,
    cache_folder,
    is_junk,
    nfc,
    place_user,
    refuses_writing,
    slug,
    tree_splits,
    written_in_cache,
)
from data_prep.tree.left_aside import report_left_aside
from data_prep.tree.lock import hold_in_turn
from data_prep.tree.object_folder import (
    is_frame_of,
    one_user_hint,
    report_photos_aside,
    video_type_at,
    without_photos_beside_videos,
)
from data_prep.tree.portable import require_text_names
from data_prep.video import PHOTO_SUFFIXES, RAW_SUFFIXES, is_photo_file
from groundwork.errors import DataError
from groundwork.files import part_path, remove_parts
from groundwork.strict_json import parse_json
from groundwork.words import listed, one_line

_LOG = logging.getLogger("data_prep")

TABLE_SCHEMA = 1
ID_BYTES = 9  # 12 characters; among 10,000 videos, the chance that two are equal is 1 in 10^14
_SHORT_ID_BYTES = 12  # the length of hashed ids
LONGEST_NAME_BYTES = 240  # file systems allow 255, and "-00001.jpg" and ".part" are added
_DEEPEST = 8  # levels searched below the root: enough to name videos that are too deep, and an end to link loops


@dataclass(frozen=True)
class RawVideo:
    """One raw video file, or photo. `relative` (with `/`) and the names are NFC; `path` is spelled as on disk.

    `stem` identifies the file within its folder: its name without the suffix and without what the place says.
    """

    split: str
    user: str
    object: str
    video_type: str
    stem: str
    relative: str
    path: Path
    size_bytes: int

    def named(self, video_id: str) -> str:
        """`USER--OBJECT--TYPE--ID` for this place and an id."""
        return str(VideoName(self.user, slug(self.object), self.video_type, video_id))


@dataclass(frozen=True)
class _Table:
    key: bytes
    keep_names: bool
    names: dict[str, str]  # relative path -> video name


def scan_raw(root: Path) -> list[RawVideo]:
    """All videos of a raw tree `ROOT/[split/]USER/OBJECT/[TYPE/]FILE`, sorted by path.

    Photos count, too, if an object has no videos of their type. Empty files and files with other suffixes are skipped
    and reported. Hidden files, and photos at other depths of a tree that has videos, are skipped, too.

    Raises:
        DataError: if a video is at another depth, or in a type folder other than clean and clutter, or if two paths
            differ only in their Unicode form.
    """
    splits = tree_splits(root)
    found, misplaced = [], []
    for path, size_bytes in raw_files(root, (*RAW_SUFFIXES, *PHOTO_SUFFIXES)):
        parts = [nfc(part) for part in path.relative_to(root).parts]
        relative = "/".join(parts)
        split = parts.pop(0) if splits != ("",) else ""
        video_type = video_type_at(parts[1], parts[2:-1]) if len(parts) > 2 and split in splits else None
        if video_type is None:
            if not is_frame_of(path.parent.name, path.name):
                misplaced.append(relative)
        else:
            place = (split, parts[0], parts[1], video_type)
            found.append(RawVideo(*place, nfc(path.stem), relative, path, size_bytes))
    if not all(is_photo_file(name) for name in (*misplaced, *(video.relative for video in found))):
        misplaced = [name for name in misplaced if not is_photo_file(name)]
    require_text_names(root, [*misplaced, *(video.relative for video in found)])
    if misplaced:
        raise DataError(_misplaced(root, splits, misplaced))
    videos, aside = without_photos_beside_videos(
        found,
        photo=lambda video: is_photo_file(video.relative),
        group=lambda video: (video.split, video.user, video.object, video.video_type),
    )
    report_photos_aside(root, [photo.relative for photo in aside])
    report_left_aside(root)
    twice = [relative for relative, count in Counter(video.relative for video in videos).items() if count > 1]
    if twice:
        raise DataError(
            f"{root}: the same name in two Unicode forms (NFC and NFD): {listed(twice)}. Rename one of each."
        )
    return sorted(videos, key=lambda video: video.relative)


def _misplaced(root: Path, splits: Sequence[str], places: Sequence[str]) -> str:
    level = "{train,validation,test}/" if splits != ("",) else ""
    hint = one_user_hint(root)
    if is_flat(root):
        hint = " If these are files exported by the ORBIT-Camera app, add --flat."
    elif not hint and all(map(is_photo_file, places)):
        hint = " 'orbit-lite prep images' makes a frame tree from folders of photos at any depth."
    return (
        f"{root}: expected {level}USER/OBJECT/FILE or {level}USER/OBJECT/{{{','.join(VIDEO_TYPES)}}}/FILE, found"
        f" {listed(sorted(places))}.{hint}"
    )


def is_flat(root: Path) -> bool:
    """Whether a folder looks like an ORBIT-Camera export: videos directly in it, none in subfolders."""
    places = [path.parent for path, _ in raw_files(root)]
    return bool(places) and set(places) == {root}


def name_videos(root: Path, videos: Sequence[RawVideo], *, keep_names: bool | None = None) -> dict[str, str]:
    """The video name of each raw file: {relative path: USER--OBJECT--TYPE--ID}, the same at every call.

    Args:
        root: the raw tree.
        videos: all its videos, from `scan_raw`.
        keep_names: True keeps the files' stems as ids, False gives hashed ids, None does the same as the last call
            (hashed the first time).

    Raises:
        DataError: if two files would get the same name, a name is too long, or the table is damaged.
    """
    table = _read_table(root)
    wanted = _named(root, videos, table, keep_names)
    if _must_write(wanted, table, videos):
        with hold_in_turn(table_places(root), f"names of the videos in {root}"):
            if (found := _read_table(root)) != table:  # another process has drawn the key in the meantime
                table, wanted = found, _named(root, videos, found, keep_names)
            if _must_write(wanted, table, videos):
                _write_table(root, wanted)
    return wanted.names


def discard_key(root: Path) -> None:
    """Delete a raw tree's private file; then nothing reveals which file a hashed name belongs to."""
    for path in table_places(root):
        path.unlink(missing_ok=True)


def count_user(path: Path, user: str) -> int:
    """The number of a user's files in a raw tree's private file; 0 if there is no such file.

    Raises:
        DataError: if it is damaged.
    """
    table = _read_table_file(path)
    return sum(place_user(relative) == user for relative in table.names) if table else 0


def drop_user(path: Path, user: str) -> int:
    """Remove a user's files from a raw tree's private file; gives their number.

    The key stays, so that other videos keep their names. If no names are left, the file is removed with the key.

    Args:
        path: one of `table_places` of the tree.
        user: the user's name.

    Raises:
        DataError: if it is damaged.
    """
    table = _read_table_file(path)
    if table is None:
        return 0
    kept = {relative: name for relative, name in table.names.items() if place_user(relative) != user}
    if len(kept) == len(table.names):
        return 0
    remove_parts(path)
    if kept:
        _write_private(path, _table_text(replace(table, names=kept)))
    else:
        path.unlink()
    return len(table.names) - len(kept)


def table_path(root: Path) -> Path:
    """The private file of a raw tree: next to the tree, so that sharing the tree does not share the file."""
    resolved = root.resolve()
    return resolved.with_name(f".{resolved.name}.video-names.json")


def raw_files(folder: Path, suffixes: tuple[str, ...] = RAW_SUFFIXES, *, depth: int = 0) -> Iterator[tuple[Path, int]]:
    """Paths and sizes of the files with these suffixes below a raw tree's root; hidden, empty and other files are
    skipped."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_junk(entry.name) or (depth == 0 and entry.name == ANNOTATIONS):
                continue
            if entry.is_dir():
                if depth < _DEEPEST:
                    yield from raw_files(Path(entry.path), suffixes, depth=depth + 1)
            elif entry.name.lower().endswith(suffixes) and entry.is_file() and (size := entry.stat().st_size):
                yield Path(entry.path), size


def _named(root: Path, videos: Sequence[RawVideo], table: _Table | None, keep_names: bool | None) -> _Table:
    known = table or _Table(secrets.token_bytes(32), False, {})
    keep = known.keep_names if keep_names is None else keep_names
    names = _kept_names(videos) if keep else {video.relative: _hashed_name(video, known.key) for video in videos}
    _refuse_clashes(root, names)
    return _Table(known.key, keep, names)


def _must_write(wanted: _Table, table: _Table | None, videos: Sequence[RawVideo]) -> bool:
    return wanted != table and any(wanted.names[video.relative] != video.stem for video in videos)


def _is_video_name(video: RawVideo) -> bool:
    """Whether the stem is an ORBIT video name for the place of the file."""
    beginning = video.named("")
    return video.stem.startswith(beginning) and len(video.stem) > len(beginning)


def _hashed_name(video: RawVideo, key: bytes) -> str:
    if _is_video_name(video):
        return video.stem
    digest = hmac.digest(key, video.relative.encode(), "sha256")[:ID_BYTES]
    return video.named(base64.urlsafe_b64encode(digest).decode())


def _kept_names(videos: Sequence[RawVideo]) -> dict[str, str]:
    """Names that keep the stem; files that differ only in their suffix get the suffix as part of the id."""
    by_name: dict[str, list[RawVideo]] = defaultdict(list)
    for video in videos:
        by_name[video.stem if _is_video_name(video) else video.named(video.stem)].append(video)
    names = {}
    for name, same in by_name.items():
        for video in same:
            suffix = "-" + video.path.suffix[1:].lower() if len(same) > 1 else ""
            names[video.relative] = name + suffix
        if len(same) > 1:
            files = listed([video.relative for video in same])
            _LOG.warning("note: %s: same name, so the suffix is added to it: %s-{mp4,mov,…}", files, name)
    return names


def _refuse_clashes(root: Path, names: dict[str, str]) -> None:
    taken: dict[str, str] = {}
    for relative, name in names.items():
        if name in taken:
            raise DataError(f"{root}: {taken[name]} and {relative} would both be the video {name}. Rename one of them.")
        if too_long := why_too_long(relative, name):
            raise DataError(f"{root}: {too_long}")
        taken[name] = relative


def why_too_long(relative: str, name: str) -> str:
    """A message on what to shorten if a video's name is longer than file systems allow; "" if it is not.

    Args:
        relative: the file's path in its tree.
        name: the video's name, `USER--OBJECT--TYPE--ID`, which may be long because of the folders or the file.
    """
    if len(name.encode()) <= LONGEST_NAME_BYTES:
        return ""
    parts = VideoName(*name.split("--", 3)) if name.count("--") > 2 else None
    folders = len(name.encode()) - len(parts.id.encode()) if parts else 0
    if parts and folders + _SHORT_ID_BYTES > LONGEST_NAME_BYTES:
        user_is_longer = len(parts.user.encode()) > len(parts.object_slug.encode())
        what, named = ("user", parts.user) if user_is_longer else ("object", parts.object_slug)
        return (
            f"the name of the {what} {one_line(named)} is too long: a video's name contains user and object, and may"
            f" have at most {LONGEST_NAME_BYTES} bytes. Shorten the folder's name."
        )
    return f"{relative}: its video's name would have more than {LONGEST_NAME_BYTES} bytes. Shorten the file's name."


def table_places(root: Path) -> tuple[Path, Path]:
    """The possible paths of a raw tree's private file: next to the tree, and in the user's cache."""
    beside = table_path(root)
    return beside, cache_folder(root) / "video-names.json"


def _read_table(root: Path) -> _Table | None:
    return next((table for path in table_places(root) if (table := _read_table_file(path))), None)


def _read_table_file(path: Path) -> _Table | None:
    try:
        content = parse_json(path.read_bytes(), finite=True)
        if content["schema"] != TABLE_SCHEMA:
            raise ValueError(f"schema {content['schema']}, this version knows {TABLE_SCHEMA}")
        names = {str(relative): str(name) for relative, name in content["names"].items()}
        return _Table(bytes.fromhex(content["key"]), bool(content["keep_names"]), names)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a table of video names ({error}). Restore it, or delete it to get new names."
        ) from None


def _write_table(root: Path, table: _Table) -> None:
    beside, cached = table_places(root)
    try:
        _write_private(beside, _table_text(table))
    except OSError as error:
        if not refuses_writing(error):
            raise
        with written_in_cache(beside, cached):
            cached.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _write_private(cached, _table_text(table))


def _table_text(table: _Table) -> str:
    content = {
        "schema": TABLE_SCHEMA,
        "about": "private: says which file each video was. Keep it out of anything you pass on.",
        "keep_names": table.keep_names,
        "key": table.key.hex(),
        "names": table.names,
    }
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def _write_private(path: Path, text: str) -> None:
    """Like `groundwork.files.whole_file`, but readable only by its owner from the beginning."""
    part = part_path(path)
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
