"""A personal recognizer's answers among predictions: what kind each one is, and what many of them come to."""

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
    """What a frame's answer is. ILLEGAL: neither the predicted object, with or without a "maybe", nor none of these."""

    ILLEGAL = -1
    SURE = 0
    MAYBE = 1
    NONE = 2


Kinds = NDArray[np.int8]  # of AnswerKind


class Answers(Strict):
    """Shares of frames, means over the videos of all tasks.

    right, wrong: of frames whose answer names an object, with or without a "maybe". none: of frames answered with none
    of these. The three add up to 1. unsure: of frames whose answer has a "maybe"; they are among right and wrong.
    """

    right: Fraction
    wrong: Fraction
    none: Fraction
    unsure: Fraction

    @model_validator(mode="after")
    def _add_up(self) -> Self:
        if abs(self.right + self.wrong + self.none - 1) > ROUNDING:
            raise ValueError("right, wrong and none don't add up to 1")
        if self.unsure > self.right + self.wrong + ROUNDING:
            raise ValueError("more answers have a 'maybe' than name an object")
        return self


class AnswerPoint(Strict):
    """One strictness that a personal file can have: what it promises, and what came of it on the videos scored.

    aim: share of the objects' own frames that may be answered with none of these. misses: the share that was, of frames
    held out when it was taught. false_alarms: share of frames of things never taught that would be called one of the
    objects, as estimated then. None where not known.
    """

    aim: Fraction | None = None
    misses: Fraction | None = None
    false_alarms: Fraction | None = None
    answers: Answers


class AnswersCurve(Strict):
    """A personal file's whole range of strictness, from the fewest none of these to the most.

    strictness: what the one that holds is called, or what was asked for. chosen: its place among the points.
    """

    strictness: str
    chosen: Count
    points: tuple[AnswerPoint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _one_is_chosen(self) -> Self:
        if self.chosen >= len(self.points):
            raise ValueError(f"point {self.chosen} is chosen, of {len(self.points)}")
        return self


def answer_kinds(tasks: tuple[Task, ...], place: NDArray[np.int64], predictions: pd.DataFrame) -> Kinds:
    """What kind each row's answer is.

    Args:
        tasks: the tasks.
        place: of each row's task among them, shape (rows,).
        predictions: columns of PREDICTION_COLUMNS and `answer`; every prediction is an index into its task's objects.

    Returns:
        shape (rows,).
    """
    written = predictions[ANSWER].astype("category").cat
    codes, code_of = written.codes.to_numpy(), {text: code for code, text in enumerate(written.categories)}
    first = np.cumsum([0, *(task.way for task in tasks)])
    named = first[place] + predictions["prediction"].to_numpy()  # the place of its object among all tasks' objects
    kinds = np.full(len(predictions), AnswerKind.ILLEGAL, dtype=np.int8)
    for kind, text in ((AnswerKind.SURE, sure_text), (AnswerKind.MAYBE, maybe_text)):
        expected = np.array([code_of.get(text(thing), -2) for task in tasks for thing in task.objects])
        kinds[codes == expected[named]] = kind
    kinds[codes == code_of.get(NONE_OF_THESE, -2)] = AnswerKind.NONE
    return kinds


def answer_shares(kinds: Kinds, right: NDArray[np.bool_], counts: NDArray[np.integer]) -> Answers:
    """Shares of frames, mean over videos.

    Args:
        kinds: of each frame's answer, none of them ILLEGAL, one video after the other, shape (frames,).
        right: whether each frame's prediction is right, shape (frames,).
        counts: frames of each video, 1 or more, shape (videos,).
    """
    named = kinds != AnswerKind.NONE
    starts = np.cumsum(counts) - counts

    def mean(frames: NDArray[np.bool_]) -> float:
        return float(np.mean(np.add.reduceat(frames, starts, dtype=np.int64) / counts))

    none = mean(~named)
    return Answers(
        right=mean(named & right), wrong=mean(named & ~right), none=none, unsure=mean(kinds == AnswerKind.MAYBE)
    )
