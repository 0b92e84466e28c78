"""When a frame is called none of these, and when an object is named only with a "maybe"."""

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

# Share of the objects' own frames that may be called none of these in a new place.
STRICTNESS = {"careful": 0.20, "balanced": 0.10, "eager": 0.05}
DEFAULT_STRICTNESS: Final = "balanced"
CURVE_AIMS = tuple(percent / 100 for percent in range(1, 51))
# Surer than this, and at least as familiar as SURE_FACTOR times as strict a threshold asks for: an answer without
# "maybe". Chosen on five users' photos, so that 95 % of such answers are right and 99 % of things of another kind get
# none, also where only two objects are known.
SURE_CONFIDENCE, SURE_FACTOR = 0.7, 1.5


class Kind(StrEnum):
    """What an answer is: an object, an object with a "maybe", or none of these."""

    SURE = "sure"
    MAYBE = "maybe"
    NONE = "none"


@checked_dataclass(frozen=True, config=NOTHING_UNKNOWN)
class OperatingPoint:
    """One threshold, and what is promised of it.

    aim: share of the objects' own frames that may be refused in a new place; None where nothing was held out.
    threshold: least familiarity of an object; None refuses nothing. sure_threshold: least familiarity of an object that
    is named without "maybe"; None for never. misses: share of the objects' own held-out frames refused, by thresholds
    that the frames' own video had no part in. false_alarms: share of frames of things like the objects, never taught,
    that are called one of them, with or without "maybe"; None where it can't be estimated.
    """

    aim: float | None
    threshold: float | None
    sure_threshold: float | None
    misses: float | None = None
    false_alarms: float | None = None

    def kind(self, familiarity: float, confidence: float) -> Kind:
        """What becomes of a frame, or of a mean over frames."""
        if self.threshold is not None and familiarity < self.threshold:
            return Kind.NONE
        sure = self.sure_threshold is not None and familiarity >= self.sure_threshold
        return Kind.SURE if sure and confidence >= SURE_CONFIDENCE else Kind.MAYBE


UNTESTED = OperatingPoint(None, None, None)  # nothing was held out: all is "maybe", and nothing is refused


@checked_dataclass(frozen=True, config=NOTHING_UNKNOWN)
class Rejection:
    """When to answer "none of these", kept with what it was chosen from.

    curve: operating points, aims rising; empty where nothing could be held out. otherwise: the point that holds where
    there is no curve. strictness: a key of STRICTNESS; "" where `asked` holds. asked: the most false alarms among
    things like the objects; None if not asked for. auroc: how well familiarity tells held-out frames of the objects
    from frames of other things like them, 0.5 is chance; None where it can't be estimated. videos, frames: held out.
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
        """The point that holds."""
        if not self.curve:
            return self.otherwise
        if self.asked is None:
            aim = STRICTNESS.get(self.strictness, STRICTNESS[DEFAULT_STRICTNESS])
            return min(self.curve, key=lambda point: abs((point.aim or 0.0) - aim))
        few = [point for point in self.curve if point.false_alarms is not None and point.false_alarms <= self.asked]
        return few[0] if few else self.curve[-1]

    @property
    def promised_misses(self) -> float | None:
        """The share of the objects' own frames that the point may refuse in a new place: its aim, but no less than one
        in the held-out videos and one more, since a new video is less familiar than all of those that often. None where
        nothing was held out."""
        aim = self.point.aim
        return None if aim is None else max(aim, 1 / (self.videos + 1))

    @property
    def least_false_alarms(self) -> float | None:
        """The fewest false alarms that a point of the curve promises; None where none is known."""
        return min((point.false_alarms for point in self.curve if point.false_alarms is not None), default=None)

    def at(self, strictness: str) -> "Rejection":
        """Another strictness of the same curve.

        Raises:
            UsageError: if there is none of this name, or no curve.
        """
        if strictness not in STRICTNESS:
            raise UsageError(f"strictness {strictness!r}; expected one of {', '.join(STRICTNESS)}")
        if not self.curve:
            raise UsageError(
                f"strictness {strictness!r} can't be chosen: no object had two videos, so none was held out to set a "
                "threshold by; teach at least one object with a second video"
            )
        chosen: Any = strictness  # one of the names above, checked by the record
        return replace(self, strictness=chosen, asked=None)

    def asking(self, false_alarms: float) -> "Rejection":
        """The point of the same curve that keeps most right answers at so many false alarms.

        Raises:
            UsageError: if the curve has no such point; says the least that there is.
        """
        least = self.least_false_alarms
        if least is None:
            raise UsageError(
                f"--false-alarms {false_alarms:g}: how often another thing is called one of these can't be estimated; "
                "it takes three objects with two videos each. Choose a --strictness instead"
            )
        if least > false_alarms:
            raise UsageError(
                f"--false-alarms {false_alarms:g}: the fewest that these videos can promise is {least:.2f}; give a "
                "share of at least that, or choose a --strictness"
            )
        return replace(self, strictness="", asked=false_alarms)


@dataclass(frozen=True, eq=False)
class HeldOutFamiliarity:
    """Familiarity of held-out frames of known objects, (f,), f >= 1, and which video each is of, (f,)."""

    values: NDArray[np.float64]
    videos: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many videos."""
        return len(np.unique(self.videos))

    def thresholds(self, aims: Sequence[float]) -> NDArray[np.float64]:
        """For each aim the threshold that refuses at most such a share of a new video's frames, mean over videos.

        The rule of conformal prediction for groups: the quantile is lower than the aim by as much as one more video may
        shift it. Where one more may shift it by more than the aim, the least familiar frame is the threshold, and one
        in so many videos and one more is refused at most.

        Source: Vovk, Gammerman and Shafer 2005, section 2.2; for groups, Dunn, Wasserman and Ramdas 2023, section 4.1.
        """
        groups = self.count
        return lower_quantiles(self, [max(0.0, (aim * (groups + 1) - 1) / groups) for aim in aims])

    def sure_thresholds(self, aims: Sequence[float]) -> NDArray[np.float64]:
        """For each aim the plain quantile at SURE_FACTOR times it, never below the threshold."""
        return np.maximum(self.thresholds(aims), lower_quantiles(self, [SURE_FACTOR * aim for aim in aims]))

    def without(self, video: int) -> "HeldOutFamiliarity":
        """The frames of all other videos."""
        kept = self.videos != video
        return HeldOutFamiliarity(self.values[kept], self.videos[kept])


def lower_quantiles(known: HeldOutFamiliarity, shares: Sequence[float]) -> NDArray[np.float64]:
    """For each share in [0, 1) the largest value below which lies no more of the frames, each video weighing 1."""
    order = np.argsort(known.values, kind="stable")
    ranked, weights = known.values[order], weights_by_video(known.videos)[order]
    before = np.concatenate([[0.0], np.cumsum(weights)[:-1]]) / weights.sum()
    return np.asarray(ranked[np.searchsorted(before, np.asarray(shares) + 1e-9, side="right") - 1])


def cross_fitted_refusals(known: HeldOutFamiliarity, aims: Sequence[float]) -> NDArray[np.bool_] | None:
    """Which frames are refused for each aim, bool (f, aims), each by the threshold of the other videos' frames.

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
