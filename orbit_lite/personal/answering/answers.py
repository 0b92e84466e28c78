"""Answers from frame scores: an object, maybe an object, or none of these; smoothed over time; and for whole videos."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.formats.answer_text import NONE_OF_THESE, maybe_text, sure_text
from orbit_lite.personal.decision.rejection import Certainty, OperatingPoint
from orbit_lite.personal.recognizer import FrameScores


@dataclass(frozen=True)
class FrameAnswer:
    """The answer for one frame.

    frame: its number, from 1. time_s: seconds since the first frame. kind: whether the answer is an object, an object
    with a "maybe", or none of these. label: the answer's class; the class of "none of these" follows those of all
    objects. object: the object's name, or NONE_OF_THESE. confidence: calibrated probability of the likeliest object, in
    [0, 1]. likeliest: that object's name, even if the answer is none of these. familiarity: see `Familiarity`.
    """

    frame: int
    time_s: float
    kind: Certainty
    label: int
    object: str
    confidence: float
    likeliest: str
    familiarity: float

    @property
    def known(self) -> bool:
        """Whether the answer names an object, with or without a "maybe"."""
        return self.kind is not Certainty.NONE

    @property
    def text(self) -> str:
        """The answer as written: see `answer_text`."""
        return answer_text(self.object, self.kind)


def answer_text(thing: str, kind: Certainty) -> str:
    """`mug`, `maybe mug`, or `none of these`; a name that reads like another answer is put in quotes."""
    if kind is Certainty.NONE:
        return NONE_OF_THESE
    return maybe_text(thing) if kind is Certainty.MAYBE else sure_text(thing)


class Answerer:
    """Turns the scores of one video or stream into answers, in time order. Its state has a fixed size.

    An answer depends only on its frame and earlier ones.
    """

    def __init__(self, objects: Sequence[str], point: OperatingPoint, *, smooth_s: float = 0.0) -> None:
        """Begin before the first frame.

        Args:
            objects: names of the classes.
            point: when an object is named, and when without a "maybe".
            smooth_s: time constant of the smoothing, in seconds; 0 answers each frame by itself.
        """
        self._names = (*objects, NONE_OF_THESE)
        self._point = point
        self._average = RunningAverage(smooth_s)

    def answers(self, frames: Sequence[int], times_s: Sequence[float], scores: FrameScores) -> Iterator[FrameAnswer]:
        """Answer the next frames.

        Args:
            frames: frame numbers, (m,).
            times_s: seconds since the first frame, never decreasing, (m,).
            scores: the scores of these frames.
        """
        values = np.concatenate([scores.probabilities, scores.familiarity[:, None]], axis=1, dtype=np.float64)
        for frame, time_s, value in zip(frames, times_s, values, strict=True):
            *probabilities, familiarity = self._average.next(time_s, value).tolist()
            likeliest = int(np.argmax(probabilities))
            confidence = probabilities[likeliest]
            kind = self._point.kind(familiarity, confidence)
            label = len(probabilities) if kind is Certainty.NONE else likeliest
            yield FrameAnswer(
                frame=frame,
                time_s=time_s,
                kind=kind,
                label=label,
                object=self._names[label],
                confidence=confidence,
                likeliest=self._names[likeliest],
                familiarity=familiarity,
            )


class RunningAverage:
    """Weighted mean of this value and earlier ones. A value that is t seconds old has weight exp(-t / constant_s).

    The weights are normalized, so the first values are not favored. A gap needs no special treatment: values before it
    are just older.
    """

    def __init__(self, constant_s: float) -> None:
        """Begin without a value. `constant_s` >= 0; 0 gives each value as it is."""
        self._constant_s = constant_s
        self._sum: NDArray[np.float64] | None = None
        self._weight = 0.0
        self._time_s = 0.0

    def next(self, time_s: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Add the latest value and return the mean at its time."""
        if self._constant_s == 0:
            return value
        if self._sum is None:
            self._sum, self._weight = value.copy(), 1.0
        else:
            fade = math.exp(-(time_s - self._time_s) / self._constant_s)
            self._sum = self._sum * fade + value
            self._weight = self._weight * fade + 1.0
        self._time_s = time_s
        return self._sum / self._weight


@dataclass(frozen=True)
class VideoAnswer:
    """The answer for a whole video: the most frequent answer of its frames, sure or not. Ties go to the lowest class,
    as in eval.metrics.video_accuracy; the class of "none of these" follows those of all objects.

    object: the object's name, or NONE_OF_THESE. kind: MAYBE if more than half of the frames that name the object do so
    with a "maybe". frames: number of frames answered. first_frame, first_s: where the object was first named. share:
    share of frames that name it, in [0, 1]. confidence: mean confidence of those frames; None for "none of these",
    which is decided by familiarity. frames_by_answer: each answer, as `answer_text` writes it, with its number of
    frames, most frequent first.
    """

    object: str
    kind: Certainty
    frames: int
    first_frame: int
    first_s: float
    share: float
    confidence: float | None
    frames_by_answer: tuple[tuple[str, int], ...]

    @property
    def text(self) -> str:
        """The answer as written: see `answer_text`."""
        return answer_text(self.object, self.kind)


class VideoTally:
    """Counts one video's answers. Its size depends only on the number of objects."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._counts: Counter[tuple[int, Certainty]] = Counter()
        self._confidence: defaultdict[int, float] = defaultdict(float)
        self._firsts: dict[int, FrameAnswer] = {}

    @property
    def frames(self) -> int:
        """Number of frames counted."""
        return self._counts.total()

    def add(self, answer: FrameAnswer) -> None:
        """Count the next frame's answer."""
        self._counts[answer.label, answer.kind] += 1
        self._confidence[answer.label] += answer.confidence
        self._firsts.setdefault(answer.label, answer)

    def video_answer(self) -> VideoAnswer:
        """The video's answer from the frames counted so far. Raises ValueError if there are none."""
        if not self._counts:
            raise ValueError("no frame to answer for")
        of_label = Counter[int]()
        for (label, _), count in self._counts.items():
            of_label[label] += count
        label = min(of_label, key=lambda label: (-of_label[label], label))
        first, count = self._firsts[label], of_label[label]
        unsure = self._counts[label, Certainty.MAYBE]
        kind = Certainty.MAYBE if 2 * unsure > count else Certainty.SURE
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return VideoAnswer(
            object=first.object,
            kind=kind if first.known else Certainty.NONE,
            frames=self.frames,
            first_frame=first.frame,
            first_s=first.time_s,
            share=count / self.frames,
            confidence=self._confidence[label] / count if first.known else None,
            frames_by_answer=tuple(
                (answer_text(self._firsts[label].object, kind), count) for (label, kind), count in ordered
            ),
        )
