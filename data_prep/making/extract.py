"""Makes a frame tree from a raw tree or ORBIT-Camera's flat export: numbered square frames at a given rate."""

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
from data_prep.workers.pool import require_processes
from groundwork.errors import UsageError
from groundwork.files import whole_folder
from groundwork.words import counted, listed

TIME_LIMIT_S = 1800.0  # a 10-minute 1080p video takes about 3 minutes on one core; a hung decoder never ends
SLOW_MOTION_FPS = 90.0  # phones film at 24 to 60 frames per second, or in slow motion at 120 and more


@dataclass(frozen=True)
class Settings:
    """How a frame tree is made."""

    size_px: int = 224
    fps: float = 30.0
    quality: int = JPEG_QUALITY
    shape: str = "crop"  # a name in framing.SHAPES
    resample: str = "decoder"  # a name in framing.RESAMPLES
    names: str = "hashed"  # or "kept"
    reader: str = DEFAULT_READER  # a name in READERS

    def stated(self) -> dict[str, Any]:
        """The settings as the manifest has them. It leaves out the default reader, as did releases that had no other;
        each video's record names its reader anyway."""
        return {name: value for name, value in asdict(self).items() if (name, value) != ("reader", DEFAULT_READER)}


USUAL = Settings()


@dataclass(frozen=True)
class VideoRecord:
    """A video's record in the manifest. `mark` is the source's size in bytes: its name stays out of the tree.

    `reader` names the library that decoded it, with versions; it can differ between videos of one tree if a run was
    interrupted and resumed after an update."""

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
    """Extract every video of a raw tree into the frame tree OUT, copy its annotations, and write OUT's index.

    An interrupted run resumes when it is called again; the result is the same, byte for byte. Sound and metadata are
    not copied.

    Args:
        raw: ROOT/[split/]USER/OBJECT/{clean,clutter}/FILE, or a flat export if `techniques` is given.
        out: new, empty, or begun by the same command.
        settings: size, rate, names.
        techniques: video type of each letter in a flat export's file names; see `flat_export.TECHNIQUES`.
        discard: delete the key of the hashed names when every video is done: OUT is then final.
        workers: processes; by default one per core.
        time_limit_s: seconds after which a video counts as failed.
        shard: make only this share of the videos; other shards may work in the same OUT. The same call without a shard
            then writes the manifest, the annotations and the index.

    Raises:
        UsageError: no videos; OUT holds something else, or frames made with other settings or by another reader; the
            reader is not installed.
        DataError: the disk is full, or some videos failed. All others are complete and indexed.
    """
    _refuse_nonsense(settings, discard, workers, time_limit_s)
    if discard and shard is not None:
        raise UsageError(
            f"shard {shard}: the other shards need the key, too. Discard it in the run without a shard that joins them."
        )
    if not raw.is_dir():
        raise UsageError(f"{raw}: no such folder; expected raw videos such as USER/OBJECT/FILE.mp4.")
    made_by, notes = {"verb": "extract", **settings.stated()}, partial(_notes, settings=settings)
    usual = settings.reader == DEFAULT_READER
    if_lost = "" if usual else f"{settings.reader} hung or crashed. Use --reader {DEFAULT_READER}."
    run = TreeRun(raw, out, made_by, _extract_video, VideoRecord, time_limit_s, notes=notes, if_lost=if_lost)
    run.check()
    videos = scan_raw(raw) if techniques is None else scan_flat(raw, techniques)
    if not videos:
        raise UsageError(f"{raw}: no videos; expected files such as USER/OBJECT/{{{','.join(VIDEO_TYPES)}}}/FILE.mp4.")
    names = name_videos(raw, videos, keep_names=settings.names == "kept")
    summary = run.run(
        [_job(video, names[video.relative], out, settings) for video in videos], workers=workers, shard=shard
    )
    if discard:
        discard_key(raw)
        run.restate({**run.made_by, "names": "hashed, key discarded"})
    return summary


def _refuse_nonsense(settings: Settings, discard: bool, workers: int | None, time_limit_s: float) -> None:
    if settings.size_px < 8:
        raise UsageError(f"size {settings.size_px} px: expected at least 8 px.")
    if not 0 < settings.fps <= 1000:
        raise UsageError(f"{settings.fps:g} fps: expected more than 0, up to 1000.")
    require_processes(workers, time_limit_s)
    Framing(settings.size_px, settings.shape, settings.resample)  # raises for unknown names
    reader_named(settings.reader).require()
    if discard and settings.names == "kept":
        raise UsageError("kept names have no key to discard: either keep the names or discard the key.")


def _job(video: RawVideo, name: str, out: Path, settings: Settings) -> _Job:
    parts = [part for part in (video.split, video.user, video.object, video.video_type, name) if part]
    mark = str(video.size_bytes)
    return _Job(video.path, video.relative, out.joinpath(*parts), "/".join(parts), mark, settings)


def _extract_video(job: _Job) -> VideoRecord:
    """Make the folder of one video. Runs in a worker."""
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
    """Notes for the person who filmed, a line each."""
    of = f"of {counted(len(records), 'video')}"
    if settings.shape == "crop":
        yield from crop_note({name: (r.width_px, r.height_px) for name, r in records.items()}, "video")
    if slow := sorted(name for name, record in records.items() if record.filmed_fps >= SLOW_MOTION_FPS):
        yield (
            f"slow motion ({SLOW_MOTION_FPS:g} or more pictures per second) in {len(slow)} {of}: {settings.fps:g}"
            f" frames were taken per second of the file's own time: {listed(slow)}."
        )
    if hdr := sorted(name for name, record in records.items() if not record.color.startswith("SDR")):
        yield f"HDR in {len(hdr)} {of}: tones were converted to those of ordinary video: {listed(hdr)}."
    if interlaced := sorted(name for name, record in records.items() if record.interlaced):
        yield f"interlaced video in {len(interlaced)} {of}: it was deinterlaced (bwdif): {listed(interlaced)}."
