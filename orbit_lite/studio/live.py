"""Answers a browser camera's frames one after the other, always the newest, with a threshold that can change at any
time.

It does the same as `recognize --camera`, but with frames from a browser and an adjustable threshold.
"""

import io
import time
from dataclasses import dataclass

import numpy as np
from PIL import Image

from data_prep.video import decode_jpeg
from groundwork.errors import DataError
from orbit_lite.data.loader import to_images
from orbit_lite.personal.answering.answers import Answerer, FrameAnswer, RunningAverage
from orbit_lite.personal.answering.live import warm_up
from orbit_lite.personal.answering.speech import Speech
from orbit_lite.personal.answering.streams import recognizer_square
from orbit_lite.personal.decision.rejection import OperatingPoint
from orbit_lite.personal.recognizer import FrameScores, PersonalRecognizer
from orbit_lite.studio.wording import wording

SMOOTH_S = 0.3  # so that a single deviating frame is not read aloud
LONGEST_SIDE_PX = 2048
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LiveAnswer:
    """An answer, and the line to speak if the object in view has changed."""

    answer: FrameAnswer
    say: str | None


class LiveSession:
    """Answers one stream. Call `answer` from one thread at a time; `at` can be called from any."""

    def __init__(self, personal: PersonalRecognizer, *, smooth_s: float = SMOOTH_S) -> None:
        """Begin before the first frame, with the recognizer's own threshold."""
        self._personal = personal
        self._point = personal.rejection.point
        self._average = RunningAverage(smooth_s)
        self._speech = Speech()
        self._last: tuple[int, float, FrameScores] | None = None
        self._started_s = time.monotonic()

    @property
    def point(self) -> OperatingPoint:
        """The operating point in use."""
        return self._point

    def warm_up(self) -> None:
        """Answer a blank frame, because the first frame takes several times as long as later ones."""
        warm_up(self._personal)

    def answer(self, number: int, jpeg: bytes) -> LiveAnswer:
        """Answer a frame.

        Args:
            number: the frame's number, increasing.
            jpeg: its picture, of which the central square is used.

        Raises:
            DataError: if it is not a JPEG, or too large.
        """
        square = recognizer_square(decode_jpeg(small_jpeg(jpeg)), self._personal.frame_size_px)
        scores = self._personal.scores(to_images(square[None], 1))
        time_s = time.monotonic() - self._started_s
        self._last = number, time_s, self._smoothed(time_s, scores)
        answer = self._answered()
        return LiveAnswer(answer, self._speech.line(answer))

    def at(self, aim: float) -> FrameAnswer | None:
        """Set the threshold to the point of the curve nearest to an aim in (0, 1), and answer the last frame again with
        it; None before the first frame."""
        curve = self._personal.rejection.curve
        if curve:
            self._point = min(curve, key=lambda point: abs((point.aim or 0.0) - aim))
        return self._answered() if self._last else None

    def _smoothed(self, time_s: float, scores: FrameScores) -> FrameScores:
        value = np.concatenate([scores.probabilities[0], scores.familiarity], dtype=np.float64)
        mean = self._average.next(time_s, value)
        return FrameScores(mean[None, :-1], mean[-1:])

    def _answered(self) -> FrameAnswer:
        if self._last is None:
            raise ValueError("no frame to answer for")
        number, time_s, scores = self._last
        (answer,) = Answerer(self._personal.objects, self._point).answers([number], [time_s], scores)
        return answer


def small_jpeg(content: bytes) -> bytes:
    """Return the content if it is a JPEG of an allowed size; only its header is read.

    Raises:
        DataError: if it is not.
    """
    if len(content) > MOST_BYTES:
        raise DataError(wording()("live.frame_bytes", count=len(content), most=MOST_BYTES))
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG"]) as picture:
            size = picture.size
    except (OSError, ValueError, SyntaxError):
        raise DataError(wording()("live.frame_kind")) from None
    if max(size) > LONGEST_SIDE_PX:
        raise DataError(wording()("live.frame_side", width=size[0], height=size[1], most=LONGEST_SIDE_PX))
    return content
