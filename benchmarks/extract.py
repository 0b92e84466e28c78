"""Raw 1080p video to 224-px JPEG frames: the kit's extraction compared with ffmpeg on the same videos and cores.

Both write a folder of JPEG files per video. The kit also checks, names, syncs and indexes its files.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import av
import cv2
import numpy as np

from benchmarks.measure import REPEATS, Comparison, paired_seconds, peak_memory_mb
from data_prep.making.extract import Settings, extract
from data_prep.video import encode_jpeg, iterate_frames
from groundwork.cores import default_workers
from groundwork.errors import DataError
from groundwork.randomness import keyed_rng

NOISE = 4.0  # standard deviation, of 255; about that of a phone in a lit room
NOISES = 8  # drawn once, because drawing noise takes longer than encoding it
LONGER = 10


@dataclass(frozen=True)
class Workload:
    """The number and size of the videos."""

    videos: int = 4
    pictures: int = 771  # the average of ORBIT's clean videos
    width_px: int = 1920
    height_px: int = 1080
    frame_size_px: int = 224


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Frames per second on all cores; and the memory of one worker, for a video and for one ten times as long.

    Raises:
        DataError: if ffmpeg is not installed.
    """
    if shutil.which("ffmpeg") is None:
        raise DataError("ffmpeg: not found, but this benchmark compares with it. Install ffmpeg.")
    workers = default_workers()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = folder / "raw/ann/thing/clean"
        write_video(folder / "one.mp4", size)
        raw.mkdir(parents=True)
        videos = [shutil.copyfile(folder / "one.mp4", raw / f"{number}.mp4") for number in range(size.videos)]

        def by_ffmpeg() -> None:
            shutil.rmtree(folder / "ffmpeg", ignore_errors=True)
            with ThreadPoolExecutor(workers) as pool:
                list(pool.map(lambda video: by_ffmpeg_alone(video, folder / "ffmpeg" / video.stem, size), videos))

        def by_kit() -> None:
            shutil.rmtree(folder / "kit", ignore_errors=True)
            extract(folder / "raw", folder / "kit", settings=Settings(size.frame_size_px), workers=workers)

        ffmpeg_s, kit_s = paired_seconds(by_ffmpeg, by_kit, repeats=repeats)
        repeat_video(folder / "one.mp4", folder / "long.mp4", LONGER)
        short_mb, long_mb = (
            peak_memory_mb(partial(_one_video, folder / video, size.frame_size_px)) for video in ("one.mp4", "long.mp4")
        )
    frames = size.videos * size.pictures
    each = f"H.264, {size.width_px} x {size.height_px}, {size.pictures} frames"
    speed = (("ffmpeg, lanczos", ffmpeg_s.rate(frames)), ("kit", kit_s.rate(frames)))
    memory = ((each, short_mb), (f"{LONGER} times as long", long_mb))
    return [
        Comparison(f"{size.videos} videos, {each} each", "speed", "frames/s", workers, *speed),
        Comparison("kit, one worker, beyond its imports", "memory", "MB", 1, *memory),
    ]


def write_video(path: Path, size: Workload) -> None:
    """Encode a wall seen by a moving camera, with a phone's noise: H.264, 30 fps, without B-frames, as phones do."""
    rng = keyed_rng(0, "extract")
    wall = cv2.resize(
        rng.integers(0, 256, (18, 32, 3), dtype=np.uint8), (size.width_px * 5 // 4, size.height_px * 5 // 4)
    )
    noises = [rng.normal(0, NOISE, (size.height_px, size.width_px, 3)).astype(np.int8) for _ in range(NOISES)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30, options={"preset": "ultrafast", "crf": "20", "g": "30"})
        stream.width, stream.height, stream.pix_fmt = size.width_px, size.height_px, "yuv420p"
        for number in range(size.pictures):
            left, top = (int(span / 4 * number / size.pictures) for span in (size.width_px, size.height_px))
            seen = wall[top : top + size.height_px, left : left + size.width_px]
            picture = np.asarray(cv2.add(seen, noises[number % NOISES], dtype=cv2.CV_8U), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))


def repeat_video(source: Path, target: Path, times: int) -> None:
    """Repeat a video's pictures without encoding them again."""
    with av.open(str(target), "w") as written:
        stream, start = None, 0
        for _ in range(times):
            with av.open(str(source)) as read:
                stream = stream or written.add_stream_from_template(read.streams.video[0])
                end = start
                for packet in read.demux(video=0):
                    if packet.dts is None or packet.pts is None:  # the flush packet
                        continue
                    packet.dts, packet.pts = packet.dts + start, packet.pts + start
                    end = max(end, packet.pts + (packet.duration or 0))
                    packet.stream = stream
                    written.mux(packet)
                start = end


def by_ffmpeg_alone(video: Path, folder: Path, size: Workload) -> None:
    """The usual ffmpeg command: scale to a square, best JPEG quality."""
    folder.mkdir(parents=True)
    scale = f"fps=30,scale={size.frame_size_px}:{size.frame_size_px}:flags=lanczos"
    reading = ["ffmpeg", "-v", "error", "-filter_threads", "1", "-threads", "1", "-i", str(video)]
    subprocess.run([*reading, "-vf", scale, "-q:v", "2", "-threads", "1", str(folder / "%05d.jpg")], check=True)


def _one_video(path: Path, size_px: int) -> Callable[[], object]:
    return partial(_encode_all, path, size_px)


def _encode_all(path: Path, size_px: int) -> int:
    return sum(len(encode_jpeg(picture)) for _, picture in iterate_frames(path, size_px=size_px))
