"""Decides when the answer is none of these, and when an object is named only with a "maybe"."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic.dataclasses import dataclass as checked_dataclass

from groundwork.errors import UsageError
from groundwork.strict_model import NOTHING_UNKNOWN
from orbit_lite.personal.decision.familiarity import weights_by_video

# The share of the objects' own frames that may be answered "none of these" in a new place.
STRICTNESS = {"careful": 0.20, "balanced": 0.10, "eager": 0.05}
DEFAULT_STRICTNESS: Final = "balanced"
CURVE_AIMS = tuple(percent / 100 for percent in range(1, 51))
# An answer has no "maybe" if its confidence is at least this, and its familiarity passes a threshold that is
# SURE_FACTOR times as strict. Chosen on five users' photos so that 95 % of such answers are right and 99 % of things of
# another kind get none, even if only two objects are known.
SURE_CONFIDENCE, SURE_FACTOR = 0.7, 1.5


class Certainty(StrEnum):
    """How certain an answer is: an object, an object with a "maybe", or none of these."""

    SURE = "sure"
    MAYBE = "maybe"
    NONE = "none"


@checked_dataclass(frozen=True, config=NOTHING_UNKNOWN)
class OperatingPoint:
    """One threshold and its estimated error rates.

    aim: share of the objects' own frames that may be refused in a new place; None if nothing was held out. threshold:
    lowest familiarity of an object; None refuses nothing. sure_threshold: lowest familiarity of an object named without
    "maybe"; None for never. misses: share of the objects' held-out frames refused, by thresholds set without the
    frames' own video. false_alarms: share of frames of similar, untaught things that get an object's name, with or
    without "maybe"; None if it can't be estimated.
    """

    aim: float | None
    threshold: float | None
    sure_threshold: float | None
    misses: float | None = None
    false_alarms: float | None = None

    def kind(self, familiarity: float, confidence: float) -> Certainty:
        """Decide the answer for a frame, or for a mean over frames."""
        if self.threshold is not None and familiarity < self.threshold:
            return Certainty.NONE
        sure = self.sure_threshold is not None and familiarity >= self.sure_threshold
        return Certainty.SURE if sure and confidence >= SURE_CONFIDENCE else Certainty.MAYBE


UNTESTED = OperatingPoint(None, None, None)  # nothing was held out: every answer is a "maybe", and nothing is refused


@checked_dataclass(frozen=True, config=NOTHING_UNKNOWN)
class Rejection:
    """When to answer "none of these": the chosen operating point, and the curve it was chosen from.

    curve: operating points, by increasing aim; empty if nothing could be held out. otherwise: the point used without a
    curve. strictness: a key of STRICTNESS; "" if `asked` is used. asked: the highest share of false alarms among
    similar things; None if not requested. auroc: how well familiarity separates held-out frames of the objects from
    frames of similar things, where 0.5 is chance; None if it can't be estimated. videos, frames: numbers held out.
    """

    curve: tuple[OperatingPoint, ...] = ()
    otherwise: OperatingPoint = UNTESTED
    strictness: Literal["careful", "balanced", "eager", ""] = DEFAULT_STRICTNESS
    asked: float | None = None
    auroc: float | None = None
    videos: int = 0
    frames: int = 0

    @property
    def point(self) -> OperatingPoint:
        """The operating point in use."""
        if not self.curve:
            return self.otherwise
        if self.asked is None:
            aim = STRICTNESS.get(self.strictness, STRICTNESS[DEFAULT_STRICTNESS])
            return min(self.curve, key=lambda point: abs((point.aim or 0.0) - aim))
        few = [point for point in self.curve if point.false_alarms is not None and point.false_alarms <= self.asked]
        return few[0] if few else self.curve[-1]

    @property
    def promised_misses(self) -> float | None:
        """The share of the objects' own frames that the point may refuse in a new place; None if nothing was held out.

        It is the point's aim, but at least 1 / (held-out videos + 1), the probability that a new video is less familiar
        than all of them."""
        aim = self.point.aim
        return None if aim is None else max(aim, 1 / (self.videos + 1))

    @property
    def least_false_alarms(self) -> float | None:
        """The lowest share of false alarms of any point of the curve; None if unknown."""
        return min((point.false_alarms for point in self.curve if point.false_alarms is not None), default=None)

    def at(self, strictness: str) -> "Rejection":
        """Choose another strictness on the same curve.

        Raises:
            UsageError: if the name is unknown, or there is no curve.
        """
        if strictness not in STRICTNESS:
            raise UsageError(f"strictness {strictness!r}; expected one of {', '.join(STRICTNESS)}")
        if not self.curve:
            raise UsageError(
                f"strictness {strictness!r} can't be chosen: no object had two videos, so none could be held out "
                "to set a threshold; teach at least one object with a second video"
            )
        chosen: Any = strictness  # one of the names above, checked by the record
        return replace(self, strictness=chosen, asked=None)

    def asking(self, false_alarms: float) -> "Rejection":
        """Choose the point that keeps the most right answers with at most this share of false alarms.

        Raises:
            UsageError: if the curve has no such point, with the lowest share that it has.
        """
        least = self.least_false_alarms
        if least is None:
            raise UsageError(
                f"--false-alarms {false_alarms:g}: how often another thing gets an object's name can't be estimated; "
                "this takes three objects with two videos each. Choose a --strictness instead"
            )
        if least > false_alarms:
            raise UsageError(
                f"--false-alarms {false_alarms:g}: the lowest share that these videos can promise is {least:.2f}; "
                "give at least that share, or choose a --strictness"
            )
        return replace(self, strictness="", asked=false_alarms)


@dataclass(frozen=True, eq=False)
class HeldOutFamiliarity:
    """Familiarity of held-out frames of known objects, (f,), f >= 1, and each frame's video, (f,)."""

    values: NDArray[np.float64]
    videos: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many videos."""
        return len(np.unique(self.videos))

    def thresholds(self, aims: Sequence[float]) -> NDArray[np.float64]:
        """For each aim, the threshold that refuses at most this share of a new video's frames, on average over videos.

        This is conformal prediction for groups: the quantile is below the aim by as much as one more video may shift
        it. If one more video may shift it by more than the aim, the threshold is the least familiar frame, and at most
        one in (videos + 1) videos is refused.

        Source: Vovk, Gammerman and Shafer 2005, section 2.2; for groups, Dunn, Wasserman and Ramdas 2023, section 4.1.
        """
        groups = self.count
        return lower_quantiles(self, [max(0.0, (aim * (groups + 1) - 1) / groups) for aim in aims])

    def sure_thresholds(self, aims: Sequence[float]) -> NDArray[np.float64]:
        """For each aim, the plain quantile at SURE_FACTOR times the aim, but not below the threshold."""
        return np.maximum(self.thresholds(aims), lower_quantiles(self, [SURE_FACTOR * aim for aim in aims]))

    def without(self, video: int) -> "HeldOutFamiliarity":
        """The frames of all other videos."""
        kept = self.videos != video
        return HeldOutFamiliarity(self.values[kept], self.videos[kept])


def lower_quantiles(known: HeldOutFamiliarity, shares: Sequence[float]) -> NDArray[np.float64]:
    """For each share in [0, 1), the largest value with at most this share of the frames below it; each video weighs
    1."""
    order = np.argsort(known.values, kind="stable")
    ranked, weights = known.values[order], weights_by_video(known.videos)[order]
    before = np.concatenate([[0.0], np.cumsum(weights)[:-1]]) / weights.sum()
    return np.asarray(ranked[np.searchsorted(before, np.asarray(shares) + 1e-9, side="right") - 1])


def cross_fitted_refusals(known: HeldOutFamiliarity, aims: Sequence[float]) -> NDArray[np.bool_] | None:
    """Which frames are refused for each aim, bool (f, aims), by thresholds from the other videos' frames.

    None with a single held-out video.
    """
    videos = np.unique(known.videos).tolist()
    if len(videos) < 2:
        return None
    refused = np.zeros((len(known.values), len(aims)), np.bool_)
    for video in videos:
        own = known.videos == video
        refused[own] = known.values[own, None] < known.without(video).thresholds(aims)
    return refused
