"""Raw tree, or ORBIT-Camera's flat export, to frame tree: numbered square frames at a stated rate."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from data_prep.making.run import TreeRun, TreeSummary, remove_folder
from data_prep.tree.flat_export import scan_flat
from data_prep.tree.layout import VIDEO_TYPES, frame_file_name
from data_prep.tree.naming import RawVideo, discard_key, name_videos, scan_raw
from data_prep.tree.shard import Shard
from data_prep.video import (
    DEFAULT_READER,
    JPEG_QUALITY,
    Framing,
    crop_note,
    encode_jpeg,
    iterate_frames,
    probe,
    reader_named,
    reader_version,
)
from groundwork.errors import UsageError
from groundwork.files import whole_folder
from groundwork.words import listed

TIME_LIMIT_S = 1800.0  # a 10-minute 1080p video takes about 3 minutes on one core; a hung decoder takes for ever
SLOW_MOTION_FPS = 90.0  # phones film at 24 to 60, or in slow motion at 120 and more


@dataclass(frozen=True)
class Settings:
    """What a frame tree is made with."""

    size_px: int = 224
    fps: float = 30.0
    quality: int = JPEG_QUALITY
    shape: str = "crop"  # a name in framing.SHAPES
    resample: str = "decoder"  # a name in framing.RESAMPLES
    names: str = "hashed"  # or "kept"
    reader: str = DEFAULT_READER  # a name in READERS

    def stated(self) -> dict[str, Any]:
        """As the manifest has them. The usual reader is not among them, as it was in trees made before there was
        another; each video's record names it in any case."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("reader", DEFAULT_READER)}


USUAL = Settings()


@dataclass(frozen=True)
class VideoRecord:
    """What the manifest says of one video. `mark` is the source's size in bytes: its name stays out of the tree.

    `reader` names the library that decoded it, with versions; videos of one tree can differ in it if a run was cut off
    and resumed after an update."""

    frames: int
    mark: str
    reader: str
    pictures: int
    width_px: int
    height_px: int
    filmed_fps: float
    color: str
    interlaced: bool = False


@dataclass(frozen=True)
class _Job:
    source: Path
    relative: str
    folder: Path
    place: str
    mark: str
    settings: Settings


def extract(
    raw: Path,
    out: Path,
    *,
    settings: Settings = USUAL,
    techniques: Mapping[str, str] | None = None,
    discard: bool = False,
    workers: int | None = None,
    time_limit_s: float = TIME_LIMIT_S,
    shard: Shard | None = None,
) -> TreeSummary[VideoRecord]:
    """Bring every video of a raw tree into the frame tree OUT, copy its annotations, and write OUT's index.

    Run again after it was cut off, it goes on; the result is the same, byte for byte. Sound and metadata stay behind.

    Args:
        raw: ROOT/[split/]USER/OBJECT/{clean,clutter}/FILE, or a flat export if `techniques` is given.
        out: new, empty, or begun by the same command.
        settings: size, rate, names.
        techniques: video type of each letter in a flat export's file names; see `flat_export.TECHNIQUES`.
        discard: delete the key of the hashed names when every video is there: OUT is then final.
        workers: processes; by default one a core.
        time_limit_s: after which a video counts as failed.
        shard: make only this share of the videos, beside other shards in the same OUT; the same call without a shard
            then writes the manifest, the annotations and the index.

    Raises:
        UsageError: no videos; OUT holds something else, or frames made with other settings or by another reader; the
            reader is not installed.
        DataError: the disk is full, or some videos failed. All others are there, and indexed.
    """
    _refuse_nonsense(settings, discard, workers, time_limit_s)
    if discard and shard is not None:
        raise UsageError(
            f"shard {shard}: the other shards need the key, too. Discard it in the run without a shard that joins them."
        )
    if not raw.is_dir():
        raise UsageError(f"{raw}: no such folder.")
    made_by, notes = {"verb": "extract", **settings.stated()}, partial(_notes, settings=settings)
    usual = settings.reader == DEFAULT_READER
    if_lost = "" if usual else f"{settings.reader} hung or crashed. Use --reader {DEFAULT_READER}."
    run = TreeRun(raw, out, made_by, _extract_video, VideoRecord, time_limit_s, notes=notes, if_lost=if_lost)
    run.check()
    videos = scan_raw(raw) if techniques is None else scan_flat(raw, techniques)
    if not videos:
        raise UsageError(f"{raw}: no videos; expected USER/OBJECT/{{{','.join(VIDEO_TYPES)}}}/FILE.mp4 or the like.")
    names = name_videos(raw, videos, keep_names=settings.names == "kept")
    summary = run.run(
        [_job(video, names[video.relative], out, settings) for video in videos], workers=workers, shard=shard
    )
    if discard:
        discard_key(raw)
        run.restate({**run.made_by, "names": "hashed, key discarded"})
    return summary


def _refuse_nonsense(settings: Settings, discard: bool, workers: int | None, time_limit_s: float) -> None:
    sizes = settings.size_px >= 8 and 0 < settings.fps <= 1000
    if not sizes or (workers is not None and workers < 1) or time_limit_s <= 0:
        raise UsageError(
            f"size {settings.size_px} px, {settings.fps:g} fps, workers {workers}, limit {time_limit_s:g} s:"
            " expected at least 8 px, 0 to 1000 fps, 1 worker, and a limit above 0."
        )
    Framing(settings.size_px, settings.shape, settings.resample)  # refuses unknown names
    reader_named(settings.reader).require()
    if discard and settings.names == "kept":
        raise UsageError("kept names need no key: discard the key, or keep the names, not both.")


def _job(video: RawVideo, name: str, out: Path, settings: Settings) -> _Job:
    parts = [part for part in (video.split, video.user, video.object, video.video_type, name) if part]
    mark = str(video.size_bytes)
    return _Job(video.path, video.relative, out.joinpath(*parts), "/".join(parts), mark, settings)


def _extract_video(job: _Job) -> VideoRecord:
    """One video's whole folder. Runs in a worker."""
    size_px, shape, resample = job.settings.size_px, job.settings.shape, job.settings.resample
    info = probe(job.source)
    remove_folder(job.folder)
    number = 0
    reader, fps = job.settings.reader, job.settings.fps
    reading = iterate_frames(job.source, size_px=size_px, fps=fps, shape=shape, resample=resample, reader=reader)
    with whole_folder(job.folder) as folder:
        for number, picture in reading:
            content = encode_jpeg(picture, job.settings.quality)
            (folder / frame_file_name(job.folder.name, number)).write_bytes(content)
    return VideoRecord(
        frames=number,
        mark=job.mark,
        reader=reader_version(info, reader),
        pictures=info.pictures,
        width_px=info.width,
        height_px=info.height,
        filmed_fps=round(info.frames_per_s, 2),
        color=info.color,
        interlaced=info.interlaced,
    )


def _notes(records: Mapping[str, VideoRecord], settings: Settings) -> Iterator[str]:
    """What the person who filmed may want to know, a line each."""
    of = f"of {len(records)} videos"
    if settings.shape == "crop":
        yield from crop_note({name: (r.width_px, r.height_px) for name, r in records.items()}, "video")
    if slow := sorted(name for name, record in records.items() if record.filmed_fps >= SLOW_MOTION_FPS):
        yield (
            f"{len(slow)} {of} hold {SLOW_MOTION_FPS:g} pictures a second or more, as slow motion is filmed: frames are"
            f" taken {settings.fps:g} times a second of the file's own time: {listed(slow)}."
        )
    if hdr := sorted(name for name, record in records.items() if not record.color.startswith("SDR")):
        yield f"{len(hdr)} {of} are HDR, and got the tones of ordinary video: {listed(hdr)}."
    if woven := sorted(name for name, record in records.items() if record.interlaced):
        yield f"{len(woven)} {of} are interlaced, and were deinterlaced (bwdif): {listed(woven)}."
