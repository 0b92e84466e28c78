"""Frames of a video answered per second: the whole command, compared with only decoding and embedding them in parallel.

The other side decodes the video in one process while another embeds as many frames without waiting for it. The command
embeds the decoded frames, passes them through JPEG, and writes a table. Frames of a stream arrive raw, and each is
cropped, scaled and answered before the next. It also measures the memory of both processes, for a video and for one ten
times as long.
"""

import contextlib
import io
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.extract import LONGER, repeat_video, write_video
from benchmarks.extract import Workload as VideoWorkload
from benchmarks.measure import REPEATS, Comparison, peak_memory_mb, seconds_in_turn
from data_prep.video import iterate_frames, read_frames
from data_prep.workers.stream import StreamWorker
from groundwork.randomness import keyed_rng
from orbit_lite.costs.measuring import Work
from orbit_lite.data.loader import to_images
from orbit_lite.models.choice import EMBEDDED_START
from orbit_lite.models.engines import find_engine
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.answering.live import StreamRun
from orbit_lite.personal.answering.reading import VideoJob, read_batches
from orbit_lite.personal.answering.recognize import Outputs, recognize
from orbit_lite.personal.answering.streams import StreamFrame
from orbit_lite.personal.recognizer import PersonalRecognizer, SupportSet, TaughtVideo

OBJECTS, VIDEOS, TAKEN = 10, 5, 10  # taught objects, videos per object, frames per video


Start = tuple[str, str]  # learner, backbone


@dataclass(frozen=True)
class Workload:
    """The size of the video, the learners with their backbones, and the engine."""

    pictures: int = 300  # 10 s
    width_px: int = 1920
    height_px: int = 1080
    starts: tuple[Start, ...] = (
        ("protonets", "tiny"),
        (EMBEDDED_START.model, EMBEDDED_START.backbone),
        ("protonets", "efficientnet_lite0"),
        ("protonets", "efficientnet_b0"),
    )
    engine: str = "openvino"


def run(size: Workload = Workload(), *, repeats: int = REPEATS) -> list[Comparison]:
    """Frames per second of a video and of a stream with each start; memory."""
    with tempfile.TemporaryDirectory() as name:
        short, long = Path(name) / "short.mp4", Path(name) / "long.mp4"
        write_video(short, VideoWorkload(1, size.pictures, size.width_px, size.height_px))
        repeat_video(short, long, LONGER)
        found = [comparison for start in size.starts for comparison in _speeds(start, short, size, repeats)]
        for process, prepare in (("answering", _answering), ("reading", _reading)):
            small_mb, large_mb = (peak_memory_mb(partial(prepare, size.starts[0], video)) for video in (short, long))
            sides = (f"{size.pictures} frames", small_mb), (f"{LONGER} times as long", large_mb)
            setting = f"{size.starts[0][1]}, {process} process, beyond its imports"
            found.append(Comparison(setting, "memory", "MB", torch.get_num_threads(), *sides))
    return found


def made_recognizer(start: Start) -> PersonalRecognizer:
    """A recognizer with random weights and features, which is as fast as a real one and needs no network."""
    recognizer = build_recognizer(*start, weights="random")
    frames = tuple(range(1, 30 * TAKEN, 30))
    videos = [TaughtVideo(f"object {k // VIDEOS}", 30 * TAKEN, frames, str(k)) for k in range(OBJECTS * VIDEOS)]
    rng = keyed_rng(0, "recognize")
    features = [torch.from_numpy(rng.normal(size=(TAKEN, recognizer.extractor.width))).float() for _ in videos]
    support = SupportSet.of(zip(videos, features, strict=True))
    fitted = recognizer.personalize_from_features(support.features, support.labels, way=support.way)
    return PersonalRecognizer(fitted, "made", support)


def _speeds(start: Start, video: Path, size: Workload, repeats: int) -> list[Comparison]:
    personal, threads = made_recognizer(start), torch.get_num_threads()
    personal.fitted.recognizer.engine = find_engine(size.engine)
    squares = read_frames(video)
    raw = keyed_rng(0, "raw").integers(0, 256, (size.height_px, size.width_px, 3), dtype=np.uint8)
    with StreamWorker() as worker:
        at_once_s, embedded_s, whole_s, stream_s = seconds_in_turn(
            [
                partial(_decode_and_embed, personal, video, squares, worker),
                lambda: personal.scores(to_images(squares, 1)),
                _whole(personal, video, size.engine),
                partial(_stream, personal, raw, len(squares)),
            ],
            repeats=repeats,
        )
    names = ", ".join(start)
    of_video = f"{names}, engine {size.engine}, {size.height_px}p H.264, {size.pictures} frames"
    of_stream = f"{names}, engine {size.engine}, raw frames of {size.height_px}p"
    at_once, whole, embedded, stream = (
        found.rate(len(squares)) for found in (at_once_s, whole_s, embedded_s, stream_s)
    )
    return [
        Comparison(
            of_video, "speed", "frames/s", threads, ("decoding and embedding at once", at_once), ("recognize", whole)
        ),
        Comparison(
            of_stream, "speed", "frames/s", threads, ("embedding alone, in chunks", embedded), ("one by one", stream)
        ),
    ]


def _decode_and_embed(
    personal: PersonalRecognizer, video: Path, squares: NDArray[np.uint8], worker: StreamWorker
) -> None:
    decoding = threading.Thread(target=lambda: list(worker.iterate(count_decoded, video, hang_s=600)))
    decoding.start()
    personal.scores(to_images(squares, 1))
    decoding.join()


def count_decoded(video: Path) -> Iterator[int]:
    """Decode a whole video and yield the number of its frames."""
    yield sum(1 for _ in iterate_frames(video))


def _whole(personal: PersonalRecognizer, video: Path, engine: str | None = None) -> Work:
    """Run the command without output."""

    def work() -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            recognize(personal, [video], outputs=Outputs(csv=video.with_suffix(".csv")), engine=engine)

    return work


def _stream(personal: PersonalRecognizer, picture: np.ndarray, frames: int) -> None:
    stream = StreamRun(personal)
    for number in range(1, frames + 1):
        stream.answer(StreamFrame(number, number / 30, 0.0, picture))


def _answering(start: Start, video: Path) -> Work:
    """Work to measure in a new process; picklable, like `_reading`."""
    return _whole(made_recognizer(start), video)


def _reading(_: Start, video: Path) -> Work:
    def work() -> None:
        for _ in read_batches(VideoJob(video, 224)):
            pass  # each batch is dropped before the next is decoded, as after sending it

    return work
