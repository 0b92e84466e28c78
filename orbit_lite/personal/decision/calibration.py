"""The calibration of one user's recognizer, computed on held-out frames and stored in the personal file."""

from pydantic.dataclasses import dataclass

from groundwork.strict_model import NOTHING_UNKNOWN
from orbit_lite.personal.decision.familiarity import Familiarity
from orbit_lite.personal.decision.rejection import Rejection


@dataclass(frozen=True, config=NOTHING_UNKNOWN)
class Estimate:
    """The expected accuracy on videos that did not teach.

    accuracy: share of frames recognized, in [0, 1], with the videos held out that look least like the rest. low, high:
    a 95 % interval for a new place. same_place: the share with one video held out at a time, which looks much like the
    teaching videos. chance: the share that guessing would recognize. ece: expected calibration error of the
    confidences. videos, frames: numbers of held-out videos and frames. pairs: whether no object has three videos; then
    `accuracy` equals `same_place`, which is too high if both videos show one place, and too low if they show two.
    """

    accuracy: float
    low: float
    high: float
    same_place: float
    chance: float
    ece: float
    videos: int
    frames: int
    pairs: bool


@dataclass(frozen=True, config=NOTHING_UNKNOWN)
class Calibration:
    """All that turns scores into answers.

    temperature: of the softmax, see `confidences`. familiarity, rejection: see their classes. estimate: None if nothing
    could be held out.
    """

    temperature: float = 1.0
    familiarity: Familiarity = Familiarity()
    rejection: Rejection = Rejection()
    estimate: Estimate | None = None


UNCALIBRATED = Calibration()
