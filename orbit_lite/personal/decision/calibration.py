"""How one user's scores become answers: all of it set on frames that were held out, and kept in the file."""

from pydantic.dataclasses import dataclass

from groundwork.strict_model import NOTHING_UNKNOWN
from orbit_lite.personal.decision.familiarity import Familiarity
from orbit_lite.personal.decision.rejection import Rejection


@dataclass(frozen=True, config=NOTHING_UNKNOWN)
class Estimate:
    """How many frames are recognized in videos that did not teach, and how far that can be trusted.

    accuracy: share of frames recognized with the videos that look most unlike the rest held out, in [0, 1]. low, high:
    a 95 % interval for a new place. same_place: the share with one video at a time held out, which looks much like
    those that teach. chance: share that guessing would recognize. ece: expected calibration error of the confidences.
    videos, frames: held out. pairs: whether no object has three videos: `accuracy` is `same_place` then, too good where
    both videos show one place, too low where they show two.
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
    """temperature: of the softmax, see `confidences`. familiarity, rejection: as they say. estimate: None where
    nothing could be held out."""

    temperature: float = 1.0
    familiarity: Familiarity = Familiarity()
    rejection: Rejection = Rejection()
    estimate: Estimate | None = None


UNCALIBRATED = Calibration()
