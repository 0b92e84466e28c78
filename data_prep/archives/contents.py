"""The contents of an ORBIT archive, at whatever level its tree begins: videos, annotations, and other members.

Archives are made by hand, so the tree may be inside other folders (`orbit_benchmark_224/test/P177/…`) or not, and macOS
may have added files. A video's members are `USER/OBJECT/TYPE/VIDEO/VIDEO-00001.jpg` and so on, or
`USER/OBJECT/TYPE/FILE.mp4`. If the folder right above USER is named after a split, that is the video's split.
"""

import zipfile
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from data_prep.archives.published import PUBLISHED_SPLITS
from data_prep.archives.unzip import CheckedZip, refuse_little_space
from data_prep.tree.layout import ANNOTATIONS, SPLITS, TREE_TYPES, is_junk, nfc, parse_frame_file_name, parse_video_name
from data_prep.tree.listing import list_frames
from data_prep.video import RAW_SUFFIXES
from groundwork.errors import DataError
from groundwork.files import whole_file, whole_folder
from groundwork.progress import Progress
from groundwork.words import listed

WRITERS = 4  # threads: most of the time is spent waiting for the disk to sync each file
_MACOS = "__MACOSX"


@dataclass(frozen=True)
class ZippedVideo:
    """One video in an archive. `place` is `USER/OBJECT/TYPE/VIDEO`, or `USER/OBJECT/TYPE/FILE.mp4` with one member."""

    split: str
    place: str
    members: tuple[zipfile.ZipInfo, ...]

    @property
    def is_raw(self) -> bool:
        return not self.members[0].filename.endswith(".jpg")

    @property
    def files(self) -> list[tuple[str, int]]:
        """Names and sizes in bytes, sorted by name, as `tree.list_frames` gives them for a folder of frames."""
        return sorted((PurePosixPath(nfc(m.filename)).name, m.file_size) for m in self.members)

    def path(self, out: Path) -> Path:
        """Its path below OUT."""
        return out.joinpath(self.split, *self.place.split("/"))


@dataclass(frozen=True)
class Contents:
    """The contents of an archive: `videos` in the archive's own order, and the names of skipped members."""

    videos: tuple[ZippedVideo, ...]
    others: tuple[str, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        found = {video.split for video in self.videos}
        return tuple(split for split in PUBLISHED_SPLITS if split in found)


def find_videos(archive: CheckedZip, split: str = "") -> Contents:
    """Find an archive's videos.

    Args:
        archive: the archive.
        split: the split of videos that are in no split's folder; "" if unknown.

    Raises:
        DataError: if there are no videos, or both frames and raw videos; if two members would be the same file; or if a
            video's split is unknown, or not `split`.
    """
    groups: dict[tuple[str, str], dict[str, zipfile.ZipInfo]] = defaultdict(dict)
    kinds: dict[str, str] = {}
    others: list[str] = []
    for member in archive.members:
        parts = nfc(member.filename).split("/")
        if any(is_junk(part) or part == _MACOS for part in parts):
            continue
        if (depth := _depth(parts)) is None:
            others.append(member.filename)
            continue
        above, place = parts[:-depth], "/".join(parts[-depth:][:4])
        own = above[-1] if above and above[-1] in PUBLISHED_SPLITS else ""
        if split and own and own != split:
            raise DataError(f"{archive.path}#{member.filename}: is in split {own}, expected {split}.")
        if not (own or split):
            raise DataError(
                f"{archive.path}#{member.filename}: is in none of the folders {', '.join(PUBLISHED_SPLITS)}, so its"
                " split is unknown: give it with --split."
            )
        files = groups[own or split, place]
        if parts[-1] in files:
            raise DataError(f"{archive.path}#{member.filename}: a second member for {place}. Nothing was unpacked.")
        files[parts[-1]] = member
        kinds.setdefault("frames" if depth == 5 else "raw videos", member.filename)
    if len(kinds) != 1:
        found = f"both frames ({kinds['frames']}) and raw videos ({kinds['raw videos']})" if kinds else "neither"
        raise DataError(
            f"{archive.path}: expected frames USER/OBJECT/clean/VIDEO/VIDEO-00001.jpg or raw videos"
            f" USER/OBJECT/clean/FILE.mp4, found {found}{f': {listed(others)}' if others else ''}."
        )
    videos = [ZippedVideo(of, place, tuple(files.values())) for (of, place), files in groups.items()]
    videos.sort(key=lambda video: min(member.header_offset for member in video.members))
    return Contents(tuple(videos), tuple(others))


def write_videos(archive: CheckedZip, videos: Sequence[ZippedVideo], out: Path) -> int:
    """Unpack videos to OUT/SPLIT/USER/…, each whole or not at all; videos that exist already are kept.

    Returns:
        the number of videos that existed already.

    Raises:
        DataError: if a member is damaged, the disk is too small, or a video in OUT differs from the archive's. Videos
            written so far are whole.
    """
    waiting = [video for video in videos if not _is_there(video, out, archive.path)]
    refuse_little_space(out, (m.file_size for video in waiting for m in video.members), f"unpacking {archive.path}")
    with ThreadPoolExecutor(WRITERS) as pool, Progress("videos", len(videos)) as progress:
        progress.skip(len(videos) - len(waiting))
        for _ in pool.map(lambda video: _write_video(archive, video, out), waiting):
            progress.advance()
    return len(videos) - len(waiting)


def _write_video(archive: CheckedZip, video: ZippedVideo, out: Path) -> None:
    if video.is_raw:
        with whole_file(video.path(out)) as file:
            archive.copy(video.members[0], file)
        return
    with whole_folder(video.path(out)) as folder:
        for member in video.members:
            with (folder / PurePosixPath(nfc(member.filename)).name).open("wb") as file:
                archive.copy(member, file)


def write_annotations(archive: CheckedZip, out: Path, split: str = "") -> tuple[int, tuple[str, ...]]:
    """Unpack annotations: `…/SPLIT/VIDEO.json` to OUT/annotations/SPLIT/VIDEO.json, other JSON files (such as lists of
    objects) to OUT/annotations/NAME.json. Existing files are replaced.

    Args:
        archive: the archive.
        out: the tree's root.
        split: the split of files that are in no split's folder.

    Returns:
        number of videos with annotations; names of skipped members.

    Raises:
        DataError: if there are no annotations, two members would be the same file, or a video's split is unknown.
    """
    targets: dict[str, zipfile.ZipInfo] = {}
    others: list[str] = []
    videos = 0
    for member in archive.members:
        parts = nfc(member.filename).split("/")
        if any(is_junk(part) or part == _MACOS for part in parts):
            continue
        if not parts[-1].endswith(".json"):
            others.append(member.filename)
            continue
        place = parts[-1]
        if _is_video_name(parts[-1].removesuffix(".json")):
            own = parts[-2] if len(parts) > 1 and parts[-2] in SPLITS else split
            if not own:
                raise DataError(
                    f"{archive.path}#{member.filename}: is in none of the folders {', '.join(SPLITS)}, so its split is"
                    " unknown: give it with --split."
                )
            place, videos = f"{own}/{place}", videos + 1
        if place in targets:
            raise DataError(f"{archive.path}#{member.filename}: a second member for {place}. Nothing was unpacked.")
        targets[place] = member
    if not videos:
        raise DataError(f"{archive.path}: no annotations; expected SPLIT/VIDEO.json, found {listed(others)}.")
    refuse_little_space(out, (member.file_size for member in targets.values()), f"unpacking {archive.path}")
    for place, member in targets.items():
        path, content = out.joinpath(ANNOTATIONS, *place.split("/")), archive.read(member)
        if not (path.is_file() and path.read_bytes() == content):
            with whole_file(path) as file:
                file.write(content)
    return videos, tuple(others)


def refuse_foreign(out: Path, videos: Iterable[tuple[str, str]]) -> None:
    """Require that OUT's folders of these splits hold no other videos: they would be indexed as the archive's.

    Args:
        out: the tree's root.
        videos: split and place of all videos that will be there.

    Raises:
        DataError: if there are other videos.
    """
    expected = {f"{split}/{place}" for split, place in videos}
    foreign = []
    for split in sorted({place.partition("/")[0] for place in expected}):
        for path in (out / split).glob("*/*/*/*"):
            place = nfc(path.relative_to(out).as_posix())
            if place not in expected and not any(is_junk(part) for part in place.split("/")):
                foreign.append(place)
    if foreign:
        raise DataError(
            f"{out}: contains videos that the archive does not have: {listed(sorted(foreign))}."
            " Remove them, or use another folder."
        )


def _depth(parts: Sequence[str]) -> int | None:
    """How many parts at the end of a path are a video's place and file: 5 for a frame, 4 for a video, else None."""
    if len(parts) >= 5 and parts[-3] in TREE_TYPES:
        try:
            video, _ = parse_frame_file_name(parts[-1])
        except ValueError:
            return None
        return 5 if video == parts[-2] else None
    return 4 if len(parts) >= 4 and parts[-2] in TREE_TYPES and parts[-1].lower().endswith(RAW_SUFFIXES) else None


def _is_video_name(name: str) -> bool:
    try:
        parse_video_name(name)
    except ValueError:
        return False
    return True


def _is_there(video: ZippedVideo, out: Path, archive: Path) -> bool:
    path = video.path(out)
    if not path.exists():
        return False
    if video.is_raw:
        same = path.is_file() and path.stat().st_size == video.members[0].file_size
    else:
        same = path.is_dir() and list_frames(path) == video.files
    if not same:
        raise DataError(f"{path}: differs from what {archive} has there. Remove it, then run the same command again.")
    return True
