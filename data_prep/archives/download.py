"""ORBIT's published archives into a frame tree: fetched, unpacked, verified; or archives that are here already.

    OUT/{train,validation,test}/…       the tree, and its index.csv
    OUT/other/…                         users of the unfiltered set, a tree of their own with its own index.csv
    OUT/annotations/…                   from an archive of annotations
    OUT/download.json                   which splits are there and verified
    OUT/.downloads/                     archives, and parts of them, until their split is verified

A run that was cut off goes on: a download by the byte, unpacking by the video, the rest by the split.
The data's license is stated on its page, https://doi.org/10.25383/city.14294597.
"""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from data_prep.archives.contents import (
    Contents,
    find_videos,
    refuse_foreign,
    write_annotations,
    write_videos,
)
from data_prep.archives.fetch import PART_SUFFIX, PATIENT, Patience, fetch_zip
from data_prep.archives.published import (
    FIGSHARE_API,
    OTHER,
    PUBLISHED,
    PUBLISHED_SPLITS,
    PublishedArchive,
    by_hand,
    download_url,
    list_published,
    published_archive,
)
from data_prep.archives.unzip import JSON_RATIO, CheckedZip, refuse_little_space
from data_prep.making.verify import verify
from data_prep.tree.annotation_judge import read_annotations
from data_prep.tree.index import Index, open_index
from data_prep.tree.layout import INDEX_NAME, SPLITS, annotation_path, is_junk
from data_prep.video import decode_jpeg
from groundwork.errors import DataError, UsageError
from groundwork.files import write_json, write_text
from groundwork.lock import only_run
from groundwork.progress import Progress
from groundwork.strict_json import parse_json
from groundwork.strict_model import checked_record
from groundwork.words import counted, listed

_LOG = logging.getLogger("data_prep")

RECORD_NAME = "download.json"
RECORD_SCHEMA = 1
FOLDER_NAME = ".downloads"
VIDEOS = "raw videos"
_NAMED_FAULTS = 3
_BRIEFLY = Patience(attempts=1, timeout_s=10.0)  # a checksum to compare is welcome, not needed
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class SplitRecord:
    """One split that is there and verified. `md5` is "" where it was not compared with the published one."""

    source: str
    form: str  # "224 px", or "raw videos"
    videos: int
    md5: str = ""


@dataclass(frozen=True)
class DownloadSummary:
    """What one run did. `skipped` of the videos were there already; `annotations` counts videos that got theirs."""

    splits: tuple[str, ...] = ()
    videos: int = 0
    skipped: int = 0
    annotations: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class _Run:
    """What the steps of one run share: where they write, what is there, and what they have to say."""

    out: Path
    records: dict[str, SplitRecord]
    summary: DownloadSummary = field(default_factory=DownloadSummary)

    def note(self, text: str) -> None:
        _LOG.warning("note: %s", text)
        self.summary = replace(self.summary, notes=(*self.summary.notes, text))

    def record(self, splits: dict[str, SplitRecord]) -> None:
        self.records |= splits
        content = {name: asdict(record) for name, record in sorted(self.records.items())}
        write_json(self.out / RECORD_NAME, {"schema": RECORD_SCHEMA, "splits": content})


def download(
    out: Path,
    *,
    splits: Sequence[str] = (),
    size_px: int = 224,
    from_zips: Sequence[Path] = (),
    annotations: Path | None = None,
    keep_archives: bool = False,
    api: str = FIGSHARE_API,
    patience: Patience = PATIENT,
) -> DownloadSummary:
    """Bring published splits, or archives downloaded by hand, into the tree OUT, verify it, and write its index.

    Args:
        out: new, or a tree to go on with or to add splits to.
        splits: of `published.PUBLISHED_SPLITS`. With `from_zips`, the splits these hold; needed where an archive
            doesn't say so by a folder of that name.
        size_px: 224 or 1080; which archives to fetch.
        from_zips: archives that are here already. Then nothing is downloaded, and these files are never removed.
        annotations: an archive of annotations (`SPLIT/VIDEO.json`), which is never removed.
        keep_archives: keep what was downloaded after its split is verified, in OUT/.downloads.
        api: figshare's.
        patience: with broken connections.

    Raises:
        UsageError: an unknown split or size, nothing to do, or OUT holds frames of another size.
        DataError: an archive can't be had, is damaged or hostile, or the unpacked tree is not in order. What is
            unpacked is whole; archives are kept.
    """
    _refuse_nonsense(out, splits, from_zips, annotations)
    archives = [] if from_zips else [published_archive(split, size_px) for split in dict.fromkeys(splits)]
    with only_run(out):
        run = _Run(out, _read_records(out))
        if from_zips:
            _unpack_given(run, list(dict.fromkeys(splits)), from_zips, api)
        for archive in archives:
            _get_published(run, archive, keep_archives, api, patience)
        if annotations is not None:
            _unpack_annotations(run, annotations, splits[0] if len(splits) == 1 else "")
        index = _index(run)
        if annotations is not None and index is not None:
            _refuse_wrong_annotations(index)
        return run.summary


def records_split(out: Path, split: str) -> bool:
    """Whether OUT has a record that a split was downloaded. Raises DataError if the record can't be read."""
    return split in _read_records(out)


def lower_count(out: Path, split: str, gone: int) -> bool:
    """Let OUT's record say that a split is whole without `gone` of its videos, if that is what the disk now has: they
    were removed on purpose, and are not to be downloaded again. Tells whether the record was changed."""
    records = _read_records(out)
    there = _count_videos(out / split)
    if split not in records or records[split].videos != there + gone:
        return False
    _Run(out, records).record({split: replace(records[split], videos=there)})
    return True


def _refuse_nonsense(out: Path, splits: Sequence[str], from_zips: Sequence[Path], annotations: Path | None) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, expected a folder or nothing.")
    if not splits and not from_zips and annotations is None:
        raise UsageError(f"nothing to do: name a split ({', '.join(PUBLISHED_SPLITS)}), or archives that are here.")
    for split in splits:
        if split not in PUBLISHED_SPLITS:
            raise UsageError(f"unknown split {split!r}; known: {', '.join(PUBLISHED_SPLITS)}.")
    for path in [*from_zips, *([annotations] if annotations else [])]:
        if not path.is_file():
            raise UsageError(f"{path}: no such file.")


def _get_published(run: _Run, archive: PublishedArchive, keep: bool, api: str, patience: Patience) -> None:
    """Fetch one archive, unless its split is there, and unpack it; removes it after."""
    split, form = archive.split, f"{archive.size_px} px"
    held = {record.form for record in run.records.values()} - {VIDEOS}
    if held - {form}:
        raise UsageError(f"{run.out}: holds frames of {held.pop()}, asked for {form}. Take another folder.")
    path = run.out / FOLDER_NAME / archive.file_name
    if split in run.records and _count_videos(run.out / split) == run.records[split].videos:
        run.note(f"{run.out / split}: there and verified; not downloaded again")
        run.summary = replace(run.summary, splits=(*run.summary.splits, split))
        _let_go(path, keep)
        return
    with _kept(path) if path.is_file() else nullcontext():
        md5 = _verified_md5(run, path, api) if path.is_file() else _fetch(run, archive, path, api, patience)
    with _kept(path), CheckedZip(path) as opened:
        contents = find_videos(opened, split)
        refuse_foreign(run.out, [(video.split, video.place) for video in contents.videos])
        _unpack(run, opened, contents, md5)
    _let_go(path, keep)


def _count_videos(tree: Path) -> int:
    return sum(not any(is_junk(part) for part in path.relative_to(tree).parts) for path in tree.glob("*/*/*/*"))


def _let_go(path: Path, keep: bool) -> None:
    """Remove an archive that is no longer needed, and its folder if nothing else is in it."""
    if not keep:
        path.unlink(missing_ok=True)
        _md5_path(path).unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _fetch(run: _Run, archive: PublishedArchive, path: Path, api: str, patience: Patience) -> str:
    """Download one archive; its md5."""
    help_text = by_hand(archive)
    with _advised(help_text):
        published = list_published(api, patience=patience).get(archive.file_id)
        if published is None or not published.md5:
            raise DataError(f"{api}: figshare's list has no file {archive.file_id} with a checksum.")
    part = path.with_name(path.name + PART_SUFFIX)
    missing = published.size_bytes - (part.stat().st_size if part.is_file() else 0)
    # Frames hardly compress: unpacked they take as much again.
    what = f"the archive of {archive.split} and what is in it"
    refuse_little_space(run.out, (max(missing, 0), published.size_bytes), what)
    _LOG.info("download: %r, %.1f GB, to %s", published.name, published.size_bytes / 1e9, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(_md5_path(path), published.md5)  # before the archive has its name: it has it only with this checksum
    try:
        fetch_zip(
            download_url(api, archive),
            path,
            size_bytes=published.size_bytes,
            md5=published.md5,
            by_hand=help_text,
            patience=patience,
        )
    except DataError:
        _md5_path(path).unlink()  # another attempt writes it again
        raise
    return published.md5


def _md5_path(path: Path) -> Path:
    """Where a fetched archive's checksum stands until its split is verified."""
    return path.with_name(path.name + ".md5")


def _verified_md5(run: _Run, path: Path, api: str) -> str:
    """The md5 of an archive that an earlier run fetched whole, and was cut off then: it was compared when the archive
    got its name. One that was put there by hand is compared now."""
    noted = _md5_path(path)
    if noted.is_file() and re.fullmatch(r"[0-9a-f]{32}", found := noted.read_text(errors="replace").strip()):
        return found
    return _compare_checksum(run, path, api)


def _unpack_given(run: _Run, splits: Sequence[str], paths: Sequence[Path], api: str) -> None:
    """Unpack archives that are here. All are judged before one byte is written."""
    only = splits[0] if len(splits) == 1 else ""
    places: list[tuple[str, str]] = []
    for path in paths:
        with CheckedZip(path) as archive:
            places += [(video.split, video.place) for video in find_videos(archive, only).videos]
    found = {split for split, _ in places}
    if splits and found != set(splits):
        raise UsageError(
            f"{listed([str(path) for path in paths])}: asked for {', '.join(splits)}, found {', '.join(sorted(found))}."
        )
    refuse_foreign(run.out, places)
    md5s = [_compare_checksum(run, path, api) for path in paths]
    for path, md5 in zip(paths, md5s, strict=True):
        with CheckedZip(path) as archive:
            _unpack(run, archive, find_videos(archive, only), md5)


def _compare_checksum(run: _Run, path: Path, api: str) -> str:
    """Hold a file against figshare's list, if that can be had; its md5 if it is a published one's, else ""."""
    try:
        published = list_published(api, patience=_BRIEFLY)
    except DataError as error:
        run.note(f"{path}: checksum not compared with the published one: {error}")
        return ""
    ours = {archive.file_id for archive in PUBLISHED}
    same_size = {
        entry.md5 for entry in published.values() if entry.file_id in ours and entry.size_bytes == path.stat().st_size
    } - {""}
    if not same_size:
        run.note(f"{path}: of no published archive's size, so no checksum to compare; the archive's own are compared")
        return ""
    if (md5 := _md5(path)) not in same_size:
        raise DataError(
            f"{path}: md5 {md5}, but {' or '.join(sorted(same_size))} is published for this size. Download it again."
        )
    run.note(f"{path}: checksum is the published one")
    return md5


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file, Progress("MB to check", path.stat().st_size // 10**6) as progress:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            progress.advance(file.tell() // 10**6 - progress.done)
    return digest.hexdigest()


def _unpack(run: _Run, archive: CheckedZip, contents: Contents, md5: str) -> None:
    """Unpack a judged archive, and verify every split it holds, every frame read."""
    form = _form(archive, contents)
    held = {record.form for name, record in run.records.items() if name not in contents.splits}
    if held - {form}:
        raise UsageError(f"{run.out}: holds {held.pop()}, {archive.path} holds {form}. Take another folder.")
    if contents.others:
        run.note(f"{archive.path}: {counted(len(contents.others), 'member')} left aside: {listed(contents.others)}")
    for tree in (run.out, run.out / OTHER):  # an index that knows nothing of what comes
        (tree / INDEX_NAME).unlink(missing_ok=True)
    skipped = write_videos(archive, contents.videos, run.out)
    for split in contents.splits:
        _refuse_faults(run.out / split)
    counts = {split: sum(video.split == split for video in contents.videos) for split in contents.splits}
    run.record({split: SplitRecord(archive.path.name, form, counts[split], md5) for split in contents.splits})
    run.summary = replace(
        run.summary,
        splits=tuple(dict.fromkeys((*run.summary.splits, *contents.splits))),
        videos=run.summary.videos + len(contents.videos),
        skipped=run.summary.skipped + skipped,
    )


def _form(archive: CheckedZip, contents: Contents) -> str:
    first = contents.videos[0]
    if first.is_raw:
        return VIDEOS
    try:
        return f"{decode_jpeg(archive.read(first.members[0])).shape[1]} px"
    except DataError as error:
        raise DataError(f"{archive.path}#{first.members[0].filename}: {error}") from None


def _refuse_faults(tree: Path) -> None:
    faults = verify(tree)
    if faults:
        first = "; ".join(str(fault) for fault in faults[:_NAMED_FAULTS])
        raise DataError(
            f"{tree}: {counted(len(faults), 'fault')}, first of all: {first.rstrip('.')}. Remove the videos named, then"
            " run the same command again; if they stay, the archive holds them so."
        )


def _unpack_annotations(run: _Run, path: Path, split: str) -> None:
    with CheckedZip(path, ratio=JSON_RATIO) as archive:
        videos, others = write_annotations(archive, run.out, split)
    if others:
        run.note(f"{path}: {counted(len(others), 'member')} left aside: {listed(others)}")
    run.summary = replace(run.summary, annotations=videos)


def _index(run: _Run) -> Index | None:
    """Make the indexes where they are missing, else see that they hold. None without a benchmark split."""
    if OTHER in run.records:
        open_index(run.out / OTHER)
    return open_index(run.out) if any((run.out / split).is_dir() for split in SPLITS) else None


def _refuse_wrong_annotations(index: Index) -> None:
    """Every frame of an annotated video has an entry, and no other."""
    wrong = []
    for row in index.rows:
        path = annotation_path(index.root, row.split, row.video)
        if not path.is_file():
            continue
        try:
            read_annotations(path, range(1, row.frames + 1))
        except DataError as error:
            wrong.append(str(error))
    if wrong:
        first = "; ".join(wrong[:_NAMED_FAULTS])
        raise DataError(f"{index.root}: annotations of {counted(len(wrong), 'video')} don't fit the tree: {first}")


def _read_records(out: Path) -> dict[str, SplitRecord]:
    path = out / RECORD_NAME
    if not path.is_file():
        return {}
    try:
        content = parse_json(path.read_bytes(), finite=True)
        if content["schema"] != RECORD_SCHEMA:
            raise ValueError(f"schema {content['schema']}, this version knows {RECORD_SCHEMA}")
        return {str(name): checked_record(SplitRecord, record) for name, record in content["splits"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not a record of downloads ({error}). Remove it; splits are then verified anew."
        ) from None


@contextmanager
def _kept(path: Path) -> Iterator[None]:
    """Say where a downloaded archive is when something is wrong with it."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} The archive is kept: {path} (to have it downloaded again, remove it).") from None


@contextmanager
def _advised(advice: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} {advice}") from None
