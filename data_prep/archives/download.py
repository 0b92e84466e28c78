"""Turns ORBIT's published archives into a frame tree: downloads, unpacks and verifies them. Local archives work, too.

    OUT/{train,validation,test}/…       the tree, and its index.csv
    OUT/other/…                         users of the unfiltered set, a separate tree with its own index.csv
    OUT/annotations/…                   from an archive of annotations
    OUT/download.json                   which splits are complete and verified
    OUT/.downloads/                     archives and partial archives, until their split is verified

An interrupted run resumes: a download at the byte, unpacking at the video, the rest at the split.
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
_BRIEFLY = Patience(attempts=1, timeout_s=10.0)  # for a checksum, which is useful but not required
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class SplitRecord:
    """One complete and verified split. `md5` is "" if it was not compared with the published one."""

    source: str
    form: str  # "224 px", or "raw videos"
    videos: int
    md5: str = ""


@dataclass(frozen=True)
class DownloadSummary:
    """What one run did. `skipped` of the videos existed already; `annotations` counts videos that got annotations."""

    splits: tuple[str, ...] = ()
    videos: int = 0
    skipped: int = 0
    annotations: int = 0
    notes: tuple[str, ...] = ()


@dataclass
class _Run:
    """The state that the steps of one run share: the output folder, the records of its splits, and the summary."""

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
        out: new, or a tree to resume or to add splits to.
        splits: names in `published.PUBLISHED_SPLITS`. With `from_zips`, the splits that these archives hold; needed if
            an archive has no folder named after its split.
        size_px: 224 or 1080; which archives to fetch.
        from_zips: local archives. Then nothing is downloaded, and these files are never removed.
        annotations: an archive of annotations (`SPLIT/VIDEO.json`), which is never removed.
        keep_archives: keep downloaded archives in OUT/.downloads after their split is verified.
        api: the address of figshare's API.
        patience: how often to retry a broken connection.

    Raises:
        UsageError: an unknown split or size, nothing to do, or OUT holds frames of another size.
        DataError: an archive can't be downloaded, is damaged or hostile, or the unpacked tree has errors. What is
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
    """Record that a split is complete without `gone` of its videos, if the disk has that number now: they were removed
    on purpose and must not be downloaded again. Returns whether the record was changed."""
    records = _read_records(out)
    on_disk = _count_videos(out / split)
    if split not in records or records[split].videos != on_disk + gone:
        return False
    _Run(out, records).record({split: replace(records[split], videos=on_disk)})
    return True


def _refuse_nonsense(out: Path, splits: Sequence[str], from_zips: Sequence[Path], annotations: Path | None) -> None:
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, expected a folder or nothing.")
    if not splits and not from_zips and annotations is None:
        raise UsageError(f"nothing to do: name a split ({', '.join(PUBLISHED_SPLITS)}) or local archives.")
    for split in splits:
        if split not in PUBLISHED_SPLITS:
            raise UsageError(f"unknown split {split!r}; known: {', '.join(PUBLISHED_SPLITS)}.")
    for path in [*from_zips, *([annotations] if annotations else [])]:
        if not path.is_file():
            raise UsageError(f"{path}: no such file.")


def _get_published(run: _Run, archive: PublishedArchive, keep: bool, api: str, patience: Patience) -> None:
    """Fetch and unpack one archive, unless its split is complete; then remove the archive."""
    split, form = archive.split, f"{archive.size_px} px"
    present = {record.form for record in run.records.values()} - {VIDEOS}
    if present - {form}:
        raise UsageError(f"{run.out}: holds frames of {present.pop()}, asked for {form}. Use another folder.")
    path = run.out / FOLDER_NAME / archive.file_name
    if split in run.records and _count_videos(run.out / split) == run.records[split].videos:
        run.note(f"{run.out / split}: already complete and verified; not downloaded again")
        run.summary = replace(run.summary, splits=(*run.summary.splits, split))
        _remove_archive(path, keep)
        return
    with _archive_named(path) if path.is_file() else nullcontext():
        md5 = _verified_md5(run, path, api) if path.is_file() else _fetch(run, archive, path, api, patience)
    with _archive_named(path), CheckedZip(path) as opened:
        contents = find_videos(opened, split)
        refuse_foreign(run.out, [(video.split, video.place) for video in contents.videos])
        _unpack(run, opened, contents, md5)
    _remove_archive(path, keep)


def _count_videos(tree: Path) -> int:
    return sum(not any(is_junk(part) for part in path.relative_to(tree).parts) for path in tree.glob("*/*/*/*"))


def _remove_archive(path: Path, keep: bool) -> None:
    """Remove an archive that is no longer needed (unless `keep`), and its folder if that is empty."""
    if not keep:
        path.unlink(missing_ok=True)
        _md5_path(path).unlink(missing_ok=True)
    if path.parent.is_dir() and not any(path.parent.iterdir()):
        path.parent.rmdir()


def _fetch(run: _Run, archive: PublishedArchive, path: Path, api: str, patience: Patience) -> str:
    """Download one archive; gives its md5."""
    help_text = by_hand(archive)
    with _advised(help_text):
        published = list_published(api, patience=patience).get(archive.file_id)
        if published is None or not published.md5:
            raise DataError(f"{api}: figshare's list has no file {archive.file_id} with a checksum.")
    part = path.with_name(path.name + PART_SUFFIX)
    missing = published.size_bytes - (part.stat().st_size if part.is_file() else 0)
    # Frames hardly compress: unpacked, they take as much space again.
    what = f"the archive of {archive.split} and its unpacked content"
    refuse_little_space(run.out, (max(missing, 0), published.size_bytes), what)
    _LOG.info("download: %r, %.1f GB, to %s", published.name, published.size_bytes / 1e9, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(_md5_path(path), published.md5)  # written first: the archive gets its name only with this checksum
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
        _md5_path(path).unlink()  # the next attempt writes it again
        raise
    return published.md5


def _md5_path(path: Path) -> Path:
    """The file with a fetched archive's checksum, kept until the split is verified."""
    return path.with_name(path.name + ".md5")


def _verified_md5(run: _Run, path: Path, api: str) -> str:
    """The md5 of an archive that an earlier, interrupted run fetched whole: it was compared when the archive got its
    name. That of an archive put there by hand is compared now."""
    recorded = _md5_path(path)
    if recorded.is_file() and re.fullmatch(r"[0-9a-f]{32}", found := recorded.read_text(errors="replace").strip()):
        return found
    return _compare_checksum(run, path, api)


def _unpack_given(run: _Run, splits: Sequence[str], paths: Sequence[Path], api: str) -> None:
    """Unpack local archives. All are checked before a byte is written."""
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
    """Compare a file with figshare's list, if that can be reached; gives its md5 if it is a published one, else ""."""
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
        run.note(
            f"{path}: no published archive has this size, so there is no published checksum to compare;"
            " the checksums inside the archive are checked"
        )
        return ""
    if (md5 := _md5(path)) not in same_size:
        raise DataError(
            f"{path}: md5 {md5}, but {' or '.join(sorted(same_size))} is published for this size. Download it again."
        )
    run.note(f"{path}: checksum matches the published one")
    return md5


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file, Progress("MB to check", path.stat().st_size // 10**6) as progress:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            progress.advance(file.tell() // 10**6 - progress.done)
    return digest.hexdigest()


def _unpack(run: _Run, archive: CheckedZip, contents: Contents, md5: str) -> None:
    """Unpack a checked archive, and verify every split it holds by reading every frame."""
    form = _form(archive, contents)
    present = {record.form for name, record in run.records.items() if name not in contents.splits}
    if present - {form}:
        raise UsageError(f"{run.out}: holds {present.pop()}, {archive.path} holds {form}. Use another folder.")
    if contents.others:
        run.note(f"{archive.path}: {counted(len(contents.others), 'member')} skipped: {listed(contents.others)}")
    for tree in (run.out, run.out / OTHER):  # remove indexes that will be out of date
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
            f"{tree}: {counted(len(faults), 'fault')}, beginning with: {first.rstrip('.')}. Remove these videos, then"
            " run the same command again. If the faults stay, they are in the archive itself."
        )


def _unpack_annotations(run: _Run, path: Path, split: str) -> None:
    with CheckedZip(path, ratio=JSON_RATIO) as archive:
        videos, others = write_annotations(archive, run.out, split)
    if others:
        run.note(f"{path}: {counted(len(others), 'member')} skipped: {listed(others)}")
    run.summary = replace(run.summary, annotations=videos)


def _index(run: _Run) -> Index | None:
    """Build the indexes, or check existing ones. None if there is no benchmark split."""
    if OTHER in run.records:
        open_index(run.out / OTHER)
    return open_index(run.out) if any((run.out / split).is_dir() for split in SPLITS) else None


def _refuse_wrong_annotations(index: Index) -> None:
    """Require that the entries of each annotated video are exactly its frames."""
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
            f"{path}: not a record of downloads ({error}). Remove it; splits are then verified again."
        ) from None


@contextmanager
def _archive_named(path: Path) -> Iterator[None]:
    """Add to an error where the downloaded archive is."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} The archive is kept: {path} (to download it again, remove it).") from None


@contextmanager
def _advised(advice: str) -> Iterator[None]:
    try:
        yield
    except DataError as error:
        raise DataError(f"{error} {advice}") from None
