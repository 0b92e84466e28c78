"""What a frame's scores say: an object, perhaps an object, or none of them; smoothed over time; and a whole video's."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from eval.formats.answer_text import NONE_OF_THESE, maybe_text, sure_text
from orbit_lite.personal.decision.rejection import Kind, OperatingPoint
from orbit_lite.personal.recognizer import FrameScores


@dataclass(frozen=True)
class FrameAnswer:
    """What is in one frame.

    frame: its number, from 1. time_s: since the first frame. kind: whether the answer is an object, an object with a
    "maybe", or none of these. label: its class; none of these comes after all objects. object: its name, or
    NONE_OF_THESE. confidence: calibrated probability of the likeliest object, in [0, 1]. likeliest: that object's name,
    whatever the answer. familiarity: see `Familiarity`.
    """

    frame: int
    time_s: float
    kind: Kind
    label: int
    object: str
    confidence: float
    likeliest: str
    familiarity: float

    @property
    def known(self) -> bool:
        """Whether the answer names an object, with or without a "maybe"."""
        return self.kind is not Kind.NONE

    @property
    def text(self) -> str:
        """The answer as written: see `answer_text`."""
        return answer_text(self.object, self.kind)


def answer_text(thing: str, kind: Kind) -> str:
    """`mug`, `maybe mug`, or `none of these`; an object whose name reads like another answer stands in quotes."""
    if kind is Kind.NONE:
        return NONE_OF_THESE
    return maybe_text(thing) if kind is Kind.MAYBE else sure_text(thing)


class Answerer:
    """One video's or stream's scores to answers, in the order of time; its state does not grow.

    An answer depends on its frame and earlier ones alone.
    """

    def __init__(self, objects: Sequence[str], point: OperatingPoint, *, smooth_s: float = 0.0) -> None:
        """Begin before the first frame.

        Args:
            objects: names of the classes.
            point: when an object is named, and when without a "maybe".
            smooth_s: time constant of the smoothing, in seconds; 0 takes each frame by itself.
        """
        self._names = (*objects, NONE_OF_THESE)
        self._point = point
        self._average = RunningAverage(smooth_s)

    def answers(self, frames: Sequence[int], times_s: Sequence[float], scores: FrameScores) -> Iterator[FrameAnswer]:
        """The next frames' answers.

        Args:
            frames: numbers, (m,). times_s: since the first frame, never falling, (m,). scores: of m frames.
        """
        values = np.concatenate([scores.probabilities, scores.familiarity[:, None]], axis=1, dtype=np.float64)
        for frame, time_s, value in zip(frames, times_s, values, strict=True):
            *probabilities, familiarity = self._average.next(time_s, value).tolist()
            likeliest = int(np.argmax(probabilities))
            confidence = probabilities[likeliest]
            kind = self._point.kind(familiarity, confidence)
            label = len(probabilities) if kind is Kind.NONE else likeliest
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
    """Mean over this value and earlier ones, one that is t seconds old weighing exp(-t / constant_s).

    The weights are divided by their sum, so that the first values are not favored, and a gap needs no care: what lies
    before it is older, no more.
    """

    def __init__(self, constant_s: float) -> None:
        """Begin without a value. `constant_s` >= 0; 0 gives each value as it is."""
        self._constant_s = constant_s
        self._sum: NDArray[np.float64] | None = None
        self._weight = 0.0
        self._time_s = 0.0

    def next(self, time_s: float, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean at the time of a value, which comes last of all so far."""
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
    """What a whole video shows: the most frequent answer of its frames, sure or not. Ties go to the lowest class, as
    eval.metrics.video_accuracy has it; none of these comes after all objects.

    object: its name, or NONE_OF_THESE. kind: MAYBE where more than half of the frames that name the object do so with a
    "maybe". frames: how many were answered. first_frame, first_s: where the object was first named. share: of the
    frames that name it, in [0, 1]. confidence: their mean one; None where the answer is none of these, for that rests
    on familiarity. frames_by_answer: each answer, as `answer_text` writes it, and its frames, most first.
    """

    object: str
    kind: Kind
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
    """Counts one video's answers. Its size depends on the number of objects alone."""

    def __init__(self) -> None:
        """Begin without a frame."""
        self._counts: Counter[tuple[int, Kind]] = Counter()
        self._confidence: defaultdict[int, float] = defaultdict(float)
        self._firsts: dict[int, FrameAnswer] = {}

    @property
    def frames(self) -> int:
        """How many were counted."""
        return self._counts.total()

    def add(self, answer: FrameAnswer) -> None:
        """Count the next frame's answer."""
        self._counts[answer.label, answer.kind] += 1
        self._confidence[answer.label] += answer.confidence
        self._firsts.setdefault(answer.label, answer)

    def video_answer(self) -> VideoAnswer:
        """What the frames counted so far say. Raises ValueError if there is none."""
        if not self._counts:
            raise ValueError("no frame to answer for")
        of_label = Counter[int]()
        for (label, _), count in self._counts.items():
            of_label[label] += count
        label = min(of_label, key=lambda label: (-of_label[label], label))
        first, count = self._firsts[label], of_label[label]
        unsure = self._counts[label, Kind.MAYBE]
        kind = Kind.MAYBE if 2 * unsure > count else Kind.SURE
        ordered = sorted(self._counts.items(), key=lambda item: (-item[1], item[0]))
        return VideoAnswer(
            object=first.object,
            kind=kind if first.known else Kind.NONE,
            frames=self.frames,
            first_frame=first.frame,
            first_s=first.time_s,
            share=count / self.frames,
            confidence=self._confidence[label] / count if first.known else None,
            frames_by_answer=tuple(
                (answer_text(self._firsts[label].object, kind), count) for (label, kind), count in ordered
            ),
        )
