"""What to film next of one object: rules over what was measured, and their thresholds, all in one place.

Rules of thumb, not laws: they speak of videos like those that were held out, and each says what it rests on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from data_prep.quality_report import filming_verdict
from eval.report.tables import percent
from orbit_lite.personal.learning_curve import Rise

WELL = 0.9  # share of held-out frames recognised from which on there is little to gain
RISES = 0.05  # gain in that share between half of the videos and all: from here on, more are likely to help
CONFUSED = 0.15  # share of held-out frames taken for one other object: from here on, that object is named
FEW_VIDEOS = 3  # below that, a held-out video leaves one to teach: nothing can be told of more

Kind = Literal["again", "single", "few", "more", "apart", "other", "unknown", "well"]


@dataclass(frozen=True)
class Measured:
    """What the advice on one object rests on.

    issues: of each of its videos, names of data_prep.quality.ISSUES. accuracy: share of held-out frames recognised, in
    [0, 1]; None with a single video. taken_for, share: the other object that held-out frames were most often taken for,
    and in what share; "" and 0 if for none. rise: what more videos brought; None where it was not measured.
    """

    issues: Sequence[tuple[str, ...]]
    accuracy: float | None
    taken_for: str = ""
    share: float = 0.0
    rise: Rise | None = None

    @property
    def videos(self) -> int:
        """How many videos it has."""
        return len(self.issues)


@dataclass(frozen=True)
class Advice:
    """What to do, in words to the person who films, and of which kind it is."""

    kind: Kind
    text: str


def rises(rise: Rise | None) -> bool:
    """Whether more videos helped so far: by enough, and more of the held-out videos than they harmed."""
    return rise is not None and rise.gain >= RISES and rise.better > rise.worse


def advise(found: Measured) -> Advice:
    """The advice on one object."""
    filming = filming_verdict(found.issues) if any(found.issues) else ""
    kind = _kind(found)
    told = [_sentence(kind, found)]
    if kind in ("few", "more", "unknown") and found.share >= CONFUSED and not _well(found):
        told.append(f"It was often taken for {found.taken_for}: film both from the sides where they differ.")
    if filming and kind != "well":
        return Advice("again", " ".join([f"Film again: {filming}", *told]))
    if filming:
        told.append(f"All the same: {filming}")
    return Advice(kind, " ".join(told))


def _kind(found: Measured) -> Kind:
    if found.accuracy is None:
        return "single"
    if found.videos < FEW_VIDEOS:
        return "few"
    if _well(found):
        return "well"
    if found.rise is None:
        return "unknown"
    if rises(found.rise):
        return "more"
    return "apart" if found.share >= CONFUSED else "other"


def _well(found: Measured) -> bool:
    return found.accuracy is not None and found.accuracy >= WELL


def _sentence(kind: Kind, found: Measured) -> str:
    match kind:
        case "single":
            return "A single video can't be checked on one left out: film a second, better a third, in other places."
        case "few":
            return f"With {found.videos} videos it can't be told whether more help: film a third in another place."
        case "more" if found.rise:
            return (
                f"More videos are likely to help: of its frames {percent(found.rise.before, 0)} % were recognised "
                f"when {_videos(found.rise.few)} taught it, {percent(found.rise.after, 0)} % with {found.rise.many}."
            )
        case "apart":
            return (
                f"More videos have not helped so far, and it was often taken for {found.taken_for}: "
                "film both from the sides where they differ."
            )
        case "unknown":
            return "Whether more videos would help was not measured."
        case "well":
            return "Recognised well: more videos are unlikely to change much."
        case _:
            return "More videos have not helped so far: film it in other places and from other sides than before."


def _videos(count: int) -> str:
    return "1 video" if count == 1 else f"{count} videos"
