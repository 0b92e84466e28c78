"""Packs a frame tree into one uncompressed ZIP file per user, and back, byte for byte: 2.7 million files become 67."""

import os
import stat
import zipfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.making.out_folder import refuse_foreign, refuse_nested
from data_prep.tree.index import Index, VideoRow, build_index, open_index
from data_prep.tree.layout import ANNOTATIONS, MANIFEST_NAME, frame_file_name, is_junk, nfc
from data_prep.tree.listing import Kind, content_fingerprint, list_frames
from data_prep.tree.packed import ARCHIVE_SUFFIX, PackedUser, archive_place, member_fault
from groundwork.errors import DataError, UsageError
from groundwork.files import whole_file, whole_folder, write_bytes
from groundwork.lock import only_run
from groundwork.progress import Progress
from groundwork.words import listed

EARLIEST_DATE = (1980, 1, 1, 0, 0, 0)  # ZIP's earliest date, so that the same frames give the same bytes
_UNIX = 3
_KINDS: dict[Kind, str] = {
    "frames": "a frame tree",
    "packed": f"a packed tree (USER{ARCHIVE_SUFFIX})",
    "raw": "a tree of raw videos",
}


@dataclass(frozen=True)
class PackSummary:
    """What one run did. `skipped` counts what existed already: archives for `pack`, videos for `unpack`."""

    users: int
    videos: int
    frames: int
    skipped: int


def pack(tree: Path, out: Path) -> PackSummary:
    """Write OUT/[split/]USER.zip for every user of a frame tree, copy its annotations, and write OUT's index.

    An interrupted run resumes at the next user when it is called again. An archive counts as done if its frames have
    the names and sizes of the tree's frames; if a frame was replaced by another of the same size, remove the archive.

    Args:
        tree: a frame tree; its index is checked, or built.
        out: new, empty, or begun by the same command.

    Raises:
        UsageError: TREE has no frames, OUT holds something else, or another run is writing OUT.
        DataError: the tree contradicts its index, or a frame can't be read. Archives made so far are whole.
    """
    index = _open_source(tree, out, "frames")
    by_archive = _grouped(index, _archive_of)
    refuse_foreign(out, set(by_archive))
    skipped = 0
    with only_run(out), Progress("videos", len(index.rows)) as progress:
        for archive, rows in by_archive.items():
            if _holds(out / archive, rows):
                skipped += 1
                progress.skip(len(rows))
            else:
                _pack_user(tree, rows, out / archive, progress)
        return _finish(index, out, len(by_archive), skipped)


def unpack(packed: Path, out: Path) -> PackSummary:
    """Write the frame tree that was packed, byte for byte, and its index.

    An interrupted run resumes at the next video when it is called again.

    Args:
        packed: a packed tree; its index is checked, or built.
        out: new, empty, or begun by the same command.

    Raises:
        UsageError: PACKED is not a packed tree, OUT holds something else, or another run is writing OUT.
        DataError: an archive is damaged or hostile, or a video in OUT differs from the packed one. Videos in OUT are
            whole.
    """
    index = _open_source(packed, out, "packed")
    by_archive = _grouped(index, lambda row: archive_place(row.path)[0])
    refuse_foreign(out, {f"{row.split}/{row.user}".lstrip("/") for row in index.rows})
    skipped = 0
    with only_run(out), Progress("videos", len(index.rows)) as progress:
        for archive, rows in by_archive.items():
            with PackedUser(packed / archive) as user:
                for row in rows:
                    if _unpack_video(user, row, out):
                        progress.advance()
                    else:
                        skipped += 1
                        progress.skip(1)
        return _finish(index, out, len(by_archive), skipped)


def _open_source(source: Path, out: Path, kind: Kind) -> Index:
    refuse_nested(source, out)
    index = open_index(source)
    if index.kind != kind:
        raise UsageError(f"{source}: expected {_KINDS[kind]}, found {_KINDS[index.kind]}.")
    return index


def _grouped(index: Index, archive_of: Callable[[VideoRow], str]) -> dict[str, list[VideoRow]]:
    """The rows of each user by the path of the user's archive, in the order of these paths."""
    by_archive: dict[str, list[VideoRow]] = defaultdict(list)
    for row in index.rows:
        by_archive[archive_of(row)].append(row)
    return dict(sorted(by_archive.items()))


def _finish(index: Index, out: Path, users: int, skipped: int) -> PackSummary:
    """Finish packing or unpacking: copy annotations, build the new index, and compare it with the source's."""
    _copy_aside(index.root, out)
    _refuse_difference(index, build_index(out))
    return PackSummary(users, len(index.rows), sum(row.frames for row in index.rows), skipped)


def _archive_of(row: VideoRow) -> str:
    if f"{ARCHIVE_SUFFIX}#" in row.user:
        raise UsageError(f"{row.path}: a user's name can't hold {ARCHIVE_SUFFIX}# in a packed tree; rename the folder.")
    return f"{row.split}/{row.user}{ARCHIVE_SUFFIX}".lstrip("/")


def _holds(archive: Path, rows: Sequence[VideoRow]) -> bool:
    if not archive.is_file():
        return False
    try:
        with PackedUser(archive) as user:
            packed = {place: content_fingerprint(video.files) for place, video in user.videos.items()}
    except DataError:  # damaged, so it is made again
        return False
    return packed == {_place(row): row.fingerprint for row in rows}


def _pack_user(tree: Path, rows: Sequence[VideoRow], archive: Path, progress: Progress) -> None:
    written: set[str] = set()
    with whole_file(archive) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as target:
        for row in sorted(rows, key=_place):
            for frame, path in _frame_paths(tree / row.path):
                name = f"{_place(row)}/{frame}"
                if (fault := member_fault(name)) or name in written:
                    raise DataError(f"{path}: {fault or 'a duplicate name'}; rename it, and index the tree again.")
                written.add(name)
                member = zipfile.ZipInfo(name, EARLIEST_DATE)
                member.create_system = _UNIX
                member.external_attr = (stat.S_IFREG | 0o644) << 16
                target.writestr(member, path.read_bytes())
            progress.advance()


def _frame_paths(folder: Path) -> Iterator[tuple[str, Path]]:
    """Frames' names (NFC) and paths (as on disk), in the archive's order."""
    with os.scandir(folder) as entries:
        found = [(nfc(entry.name), Path(entry.path)) for entry in entries if not is_junk(entry.name)]
    if strange := listed(sorted(name for name, _ in found if not name.endswith(".jpg"))):
        raise DataError(f"{folder}: expected only frames, found {strange}. Move other files elsewhere.")
    yield from sorted(found)


def _unpack_video(user: PackedUser, row: VideoRow, out: Path) -> bool:
    """Write one video's folder; False if it exists already."""
    video = user.videos[_place(row)]
    folder = out.joinpath(*(part for part in (row.split, row.user) if part), *_place(row).split("/"))
    if folder.exists():
        if not folder.is_dir() or list_frames(folder) != video.files:
            raise DataError(f"{folder}: differs from {user.path}. Remove it, then run the same command again.")
        return False
    with whole_folder(folder) as part:
        for number in range(1, len(video.sizes) + 1):
            (part / frame_file_name(video.video, number)).write_bytes(user.read(video.place, number))
    return True


def _place(row: VideoRow) -> str:
    return f"{row.object}/{row.video_type}/{row.video}"


def _copy_aside(source: Path, out: Path) -> None:
    """Copy the annotations and the manifest, each file whole; identical files are kept."""
    files = sorted(path for path in (source / ANNOTATIONS).rglob("*") if path.is_file() and not is_junk(path.name))
    for path in [*files, source / MANIFEST_NAME]:
        target = out / path.relative_to(source)
        if path.is_file() and not (target.is_file() and target.read_bytes() == path.read_bytes()):
            write_bytes(target, path.read_bytes())


def _refuse_difference(before: Index, after: Index) -> None:
    """Compare both trees at the end: every video by its place, with its frames' names and sizes."""

    def content(index: Index) -> set[tuple[str, ...]]:
        return {(row.split, row.user, row.object, row.video_type, row.video, row.fingerprint) for row in index.rows}

    different = sorted({"/".join(row[:5]).lstrip("/") for row in content(before) ^ content(after)})
    if different:
        raise DataError(
            f"{before.root}: changed while {after.root} was being made: {listed(different)}."
            f" Run 'orbit-lite prep index {before.root}', then the same command again."
        )
