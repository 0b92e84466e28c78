"""Recognizes objects in videos: a table with every frame's answer and a short summary of each video, for people and for
programs.

Decoding runs in a separate process, a few frames ahead of the recognizer. Memory does not grow with a video's length,
except by 6 bytes per frame for an annotated copy.
"""

import logging
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from data_prep.tree.portable import is_text
from data_prep.tree.videos_below import is_folder_of_videos, is_packed_place, videos_below
from data_prep.workers.stream import StreamWorker
from groundwork.errors import DataError, UsageError
from groundwork.progress import Progress, duration
from groundwork.reporting import report_failed
from groundwork.threads import map_in_order
from orbit_lite.data.loader import to_images
from orbit_lite.models.engines.choosing import choose_engine
from orbit_lite.personal.answering.answers import Answerer, FrameAnswer, VideoAnswer, VideoTally
from orbit_lite.personal.answering.frame_table import FrameTable, whole_table
from orbit_lite.personal.answering.overlay import SIDE_PX, Captions, annotate
from orbit_lite.personal.answering.reading import FrameBatch, VideoJob, batches_in_worker, is_stored
from orbit_lite.personal.answering.report import write_answers
from orbit_lite.personal.answering.speech import Speech, spoken
from orbit_lite.personal.answering.summary import AnswersSummary
from orbit_lite.personal.recognizer import FrameScores, PersonalRecognizer

_LOG = logging.getLogger("orbit_lite")

BYTES_PER_FRAME = 50_000  # of a phone's video, approximately: 12 Mbit per second


@dataclass(frozen=True)
class VideoOptions:
    """How to look at videos: frames per second, and the seconds to smooth over (0: each frame by itself)."""

    fps: float = 30.0
    smooth_s: float = 0.0


@dataclass(frozen=True)
class Outputs:
    """Files to write: `csv` with one row per frame, `json` with all videos' answers, and a copy of the one video with
    captions."""

    csv: Path | None = None
    json: Path | None = None
    annotated: Path | None = None


def _ignore(*_: object) -> None:
    """The default for each callback of a listener."""


@dataclass(frozen=True)
class AnswerListener:
    """Callbacks while answers come.

    began: called with each video's name, if there are several. answered: called with a video's name and answer after
    its last frame. changed: called with a frame's answer and the words to speak when the object in view has changed,
    see Speech. summarized: called after all videos, if there are several.
    """

    began: Callable[[str], None] = _ignore
    answered: Callable[[str, VideoAnswer], None] = _ignore
    changed: Callable[[FrameAnswer, str], None] = _ignore
    summarized: Callable[[AnswersSummary], None] = _ignore


NO_LISTENER = AnswerListener()


def recognize(
    personal: PersonalRecognizer,
    videos: Sequence[Path],
    *,
    video_options: VideoOptions = VideoOptions(),
    outputs: Outputs = Outputs(),
    listener: AnswerListener = NO_LISTENER,
    model: Mapping[str, Any] | None = None,
    engine: str | None = None,
) -> list[VideoAnswer]:
    """Answer every frame of some videos.

    Args:
        personal: the recognizer.
        videos: video files (a photo is a video of one frame), folders of frames as in a frame tree, and other folders
            and packed users, which are searched for these, see `videos_below`.
        video_options, outputs, listener: see their classes.
        model: the description of the recognizer for the JSON, see `describe_model`.
        engine: the engine that runs the extractor, see `choose_engine`.

    Returns:
        the answer for each video that could be read.

    Raises:
        UsageError: if a video is missing, or there are several to annotate.
        DataError: if a video can't be read (the others are still answered and written), or none can (nothing is
            written), or a folder has no videos.
    """
    for video in videos:
        if not (video.exists() or is_packed_place(video)):
            raise UsageError(f"{video}: no such video")
    videos = [found for video in videos for found in (videos_below(video) if is_folder_of_videos(video) else [video])]
    for video in videos:
        if not is_text(str(video)):
            raise UsageError(
                f"{str(video)!r}: the name is not UTF-8 text, so it can't be written to the outputs; rename the file"
            )
    if outputs.annotated and len(videos) != 1:
        raise UsageError(f"--annotated copies one video, and {len(videos)} are given; run it once for each")
    size = sum(map(_size_bytes, videos))
    name = choose_engine(personal.fitted.recognizer, engine, frames=round(size / BYTES_PER_FRAME))
    found: list[tuple[str, VideoAnswer]] = []
    failed: list[tuple[str, str]] = []
    with whole_table(outputs.csv) as table, StreamWorker() as worker:
        for video in videos:
            if len(videos) > 1:
                listener.began(str(video))
            try:
                with table.whole_video():
                    found.append(
                        (str(video), _recognize_video(personal, video, table, video_options, outputs, listener, worker))
                    )
            except DataError as error:
                if len(videos) == 1:
                    raise
                report_failed(_LOG, str(error), error)
                failed.append((str(video), str(error)))
        if not found:
            raise DataError(f"none of the {len(videos)} videos could be read; nothing was written")
    summary = AnswersSummary.of(found, failed=len(failed))
    if outputs.json:
        write_answers(
            outputs.json,
            found,
            failed,
            model=model or {},
            settings={**asdict(video_options), "engine": name},
            summary=summary,
        )
    if len(videos) > 1:
        listener.summarized(summary)
    if failed:
        names = ", ".join(name for name, _ in failed)
        raise DataError(f"{len(failed)} of {len(videos)} videos failed: {names}; the others were answered")
    return [answer for _, answer in found]


def frame_answers(
    personal: PersonalRecognizer, video: Path, video_options: VideoOptions, worker: StreamWorker
) -> Generator[FrameAnswer, None, None]:
    """Every frame's answer, in order, as soon as it is known; shows progress. `worker` reads the video.

    Raises:
        DataError: if the video can't be read, at the frame where this shows.
    """
    answerer = Answerer(personal.objects, personal.rejection.point, smooth_s=video_options.smooth_s)
    reading = batches_in_worker(worker, VideoJob(video, personal.frame_size_px, video_options.fps))
    personal.fitted.prepare()

    def scored(batch: FrameBatch) -> tuple[range, FrameScores]:
        return batch.numbers, personal.scores(to_images(batch.pictures, 1))

    at_once = personal.fitted.recognizer.engine.chunks_at_once
    with closing(_counted(reading, "frames answered")) as batches:
        for numbers, scores in map_in_order(scored, batches, at_once=at_once):
            times_s = [(number - 1) / video_options.fps for number in numbers]
            yield from answerer.answers(numbers, times_s, scores)


def _size_bytes(video: Path) -> int:
    """How many bytes there are to read; 0 if unknown, as for a user in an archive."""
    try:
        return sum(path.stat().st_size for path in video.iterdir()) if video.is_dir() else video.stat().st_size
    except OSError:
        return 0


def _recognize_video(
    personal: PersonalRecognizer,
    video: Path,
    table: FrameTable,
    video_options: VideoOptions,
    outputs: Outputs,
    listener: AnswerListener,
    worker: StreamWorker,
) -> VideoAnswer:
    started, name = time.monotonic(), str(video)
    tally, speech, captions = VideoTally(), Speech(), Captions()
    with closing(frame_answers(personal, video, video_options, worker)) as answers:
        for answer in answers:
            tally.add(answer)
            table.add(name, [answer])
            if outputs.annotated:
                captions.add(answer)
            if line := speech.line(answer):
                listener.changed(answer, line)
    if tally.frames == 1:  # a photo: no later frame can confirm the answer
        listener.changed(answer, spoken(answer.object, answer.kind))
    seconds = time.monotonic() - started
    found = tally.video_answer()
    listener.answered(name, found)
    _LOG.info("%s: answered in %s, %.3g frames per second", name, duration(seconds), found.frames / seconds)
    if outputs.annotated:
        _annotate(video, personal.frame_size_px, captions, video_options.fps, outputs.annotated, worker)
    return found


def _annotate(video: Path, frame_size_px: int, captions: Captions, fps: float, out: Path, worker: StreamWorker) -> None:
    """Write the copy with captions. It reads the video again, because the recognizer's frames are too small to view."""
    size_px = frame_size_px if is_stored(video) else SIDE_PX
    reading = batches_in_worker(worker, VideoJob(video, size_px, fps, stored=False))
    with closing(_counted(reading, "frames annotated")) as batches:
        annotate((picture for batch in batches for picture in batch.pictures), captions, out, fps=fps)


def _counted(reading: Generator[FrameBatch, None, None], unit: str) -> Generator[FrameBatch, None, None]:
    """Pass batches on and show progress; at the end, also close `reading`."""
    with closing(reading):
        first = next(reading)  # a video has at least one frame, or reading it raises
        with Progress(unit, first.total) as progress:
            for batch in chain([first], reading):
                yield batch
                progress.advance(len(batch.numbers))
