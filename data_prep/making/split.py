"""The unfiltered set put in order: `other/` merged into the users, and users who share one collector's id told apart.

    TREE/{train,validation,test,other}/USER/…, or TREE/USER/… and TREE/other/USER/…, becomes OUT/USER/…

A new user's name takes the collector's place in the names of folders, frames and annotations. TREE stays as it is.
"""

import filecmp
import logging
import os
import shutil
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.making.collectors import LEVELS, RESERVED, NewUsers, read_new_users, refuse_misfit
from data_prep.making.out_folder import refuse_foreign, refuse_foreign_videos, refuse_nested, videos_in
from data_prep.tree.annotation_judge import read_annotations
from data_prep.tree.index import build_index
from data_prep.tree.layout import ANNOTATIONS, INDEX_NAME, TREE_TYPES, annotation_path, frame_file_name, is_junk, nfc
from data_prep.tree.listing import Found, folders_in, list_frames
from data_prep.tree.object_folder import video_entries
from data_prep.video import is_video_file
from groundwork.errors import DataError, UsageError
from groundwork.files import whole_file, whole_folder, write_json
from groundwork.lock import only_run
from groundwork.progress import Progress
from groundwork.reporting import report_failed
from groundwork.words import listed

_LOG = logging.getLogger("data_prep")


@dataclass(frozen=True)
class SplitSummary:
    """What one run did. `skipped` videos were there already; `copied` frames could not be hard-linked."""

    users: int
    videos: int
    frames: int
    skipped: int
    copied: int


@dataclass(frozen=True)
class _Move:
    """One video's folder, where it goes, and its names before and after."""

    source: Path
    folder: Path
    before: str
    after: str


def split_users(tree: Path, out: Path, *, users_json: Path, leave_out_unnamed: bool = False) -> SplitSummary:
    """Write the tree OUT, without split level, with `other/` merged and users split; then its annotations and index.

    Frames are hard links to TREE's (copies where the file system has none): they take no room, but a frame changed in
    place changes in both trees. Run again after it was cut off, it goes on by video. A tree that is split already is
    only linked, so that splitting twice is splitting once. Annotations are looked for under every split and `other`;
    those of videos that TREE does not hold stay behind.

    Args:
        tree: a frame tree, with or without split level, with or without `other`.
        out: new, empty, or begun by the same command.
        users_json: {collector's id: {new user: [objects]}}.
        leave_out_unnamed: leave such a collector's objects out that the file gives to nobody, instead of refusing.

    Raises:
        UsageError: TREE is no frame tree, there is no such file, or OUT holds something else.
        DataError: TREE is half done or does not fit the file (all differences in one message, nothing written), or
            some videos' frames are not in order (all others are in OUT).
    """
    new_users = read_new_users(users_json)
    if not tree.is_dir():
        raise UsageError(f"{tree}: no such folder.")
    refuse_nested(tree, out)
    videos = _find_videos(tree)
    if not videos:
        raise UsageError(f"{tree}: no frames (USER/OBJECT/clean/VIDEO/VIDEO-00001.jpg); 'split' takes a frame tree.")
    objects: dict[str, set[str]] = defaultdict(set)
    for video in videos:
        objects[video.user].add(video.object)
    unnamed = refuse_misfit(tree, objects, new_users, users_json, leave_out_unnamed=leave_out_unnamed)
    moves = _plan(tree, [v for v in videos if (v.user, v.object) not in unnamed], out, new_users)
    places = {move.folder.relative_to(out).as_posix() for move in moves}
    refuse_foreign(out, {place.partition("/")[0] for place in places}, beside=(ANNOTATIONS, INDEX_NAME))
    refuse_foreign_videos(tree, out, videos_in(out) - places)
    skipped = copied = 0
    failed: list[str] = []
    with only_run(out):
        with Progress("videos", len(moves)) as progress:
            for move in moves:
                try:
                    _bring_annotations(tree, out, move)
                    added = _bring(move)
                except DataError as error:
                    failed.append(move.source.relative_to(tree).as_posix())
                    report_failed(_LOG, str(error), error)
                    continue
                if added is None:
                    skipped += 1
                    progress.skip(1)
                else:
                    copied += added
                    progress.advance()
        if failed:
            raise DataError(
                f"{tree}: {len(failed)} of {len(moves)} videos failed: {listed(failed)}. The others are in {out}."
                " Put these right, then run the same command again."
            )
        index = build_index(out)
    return SplitSummary(len(index.users()), len(moves), sum(row.frames for row in index.rows), skipped, copied)


def _find_videos(tree: Path) -> list[Found]:
    """Every folder of frames, by path; `split` is the level it stands in: a split, `other` or ""."""
    videos = []
    for level in ("", *LEVELS):
        for user in folders_in(tree / level) if (tree / level).is_dir() else ():
            if not level and user.name in RESERVED:
                continue
            for thing in folders_in(user):
                place = (level, nfc(user.name), nfc(thing.name))
                videos += [Found(*place, kind, nfc(folder.name), folder) for kind, folder in _video_folders(thing)]
    if unknown := sorted({video.video_type for video in videos} - set(TREE_TYPES)):
        raise DataError(f"{tree}: expected folders {', '.join(TREE_TYPES)} below each object, found {listed(unknown)}.")
    return sorted(videos, key=lambda video: video.path.as_posix())


def _video_folders(thing: Path) -> Iterator[tuple[str, Path]]:
    """An object's folders of frames, each with its type."""
    for video_type, entry in video_entries(thing):
        if entry.is_dir():
            yield video_type, Path(entry.path)
        elif is_video_file(entry.name):
            raise UsageError(
                f"{entry.path}: a raw video; 'split' takes a frame tree. Run 'orbit-lite prep extract' first."
            )


def _plan(tree: Path, videos: Sequence[Found], out: Path, new_users: NewUsers) -> list[_Move]:
    owners = {(old, name): user for old, new in new_users.items() for user, names in new.items() for name in names}
    moves, seen, faults = [], dict[str, Path](), []
    for video in videos:
        user, after = owners.get((video.user, video.object), video.user), video.video
        if user != video.user:
            if not video.video.startswith(f"{video.user}--"):
                faults.append(f"{video.path}: expected a name that begins with {video.user}--")
                continue
            after = user + video.video.removeprefix(video.user)
        if after in seen:
            faults.append(f"{video.path} and {seen[after]} would both be the video {after}")
        seen[after] = video.path
        moves.append(_Move(video.path, out / user / video.object / video.video_type / after, video.video, after))
    if faults:
        raise DataError(f"{tree}: nothing was written: {'; '.join(faults)}. Put these right first.")
    return moves


# --- bringing over


def _bring(move: _Move) -> int | None:
    """Make one video's folder; gives how many frames had to be copied, None if the folder is there already."""
    frames = _frames(move)
    if move.folder.exists():
        if not move.folder.is_dir() or list_frames(move.folder) != [
            (move.after + name.removeprefix(move.before), path.stat().st_size) for name, path in frames
        ]:
            raise DataError(f"{move.folder}: other frames than {move.source} has; remove it.")
        return None
    with whole_folder(move.folder) as part:
        return sum(not _link(path, part / (move.after + name.removeprefix(move.before))) for name, path in frames)


def _frames(move: _Move) -> list[tuple[str, Path]]:
    """Names (NFC) and paths of a video's frames, in order. Hidden files and other kinds are left behind."""
    with os.scandir(move.source) as entries:
        found = sorted(
            (nfc(entry.name), Path(entry.path))
            for entry in entries
            if entry.name.endswith(".jpg") and not is_junk(entry.name)
        )
    expected = sorted(frame_file_name(move.before, number) for number in range(1, len(found) + 1))
    if not found or [name for name, _ in found] != expected:
        wrong = listed(sorted(set(expected) ^ {name for name, _ in found})) or "none there"
        raise DataError(f"{move.source}: expected frames numbered from 1 without a gap; missing or strange: {wrong}.")
    return found


def _link(source: Path, target: Path) -> bool:
    """A hard link; a copy, and False, where there can be none. A symbolic link's file is copied."""
    if not source.is_symlink():
        try:
            os.link(source, target)
            return True
        except OSError:  # another disk, a file system without links, somebody else's file
            pass
    shutil.copyfile(source, target)
    return False


def _bring_annotations(tree: Path, out: Path, move: _Move) -> None:
    paths = [path for level in ("", *LEVELS) if (path := annotation_path(tree, level, move.before)).is_file()]
    if len(paths) > 1:
        raise DataError(f"{paths[0]} and {paths[1]}: two files for one video; remove one of them.")
    for path in paths:
        target = annotation_path(out, "", move.after)
        if move.before != move.after:
            frames = read_annotations(path)
            write_json(target, {frame_file_name(move.after, number): entry for number, entry in frames.items()})
        elif not (target.is_file() and filecmp.cmp(path, target)):
            with whole_file(target) as file:
                file.write(path.read_bytes())
