"""Tidies the unfiltered set: merges `other/` into the users, and separates users who share one collector's id.

    TREE/{train,validation,test,other}/USER/…, or TREE/USER/… and TREE/other/USER/…, becomes OUT/USER/…

A new user's name replaces the collector's in the names of folders, frames and annotations. TREE is not changed.
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
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")


@dataclass(frozen=True)
class SplitSummary:
    """What one run did. `skipped` videos existed already; `copied` frames could not be hard-linked."""

    users: int
    videos: int
    frames: int
    skipped: int
    copied: int


@dataclass(frozen=True)
class _Move:
    """One video's folder, its new folder, and its names before and after."""

    source: Path
    folder: Path
    before: str
    after: str


def split_users(tree: Path, out: Path, *, users_json: Path, leave_out_unnamed: bool = False) -> SplitSummary:
    """Write the tree OUT, without split level, with `other/` merged and users split; then its annotations and index.

    Frames are hard links to those of TREE (copies if the file system has no hard links): they take no space, but a
    frame that is changed in place changes in both trees. An interrupted run resumes at the next video when it is called
    again. A tree that is already split is only linked, so splitting twice is the same as once. Annotations are searched
    under every split and `other`; those of videos that TREE does not have are not copied.

    Args:
        tree: a frame tree, with or without split level, with or without `other`.
        out: new, empty, or begun by the same command.
        users_json: {collector's id: {new user: [objects]}}.
        leave_out_unnamed: leave out objects that the file gives to nobody, instead of raising an error.

    Raises:
        UsageError: TREE is not a frame tree, there is no such file, or OUT holds something else.
        DataError: TREE is only partly split or does not fit the file (all differences in one message, nothing is
            written), or some videos' frames are malformed (all others are in OUT).
    """
    new_users = read_new_users(users_json)
    if not tree.is_dir():
        raise UsageError(f"{tree}: no such folder; expected a frame tree.")
    refuse_nested(tree, out)
    videos = _find_videos(tree)
    if not videos:
        raise UsageError(f"{tree}: no frames (USER/OBJECT/clean/VIDEO/VIDEO-00001.jpg); 'split' needs a frame tree.")
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
                f"{tree}: {len(failed)} of {counted(len(moves), 'video')} failed: {listed(failed)}. The others are in"
                f" {out}. Correct these, then run the same command again."
            )
        index = build_index(out)
    return SplitSummary(len(index.users()), len(moves), sum(row.frames for row in index.rows), skipped, copied)


def _find_videos(tree: Path) -> list[Found]:
    """Every folder of frames, sorted by path; its `split` is a split, `other` or ""."""
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
    """An object's folders of frames, each with its video type."""
    for video_type, entry in video_entries(thing):
        if entry.is_dir():
            yield video_type, Path(entry.path)
        elif is_video_file(entry.name):
            raise UsageError(
                f"{entry.path}: a raw video; 'split' needs a frame tree. Run 'orbit-lite prep extract' first."
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
        raise DataError(f"{tree}: nothing was written: {'; '.join(faults)}. Correct these first.")
    return moves


# --- linking and copying


def _bring(move: _Move) -> int | None:
    """Make one video's folder; gives the number of frames that had to be copied, None if the folder exists already."""
    frames = _frames(move)
    if move.folder.exists():
        if not move.folder.is_dir() or list_frames(move.folder) != [
            (move.after + name.removeprefix(move.before), path.stat().st_size) for name, path in frames
        ]:
            raise DataError(f"{move.folder}: differs from {move.source}; remove it.")
        return None
    with whole_folder(move.folder) as part:
        return sum(not _link(path, part / (move.after + name.removeprefix(move.before))) for name, path in frames)


def _frames(move: _Move) -> list[tuple[str, Path]]:
    """Names (NFC) and paths of a video's frames, in order. Hidden and other files are skipped."""
    with os.scandir(move.source) as entries:
        found = sorted(
            (nfc(entry.name), Path(entry.path))
            for entry in entries
            if entry.name.endswith(".jpg") and not is_junk(entry.name)
        )
    expected = sorted(frame_file_name(move.before, number) for number in range(1, len(found) + 1))
    if not found or [name for name, _ in found] != expected:
        wrong = listed(sorted(set(expected) ^ {name for name, _ in found})) or "all frames"
        raise DataError(
            f"{move.source}: expected frames numbered from 1 without a gap; missing or unexpected: {wrong}."
        )
    return found


def _link(source: Path, target: Path) -> bool:
    """Make a hard link, or a copy if that is not possible; whether it is a link. A symbolic link's file is copied."""
    if not source.is_symlink():
        try:
            os.link(source, target)
            return True
        except OSError:  # another disk, a file system without hard links, another user's file
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
