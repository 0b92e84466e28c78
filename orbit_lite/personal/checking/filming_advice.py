"""Advice on what to film next for an object: the rules and their thresholds in one place.

These are rules of thumb for videos like the held-out ones. One object's few videos rarely show whether more would help:
for pocket users with three to five videos per object, a rise of the object's own curve did not predict an improvement.
So a rise counts only if chance alone would rarely cause it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data_prep.quality.report import filming_verdict
from groundwork.pages.cells import percent
from groundwork.words import counted
from orbit_lite.personal.checking.learning_curve import Rise

WELL_RECOGNIZED = 0.9  # share of held-out frames recognized; above it, there is little to gain
LEAST_RISE = 0.05  # smallest gain in that share, from half of the videos to all, that makes more videos worthwhile
MOST_P_VALUE = 0.05  # largest p-value of a rise (sign test)
CONFUSED_SHARE = 0.15  # share of held-out frames mistaken for one other object, from which the advice names it
FEW_VIDEOS = 3  # with fewer, a held-out video leaves only one to teach, so the effect of more is unknown

AdviceKind = Literal["again", "single", "few", "more", "apart", "other", "start", "well"]


@dataclass(frozen=True)
class Measured:
    """The measurements behind the advice on one object.

    issues: for each of its videos, names in data_prep.quality.estimate.ISSUES. accuracy: share of held-out frames
    recognized, in [0, 1]; None with a single video. taken_for, share: the object that held-out frames were most often
    mistaken for, and the share of these frames; "" and 0 without mistakes. others: number of objects they were mistaken
    for. rise, rise_of_all: the gain from more videos, for this object and for all together; None if not measured.
    weak_start: whether the starting model is too weak to recognize much, no matter how it is filmed.
    """

    issues: Sequence[tuple[str, ...]]
    accuracy: float | None
    taken_for: str = ""
    share: float = 0.0
    others: int = 0
    rise: Rise | None = None
    rise_of_all: Rise | None = None
    weak_start: bool = False


@dataclass(frozen=True)
class Advice:
    """Advice to the person who films, and its kind."""

    kind: AdviceKind
    text: str


def is_rising(rise: Rise | None) -> bool:
    """Whether more videos have helped so far: by enough, and for more held-out videos than chance would explain."""
    return rise is not None and rise.gain >= LEAST_RISE and rise.p_value <= MOST_P_VALUE


def advise(found: Measured) -> Advice:
    """Give the advice on one object."""
    kind = _kind(found)
    sentences = [_sentence(kind, found)]
    if kind in ("few", "more") and found.share >= CONFUSED_SHARE:
        sentences.append(_apart(found))
    if any(found.issues) and kind not in ("well", "start"):
        return Advice("again", " ".join([f"Film again: {filming_verdict(found.issues)}", *sentences]))
    return Advice(kind, " ".join(sentences))


def _kind(found: Measured) -> AdviceKind:
    if found.accuracy is None:
        return "single"
    if found.weak_start:
        return "start"
    if len(found.issues) < FEW_VIDEOS:
        return "few"
    if found.accuracy >= WELL_RECOGNIZED:
        return "well"
    if is_rising(found.rise) or is_rising(found.rise_of_all):
        return "more"
    return "apart" if found.share >= CONFUSED_SHARE else "other"


def _sentence(kind: AdviceKind, found: Measured) -> str:
    match kind:
        case "single":
            return (
                "It has a single video, so it can't be checked: film a second one, better also a third, in other "
                "places."
            )
        case "few":
            return f"{len(found.issues)} videos are few: film a third one in another place."
        case "well":
            return "It is recognized well here: no more filming is needed for now."
        case "more" if found.rise and is_rising(found.rise):
            return (
                f"More videos are likely to help: with {counted(found.rise.few, 'video')} of each object, "
                f"{percent(found.rise.before, 0)} % of its frames were recognized; with {found.rise.many}, "
                f"{percent(found.rise.after, 0)} %."
            )
        case "more":
            return "More videos of all objects are likely to help."
        case "apart":
            return _apart(found)
        case "start":
            return "The starting model is too weak to tell whether filming again would help."
        case _ if found.others > 1:
            return (
                "It was mistaken for several other objects: film it in other places and from other sides than before."
            )
        case _:
            return "Film it in other places and from other sides than before."


def _apart(found: Measured) -> str:
    return f"It was often mistaken for {found.taken_for}: film both from the sides where they differ."
