"""What to film next of one object: rules over what was measured, and their thresholds, all in one place.

Rules of thumb for videos like those that were held out. One object's few videos seldom show whether more would help: on
pocket users with three to five videos an object, what a rise of its own curve promised did not come true. So a rise
counts only where luck alone would seldom bring it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data_prep.quality.report import filming_verdict
from groundwork.pages.cells import percent
from groundwork.words import counted
from orbit_lite.personal.checking.learning_curve import Rise

WELL = 0.9  # share of held-out frames recognized from which on there is little to gain
RISES = 0.05  # least gain in that share, between half of the videos and all, that more videos are filmed for
LUCK = 0.05  # and so seldom would as many of the videos do better by luck (sign test)
CONFUSED = 0.15  # share of held-out frames taken for one other object: from here on, that object is named
FEW_VIDEOS = 3  # below that, a held-out video leaves one to teach: nothing can be told of more

Kind = Literal["again", "single", "few", "more", "apart", "other", "start", "well"]


@dataclass(frozen=True)
class Measured:
    """What the advice on one object rests on.

    issues: of each of its videos, names of data_prep.quality.estimate.ISSUES. accuracy: share of held-out frames
    recognized, in [0, 1]; None with a single video. taken_for, share: the other object that held-out frames were most
    often taken for, and in what share; "" and 0 if for none. others: how many other objects they were taken for. rise,
    rise_of_all: what more videos brought, to it and to all objects together; None where it was not measured.
    weak_start: whether the model that was taught can't be expected to recognize much, however it is filmed.
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
    """What to do, in words to the person who films, and of which kind it is."""

    kind: Kind
    text: str


def rises(rise: Rise | None) -> bool:
    """Whether more videos helped so far: by enough, and for more of the held-out videos than luck would have it."""
    return rise is not None and rise.gain >= RISES and rise.by_luck <= LUCK


def advise(found: Measured) -> Advice:
    """The advice on one object."""
    kind = _kind(found)
    sentences = [_sentence(kind, found)]
    if kind in ("few", "more") and found.share >= CONFUSED:
        sentences.append(_apart(found))
    if any(found.issues) and kind not in ("well", "start"):
        return Advice("again", " ".join([f"Film again: {filming_verdict(found.issues)}", *sentences]))
    return Advice(kind, " ".join(sentences))


def _kind(found: Measured) -> Kind:
    if found.accuracy is None:
        return "single"
    if found.weak_start:
        return "start"
    if len(found.issues) < FEW_VIDEOS:
        return "few"
    if found.accuracy >= WELL:
        return "well"
    if rises(found.rise) or rises(found.rise_of_all):
        return "more"
    return "apart" if found.share >= CONFUSED else "other"


def _sentence(kind: Kind, found: Measured) -> str:
    match kind:
        case "single":
            return "A single video can't be checked on one left out: film a second, better a third, in other places."
        case "few":
            return f"{len(found.issues)} videos are few: film a third in another place."
        case "well":
            return "Recognized well here: nothing to film for now."
        case "more" if found.rise and rises(found.rise):
            return (
                f"More videos are likely to help: taught with {counted(found.rise.few, 'video')} of each object, "
                f"{percent(found.rise.before, 0)} % of its frames were recognized, with {found.rise.many} "
                f"{percent(found.rise.after, 0)} %."
            )
        case "more":
            return "More videos of all objects are likely to help."
        case "apart":
            return _apart(found)
        case "start":
            return "Whether to film again can't be said from this start."
        case _ if found.others > 1:
            return "It was taken for several others: film it in other places and from other sides than before."
        case _:
            return "Film it in other places and from other sides than before."


def _apart(found: Measured) -> str:
    return f"It was often taken for {found.taken_for}: film both from the sides where they differ."
