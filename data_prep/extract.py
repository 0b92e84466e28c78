"""Raw tree to frame tree: each video's folder whole or not at all, in parallel, and going on where it was cut off."""

import filecmp
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from data_prep.index import build_index
from data_prep.layout import ANNOTATIONS, SPLITS, VIDEO_TYPES, frame_file_name, is_junk
from data_prep.naming import RawVideo, listed, name_videos, scan_raw
from data_prep.probe import probe
from data_prep.video import JPEG_QUALITY, encode_jpeg, iterate_frames, reader_name
from data_prep.workers import default_workers, run_in_workers
from groundwork.errors import AskedWrong, FoundWrong, KitError
from groundwork.files import part_path, whole_folder, write_json
from groundwork.progress import Progress

MANIFEST_NAME = "extract.json"
JOURNAL_NAME = ".extract.jsonl"  # one line a finished video while the run goes on; then it is in the manifest
MANIFEST_SCHEMA = 1
TIME_LIMIT_S = 1800.0  # a 10-minute 1080p video takes about 3 minutes on one core; a hung decoder takes for ever


@dataclass(frozen=True)
class Settings:
    """What a frame tree is made with: one OUT holds one of these."""

    size_px: int
    fps: float
    quality: int
    names: str  # "hashed" or "kept"

    def __str__(self) -> str:
        return f"{self.size_px} px, {self.fps:g} fps, quality {self.quality}, names {self.names}"


@dataclass(frozen=True)
class VideoRecord:
    """What the manifest says of one video."""

    reader: str
    pictures: int
    frames: int
    source_bytes: int


@dataclass(frozen=True)
class ExtractSummary:
    """What one run did. `skipped` videos were there already."""

    videos: int
    skipped: int
    frames: int


@dataclass(frozen=True)
class _Job:
    source: Path
    relative: str  # of the source, for reports
    folder: Path
    place: str  # of the folder, relative to OUT: the manifest's key
    size_bytes: int
    settings: Settings


def extract(
    raw: Path,
    out: Path,
    *,
    size_px: int = 224,
    fps: float = 30.0,
    keep_names: bool = False,
    workers: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
) -> ExtractSummary:
    """Bring every video of a raw tree into the frame tree OUT, copy its annotations, and write OUT's index.

    Run again after it was cut off, it goes on; the result is the same, byte for byte.

    Args:
        raw: ROOT/[split/]USER/OBJECT/{clean,clutter}/FILE.
        out: new, empty, or begun by the same command.
        size_px: side of the square frames.
        fps: frames a second, whatever the video's own rate.
        keep_names: name videos after their files; by default their names say nothing.
        workers: processes; by default one a core.
        time_limit_s: after which a video counts as failed.

    Raises:
        AskedWrong: no videos; OUT holds something else, or frames made with other settings.
        FoundWrong: some videos failed. All others are there, and indexed.
    """
    if size_px < 8 or not 0 < fps <= 1000 or (workers is not None and workers < 1) or time_limit_s <= 0:
        raise AskedWrong(
            f"size {size_px} px, {fps:g} fps, workers {workers}, limit {time_limit_s:g} s:"
            " expected at least 8 px, 0 to 1000 fps, 1 worker, and a limit above 0."
        )
    settings = Settings(size_px, fps, JPEG_QUALITY, "kept" if keep_names else "hashed")
    videos = _scan(raw, out)
    records = _read_records(out, settings)
    names = name_videos(raw, videos, keep_names=keep_names)
    jobs = [_job(video, names[video.relative], out, settings) for video in videos]
    _refuse_foreign(raw, out, jobs)
    waiting = [job for job in jobs if not _is_done(job, records)]
    to_do = {job.place for job in waiting}
    records = {job.place: records[job.place] for job in jobs if job.place not in to_do}
    _write_manifest(out, settings, records)
    with Progress("videos", len(jobs)) as progress, (out / JOURNAL_NAME).open("w", encoding="utf-8") as journal:
        progress.skip(len(jobs) - len(waiting))
        failed = []
        for outcome in run_in_workers(
            _extract_video, waiting, workers=workers or default_workers(), time_limit_s=time_limit_s
        ):
            if outcome.value is None:
                failed.append(outcome.item.relative)
                print(f"failed: {outcome.item.relative}: {_reason(outcome.error)}", file=sys.stderr, flush=True)
                _remove(outcome.item.folder)
                _drop_empty(outcome.item.folder.parent, out)
            else:
                records[outcome.item.place] = outcome.value
                journal.write(json.dumps({outcome.item.place: asdict(outcome.value)}, ensure_ascii=False) + "\n")
                journal.flush()
            progress.advance()
    _write_manifest(out, settings, records)
    (out / JOURNAL_NAME).unlink()
    _copy_annotations(raw, out)
    if records:
        build_index(out)
    if failed:
        raise FoundWrong(
            f"{raw}: {len(failed)} of {len(jobs)} videos failed: {listed(failed)}."
            f" The others are in {out}. Replace or remove these, then run the same command again."
        )
    frames = sum(record.frames for record in records.values())
    return ExtractSummary(videos=len(jobs), skipped=len(jobs) - len(waiting), frames=frames)


def _scan(raw: Path, out: Path) -> list[RawVideo]:
    if not raw.is_dir():
        raise AskedWrong(f"{raw}: no such folder.")
    if out.resolve().is_relative_to(raw.resolve()) or raw.resolve().is_relative_to(out.resolve()):
        raise AskedWrong(f"{out}: expected a place outside {raw}, and not around it.")
    videos = scan_raw(raw)
    if not videos:
        raise AskedWrong(f"{raw}: no videos; expected USER/OBJECT/{{{','.join(VIDEO_TYPES)}}}/FILE.mp4 or the like.")
    return videos


def _job(video: RawVideo, name: str, out: Path, settings: Settings) -> _Job:
    parts = [part for part in (video.split, video.user, video.object, video.video_type, name) if part]
    return _Job(video.path, video.relative, out.joinpath(*parts), "/".join(parts), video.size_bytes, settings)


def _read_records(out: Path, settings: Settings) -> dict[str, VideoRecord]:
    """See that OUT is new, or holds this very run; gives the records of the videos that are there."""
    if out.exists() and not out.is_dir():
        raise AskedWrong(f"{out}: is a file, expected a folder or nothing.")
    if not (out / MANIFEST_NAME).is_file():
        content = sorted(path.name for path in out.iterdir()) if out.exists() else []
        if any(name != part_path(out / MANIFEST_NAME).name for name in content):
            raise AskedWrong(f"{out}: holds something else ({listed(content)}); expected a new or empty folder.")
        return {}
    before, records = _read_manifest(out / MANIFEST_NAME)
    if before != settings:
        raise AskedWrong(f"{out}: holds another run ({before}), asked for {settings}. Take another folder.")
    return records | _read_journal(out / JOURNAL_NAME)


def _refuse_foreign(raw: Path, out: Path, jobs: Sequence[_Job]) -> None:
    foreign = sorted(set(_video_places(out)) - {job.place for job in jobs})
    if foreign:
        raise AskedWrong(
            f"{out}: holds videos that {raw} does not: {listed(foreign)}. Remove them, or take another folder."
        )


def _video_places(out: Path) -> list[str]:
    levels = 5 if any((out / split).is_dir() for split in SPLITS) else 4
    found = (path.relative_to(out) for path in out.glob("/".join("*" * levels)) if path.is_dir())
    return [path.as_posix() for path in found if not any(is_junk(part) for part in path.parts)]


def _is_done(job: _Job, records: Mapping[str, VideoRecord]) -> bool:
    record = records.get(job.place)
    if record is None or record.source_bytes != job.size_bytes or not job.folder.is_dir():
        return False
    return sum(1 for path in job.folder.iterdir() if path.suffix == ".jpg") == record.frames


def _extract_video(job: _Job) -> VideoRecord:
    """One video's whole folder. Runs in a worker."""
    settings = job.settings
    info = probe(job.source)
    _remove(job.folder)
    number = 0
    with whole_folder(job.folder) as folder:
        for number, picture in iterate_frames(job.source, size_px=settings.size_px, fps=settings.fps):
            (folder / frame_file_name(job.folder.name, number)).write_bytes(encode_jpeg(picture, settings.quality))
    return VideoRecord(reader_name(info, settings.size_px), info.pictures, number, job.size_bytes)


def _remove(folder: Path) -> None:
    """Take a folder away in one step: renamed to its hidden part first, so that half of it never counts as whole."""
    part = part_path(folder)
    shutil.rmtree(part, ignore_errors=True)
    if folder.is_dir():
        folder.rename(part)
        shutil.rmtree(part)


def _drop_empty(folder: Path, out: Path) -> None:
    """Take away the folders that a failed video alone was to fill."""
    while folder != out and folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
        folder = folder.parent


def _reason(error: Exception | None) -> str:
    text = str(error) if isinstance(error, KitError | OSError) else repr(error)
    return " ".join(text.split())


def _copy_annotations(raw: Path, out: Path) -> None:
    source, target = raw / ANNOTATIONS, out / ANNOTATIONS
    if not source.is_dir() or (target.is_dir() and _same_files(source, target)):
        return
    _remove(target)
    with whole_folder(target) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)


def _same_files(first: Path, second: Path) -> bool:
    names = [sorted(p.relative_to(tree) for p in tree.rglob("*") if p.is_file()) for tree in (first, second)]
    if names[0] != names[1]:
        return False
    _, different, unreadable = filecmp.cmpfiles(first, second, [str(name) for name in names[0]], shallow=False)
    return not different and not unreadable


def _write_manifest(out: Path, settings: Settings, records: Mapping[str, VideoRecord]) -> None:
    videos = {place: asdict(record) for place, record in sorted(records.items())}
    write_json(out / MANIFEST_NAME, {"schema": MANIFEST_SCHEMA, "settings": asdict(settings), "videos": videos})


def _read_manifest(path: Path) -> tuple[Settings, dict[str, VideoRecord]]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if content["schema"] != MANIFEST_SCHEMA:
            raise ValueError(f"schema {content['schema']}, this version knows {MANIFEST_SCHEMA}")
        records = {place: VideoRecord(**record) for place, record in content["videos"].items()}
        return Settings(**content["settings"]), records
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FoundWrong(f"{path}: not an extraction's manifest ({error}). Take another folder.") from None


def _read_journal(path: Path) -> dict[str, VideoRecord]:
    records: dict[str, VideoRecord] = {}
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    for line in lines:
        try:
            records |= {place: VideoRecord(**record) for place, record in json.loads(line).items()}
        except (ValueError, TypeError, AttributeError):  # a line cut off with the run: that video is made again
            continue
    return records
