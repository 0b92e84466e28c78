"""A personal recognizer's answers in predictions: the kind of each answer, and shares of each kind."""

from enum import IntEnum
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from eval.formats.answer_text import NONE_OF_THESE, maybe_text, sure_text
from eval.formats.quantities import Count, Fraction
from eval.formats.tasks import Task
from groundwork.strict_model import Strict

ANSWER = "answer"  # the column
ROUNDING = 1e-6


class AnswerKind(IntEnum):
    """The kind of a frame's answer. ILLEGAL: neither the predicted object, with or without a "maybe", nor none of
    these."""

    ILLEGAL = -1
    SURE = 0
    MAYBE = 1
    NONE = 2


Kinds = NDArray[np.int8]  # values of AnswerKind


class Answers(Strict):
    """Shares of frames, means over the videos of all tasks.

    right, wrong: frames whose answer names an object, with or without a "maybe".
    none: frames answered with none of these; the three shares sum to 1.
    unsure: frames whose answer has a "maybe"; these also count as right or wrong.
    """

    right: Fraction
    wrong: Fraction
    none: Fraction
    unsure: Fraction

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.right + self.wrong + self.none - 1) > ROUNDING:
            raise ValueError("right, wrong and none don't sum to 1")
        if self.unsure > self.right + self.wrong + ROUNDING:
            raise ValueError("more answers have a 'maybe' than name an object")
        return self


class AnswerPoint(Strict):
    """One strictness setting of a personal file: its promises, and the results on the scored videos.

    aim: the share of the objects' own frames that may be answered with none of these.
    misses: that share for the frames held out when it was taught.
    false_alarms: the share of frames of unknown objects that would be named as one of the objects, as estimated then.
        None if unknown.
    """

    aim: Fraction | None = None
    misses: Fraction | None = None
    false_alarms: Fraction | None = None
    answers: Answers


class AnswersCurve(Strict):
    """All strictness settings of a personal file, from the fewest answers of none of these to the most.

    strictness: the name of the chosen setting, or the requested value.
    chosen: its index among the points.
    """

    strictness: str
    chosen: Count
    points: tuple[AnswerPoint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_is_chosen(self) -> Self:
        if self.chosen >= len(self.points):
            raise ValueError(f"chosen point {self.chosen} is not among the {len(self.points)} points")
        return self


def answer_kinds(tasks: tuple[Task, ...], place: NDArray[np.int64], predictions: pd.DataFrame) -> Kinds:
    """The kind of each row's answer.

    Args:
        tasks: the tasks.
        place: the index of each row's task, shape (rows,).
        predictions: columns of PREDICTION_COLUMNS and `answer`; every prediction is an index into its task's objects.

    Returns:
        shape (rows,).
    """
    written = predictions[ANSWER].astype("category").cat
    codes, code_of = written.codes.to_numpy(), {text: code for code, text in enumerate(written.categories)}
    first = np.cumsum([0, *(task.way for task in tasks)])
    named = first[place] + predictions["prediction"].to_numpy()  # index of its object among all tasks' objects
    kinds = np.full(len(predictions), AnswerKind.ILLEGAL, dtype=np.int8)
    for kind, text in ((AnswerKind.SURE, sure_text), (AnswerKind.MAYBE, maybe_text)):
        expected = np.array([code_of.get(text(thing), -2) for task in tasks for thing in task.objects])
        kinds[codes == expected[named]] = kind
    kinds[codes == code_of.get(NONE_OF_THESE, -2)] = AnswerKind.NONE
    return kinds


def answer_shares(kinds: Kinds, right: NDArray[np.bool_], counts: NDArray[np.integer]) -> Answers:
    """Shares of frames, as means over videos.

    Args:
        kinds: the kind of each frame's answer, never ILLEGAL, videos concatenated, shape (frames,).
        right: whether each frame's prediction is right, shape (frames,).
        counts: the number of frames of each video, at least 1, shape (videos,).
    """
    named = kinds != AnswerKind.NONE
    starts = np.cumsum(counts) - counts

    def mean(frames: NDArray[np.bool_]) -> float:
        return float(np.mean(np.add.reduceat(frames, starts, dtype=np.int64) / counts))

    none = mean(~named)
    return Answers(
        right=mean(named & right), wrong=mean(named & ~right), none=none, unsure=mean(kinds == AnswerKind.MAYBE)
    )
