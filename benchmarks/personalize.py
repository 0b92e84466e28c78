"""Phone videos to a personal recognizer: the whole command, compared with only decoding and embedding the same frames.

The whole command also finds the videos, judges how they are filmed, fits, leaves one video out, and writes the file.
"""

import contextlib
import io
import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import torch

from benchmarks.extract import Workload as VideoWorkload
from benchmarks.extract import write_video
from benchmarks.measure import Comparison, Spread, paired_seconds, peak_memory_mb
from data_prep.tree.own_videos import OwnFolder, OwnVideo, frame_count, scan_own
from data_prep.video import read_frames
from data_prep.workers.pool import run_in_workers
from groundwork.cores import default_workers
from orbit_lite.costs.measuring import Work
from orbit_lite.data.frames import Pictures
from orbit_lite.data.loader import to_images
from orbit_lite.models.choice import EMBEDDED_START, ModelChoice
from orbit_lite.models.engines import find_engine
from orbit_lite.models.recognizer import Recognizer
from orbit_lite.personal.teaching.personalize import personalize
from orbit_lite.personal.teaching.sampling import Sampling

ALLOWED_S = 8.0  # for everything else that the command does
GROUP = 30  # pictures per key frame, as in phone videos
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Workload:
    """One user: the number of objects, of videos per object, and the size of the videos; start and engine."""

    objects: int = 10
    videos: int = 5
    pictures: int = 300  # 10 s
    width_px: int = 1920
    height_px: int = 1080
    start: ModelChoice = EMBEDDED_START
    engine: str = "openvino"


def run(size: Workload = Workload(), *, repeats: int = 2) -> list[Comparison]:
    """Seconds of both, and the memory of the whole command, compared with that for a user with a tenth of the
    videos."""
    model = size.start
    workers = default_workers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film(folder / "alice", size)
        film(folder / "bob", Workload(2, 1, size.pictures, size.width_px, size.height_px))
        recognizer, own = model.load(), scan_own(folder / "alice")
        recognizer.engine = find_engine(size.engine)
        size_px = recognizer.extractor.frame_size_px
        recognizer.embed(torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8))  # so that the engine is prepared
        alone_s, whole_s = paired_seconds(
            partial(_alone, recognizer, own, workers),
            _whole(model, folder / "alice", engine=size.engine),
            repeats=repeats,
            warm=False,
        )
        small_mb, large_mb = (
            peak_memory_mb(partial(_whole, model, folder / user, loaded=True)) for user in ("bob", "alice")
        )
    seconds, count = size.pictures / 30, size.objects * size.videos
    setting = (
        f"{model.model}, {model.backbone}, engine {size.engine}, {size.objects} objects, "
        f"{size.videos} videos of {seconds:g} s, {size.height_px}p H.264"
    )
    threads = torch.get_num_threads()
    alone = ("decoding and embedding the frames alone", alone_s)
    allowed = (f"the same, and {ALLOWED_S:g} s", _plus(alone_s, ALLOWED_S))
    return [
        Comparison(setting, "time", "s", threads, alone, ("personalize", whole_s)),
        Comparison(setting, "time", "s", threads, allowed, ("personalize", whole_s), at_most=1.0),
        Comparison("personalize", "memory", "MB", threads, ("2 videos", small_mb), (f"{count} videos", large_mb)),
    ]


def _plus(spread: Spread, seconds: float) -> Spread:
    return Spread(spread.median + seconds, spread.least + seconds, spread.most + seconds, spread.repeats)


def _whole(model: ModelChoice, folder: Path, *, loaded: bool = False, engine: str | None = None) -> Work:
    """Run the command without output. `loaded`: with its libraries already in memory."""
    if loaded:
        model.load()

    def work() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            personalize(model, [folder], folder.parent / f"{folder.name}.safetensors", device=CPU, engine=engine)

    return work


def _alone(recognizer: Recognizer, own: OwnFolder, workers: int) -> None:
    sampling = Sampling.of_protocol(recognizer.extractor.frame_size_px)
    read = partial(_read, sampling=sampling)
    outcomes = run_in_workers(read, own.videos, workers=workers, time_limit_s=600.0)
    pictures = [outcome.value for outcome in outcomes if outcome.value is not None]
    for each in pictures:
        recognizer.embed(to_images(each, 1))


def _read(video: OwnVideo, sampling: Sampling) -> Pictures:
    count = frame_count(video)
    return read_frames(video.path, sampling.frames(count, stills=video.is_stills(count)), size_px=sampling.size_px)


def film(folder: Path, size: Workload) -> None:
    """Cut one long video into pieces at groups of pictures: no two share frames, and nothing is encoded again."""
    count = size.objects * size.videos
    whole = folder.with_suffix(".mp4")
    write_video(whole, VideoWorkload(1, size.pictures + GROUP * count, size.width_px, size.height_px))
    for number in range(count):
        target = folder / f"object {number // size.videos}" / f"{number}.mp4"
        target.parent.mkdir(parents=True, exist_ok=True)
        _cut(whole, target, first=GROUP * number, pictures=size.pictures)


def _cut(source: Path, target: Path, *, first: int, pictures: int) -> None:
    """Copy pictures from a key frame on without encoding them again; the video must not have B-frames."""
    with av.open(str(source)) as read, av.open(str(target), "w") as written:
        stream = written.add_stream_from_template(read.streams.video[0])
        packets = [packet for packet in read.demux(video=0) if packet.pts is not None]  # the last packet only flushes
        start = packets[first].pts or 0
        for packet in packets[first : first + pictures]:
            packet.pts = packet.dts = (packet.pts or 0) - start
            packet.stream = stream
            written.mux(packet)
