"""A camera's frames to answers, one after the other: the newest frame wins, and the threshold moves at once.

What `recognize --camera` does, with frames from a browser, and with a threshold that may change meanwhile.
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
from orbit_lite.personal.answering.streams import seen_square
from orbit_lite.personal.decision.rejection import OperatingPoint
from orbit_lite.personal.recognizer import FrameScores, PersonalRecognizer
from orbit_lite.studio.wording import wording

SMOOTH_S = 0.3  # a single odd frame is not to be read out
LONGEST_SIDE_PX = 2048
MOST_BYTES = 1 << 20


@dataclass(frozen=True)
class LiveAnswer:
    """An answer, and what to say if what is seen has changed."""

    answer: FrameAnswer
    say: str | None


class LiveSession:
    """One stream's answers. `answer` is called from one thread at a time; `at` from any."""

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
        """The threshold that holds."""
        return self._point

    def warm_up(self) -> None:
        """Answer a blank frame: the first one takes several times as long as those after it."""
        warm_up(self._personal)

    def answer(self, number: int, jpeg: bytes) -> LiveAnswer:
        """What a frame shows.

        Args:
            number: of the frame, rising.
            jpeg: its picture; the central square is looked at.

        Raises:
            DataError: if it is no JPEG, or too large.
        """
        square = seen_square(decode_jpeg(small_jpeg(jpeg)), self._personal.frame_size_px)
        scores = self._personal.scores(to_images(square[None], 1))
        time_s = time.monotonic() - self._started_s
        self._last = number, time_s, self._smoothed(time_s, scores)
        answer = self._answered()
        return LiveAnswer(answer, self._speech.line(answer))

    def at(self, aim: float) -> FrameAnswer | None:
        """Move the threshold to the point of the curve that is nearest to an aim in (0, 1), and answer the last frame
        again by it; None before the first."""
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
    """The same, if it is a JPEG of a size that a page sends; its header alone is read.

    Raises:
        DataError: if not.
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
