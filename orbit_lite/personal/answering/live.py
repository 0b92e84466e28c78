"""Answers a stream's frames as they arrive: reports each change, writes a growing table, and summarizes at the end.

Latency is measured from the moment a frame is complete in memory until its answer is written. In a live stream, a frame
waits at most for the one being processed, so latency stays below twice the time per frame, no matter how long it runs.
"""

import logging
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from groundwork.errors import DataError, KitError
from orbit_lite.data.loader import to_images
from orbit_lite.models.engines.choosing import choose_engine
from orbit_lite.personal.answering.answers import Answerer, FrameAnswer, VideoAnswer, VideoTally
from orbit_lite.personal.answering.frame_table import FrameTable, live_table
from orbit_lite.personal.answering.recognize import NO_LISTENER, AnswerListener, Outputs
from orbit_lite.personal.answering.report import write_answers
from orbit_lite.personal.answering.speech import Speech
from orbit_lite.personal.answering.streams import EveryFrame, LatestFrames, Source, StreamFrame, recognizer_square
from orbit_lite.personal.recognizer import PersonalRecognizer

_LOG = logging.getLogger("orbit_lite")

LONG_STREAM = 18_000  # frames; a stream is treated as long, so that a fast engine is chosen
MOST_MS = 10_000  # longer latencies are counted as this


class Latencies:
    """A histogram of latencies in whole milliseconds. Its size does not grow with the stream."""

    def __init__(self) -> None:
        """Begin without an answer."""
        self._counts = np.zeros(MOST_MS + 1, np.int64)

    def add(self, seconds: float) -> None:
        """Count one more latency."""
        self._counts[min(round(1000 * seconds), MOST_MS)] += 1

    def quantile_ms(self, share: float) -> int:
        """The latency that this share of the answers, in (0, 1], did not exceed; 0 without answers."""
        return int(np.searchsorted(self._counts.cumsum(), share * self._counts.sum()))


@dataclass(frozen=True)
class StreamReport:
    """How the recognizer kept up with a stream.

    answered, dropped: numbers of frames. frames_per_s: frames answered per second, counted from the first frame.
    latency_median_ms, latency_95_ms: 50 % and 95 % of the answers came within this time.
    """

    answered: int
    dropped: int
    frames_per_s: float
    latency_median_ms: int
    latency_95_ms: int

    def __str__(self) -> str:
        """One line."""
        return (
            f"{self.answered} frames answered, {self.dropped} dropped, {self.frames_per_s:.3g} per second; "
            f"latency {self.latency_median_ms} ms (median), {self.latency_95_ms} ms (95th percentile)"
        )


class StreamRun:
    """Answers one stream's frames and keeps counts."""

    def __init__(self, personal: PersonalRecognizer, *, smooth_s: float = 0.0) -> None:
        """Begin before the first frame."""
        self._personal = personal
        self._answerer = Answerer(personal.objects, personal.rejection.point, smooth_s=smooth_s)
        self._latencies = Latencies()
        self._first_s = self._last_s = 0.0
        self.tally = VideoTally()

    def answer(self, frame: StreamFrame) -> FrameAnswer:
        """Answer the next frame."""
        square = recognizer_square(frame.picture, self._personal.frame_size_px)
        scores = self._personal.scores(to_images(square[None], 1))
        (answer,) = self._answerer.answers([frame.number], [frame.time_s], scores)
        return answer

    def count(self, frame: StreamFrame, answer: FrameAnswer) -> None:
        """Count an answer that has just been written."""
        self._last_s = time.monotonic()
        if not self.tally.frames:
            self._first_s = frame.arrived_s
        self._latencies.add(self._last_s - frame.arrived_s)
        self.tally.add(answer)

    def report(self, *, dropped: int) -> StreamReport:
        """The report so far; needs at least one counted frame."""
        answered = self.tally.frames
        rate = answered / max(self._last_s - self._first_s, 1e-9)
        median_ms, most_ms = (self._latencies.quantile_ms(share) for share in (0.5, 0.95))
        return StreamReport(answered, dropped, rate, median_ms, most_ms)


def recognize_stream(
    personal: PersonalRecognizer,
    source: Source,
    *,
    live: bool,
    outputs: Outputs,
    listener: AnswerListener = NO_LISTENER,
    smooth_s: float = 0.0,
    model: Mapping[str, Any] | None = None,
) -> tuple[VideoAnswer, StreamReport]:
    """Answer a stream's frames until it ends or is stopped by Ctrl-C; in both cases, write the summary.

    Args:
        personal: the recognizer.
        source: where the frames come from; it is closed at the end.
        live: always take the latest frame and drop those that came in between; otherwise answer every frame.
        outputs: `csv` grows as frames are answered, see `live_table`; `json` is written at the end.
        listener: called as answers come; the stream counts as one video.
        smooth_s: time constant of the smoothing; 0 for none.
        model: the description of the recognizer for the JSON, see `describe_model`.

    Raises:
        DataError: if no frame arrives, or the stream breaks off.
        KeyboardInterrupt: if it was stopped.
    """
    run, speech = StreamRun(personal, smooth_s=smooth_s), Speech()
    reader = LatestFrames(source) if live else EveryFrame(source)
    ended: BaseException | None = None
    try:
        with reader as frames, ExitStack() as stack:
            table: FrameTable | None = None
            for frame in frames:
                if table is None:  # opened only once a frame has come, because it replaces an older table
                    table = stack.enter_context(live_table(outputs.csv))
                answer = run.answer(frame)
                table.add(source.name, [answer])
                if line := speech.line(answer):
                    listener.changed(answer, line)
                run.count(frame, answer)
        if fault := source.end_fault():
            raise DataError(fault)
    except (KeyboardInterrupt, KitError, BrokenPipeError) as stop:  # BrokenPipeError: the reader has gone
        if not run.tally.frames:
            raise
        ended = stop
    found, report = run.tally.video_answer(), run.report(dropped=reader.dropped)
    listener.answered(source.name, found)
    _LOG.info("%s: %s", source.name, report)
    if outputs.json:
        engine = personal.fitted.recognizer.engine.name
        settings = {"smooth_s": smooth_s, "live": live, "engine": engine, **asdict(report)}
        write_answers(outputs.json, [(source.name, found)], model=model or {}, settings=settings)
    if ended:
        raise ended
    return found, report


def warm_up(personal: PersonalRecognizer, *, engine: str | None = None) -> None:
    """Choose the engine without measuring (see `choose_engine`), because a stream does not wait, and recognize a blank
    frame, because the first frame takes several times as long as later ones."""
    choose_engine(personal.fitted.recognizer, engine, frames=LONG_STREAM, measure=False)
    size_px = personal.frame_size_px
    personal.scores(torch.zeros(1, 3, size_px, size_px, dtype=torch.uint8))
