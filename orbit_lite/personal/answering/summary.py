"""A summary of many videos' answers: how many name an object, and with what certainty."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from data_prep.video import is_photo_file
from eval.formats.answer_text import NONE_OF_THESE, sure_text
from groundwork.pages.cells import printable
from groundwork.words import counted
from orbit_lite.personal.answering.answers import VideoAnswer
from orbit_lite.personal.decision.rejection import Certainty


@dataclass(frozen=True)
class ObjectCount:
    """How many videos were answered with an object: `sure` without a "maybe", `maybe` with one."""

    object: str
    sure: int
    maybe: int


@dataclass(frozen=True)
class AnswersSummary:
    """A summary of many videos' and photos' answers.

    videos, photos: how many were answered. failed: how many could not be read. sure, maybe, none: numbers of answers of
    each kind. objects: the objects named, most frequent first.
    """

    videos: int
    photos: int
    failed: int
    sure: int
    maybe: int
    none: int
    objects: tuple[ObjectCount, ...]

    @classmethod
    def of(cls, found: Sequence[tuple[str, VideoAnswer]], *, failed: int = 0) -> Self:
        """From each one's file name and answer."""
        answers = [answer for _, answer in found]
        kinds = Counter(answer.kind for answer in answers)
        named = Counter((answer.object, answer.kind) for answer in answers if answer.kind is not Certainty.NONE)
        objects = (
            ObjectCount(name, named[name, Certainty.SURE], named[name, Certainty.MAYBE])
            for name in {name for name, _ in named}
        )
        photos = sum(is_photo_file(name) for name, _ in found)
        return cls(
            videos=len(answers) - photos,
            photos=photos,
            failed=failed,
            sure=kinds[Certainty.SURE],
            maybe=kinds[Certainty.MAYBE],
            none=kinds[Certainty.NONE],
            objects=tuple(sorted(objects, key=lambda row: (-row.sure - row.maybe, row.object))),
        )


def summary_text(summary: AnswersSummary) -> str:
    """One line in total, and one for each object that was named."""
    parts = [counted(summary.videos, "video")] if summary.videos or not summary.photos else []
    parts += [counted(summary.photos, "photo")] if summary.photos else []
    failed = f"; {summary.failed} could not be read" if summary.failed else ""
    lines = [
        f"{' and '.join(parts)}: {summary.sure} sure, {summary.maybe} maybe, {summary.none} {NONE_OF_THESE}{failed}"
    ]
    for row in summary.objects:
        lines.append(
            f"  {printable(sure_text(row.object))}: {row.sure + row.maybe} ({row.sure} sure, {row.maybe} maybe)"
        )
    return "\n".join(lines)
