"""Reads a participant's results from their files, without a cache: the recognizer, the check as cards, and the test."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from eval.formats.records import read_scorecard
from eval.verbs import SCORECARD_NAME
from groundwork.csv_cells import open_csv
from groundwork.errors import KitError
from orbit_lite.personal.checking.numbers import CHECK_JSON, UserNumbers, read_check_json
from orbit_lite.personal.checking.tables import OBJECTS_CSV
from orbit_lite.studio.study import Participant
from orbit_lite.studio.wording import wording


@dataclass(frozen=True)
class Card:
    """The check's result for one thing.

    held_out, recognized: numbers of held-out videos, and of those recognized. right: share of their frames recognized;
    None if none could be held out. taken_for: the thing that it was most often mistaken for, in `taken_share` of the
    frames; "" if there is none. next: the one thing to do next.
    """

    thing: str
    held_out: int
    recognized: int
    right: float | None
    chance: float
    taken_for: str
    taken_share: float
    next: str


@dataclass(frozen=True)
class Findings:
    """What is known about a participant's recognizer.

    taught: whether there is one. stale: whether videos have changed since it was taught. outdated: whether the check is
    older than the recognizer, for example because teaching was interrupted. numbers, cards: the check's, None and empty
    without one; cards are sorted worst first. tested: share of frames recognized in clutter videos, by thing. fault:
    what could not be read, in one line.
    """

    taught: bool
    stale: bool = False
    outdated: bool = False
    numbers: UserNumbers | None = None
    cards: Sequence[Card] = ()
    tested: dict[str, float] = field(default_factory=dict)
    fault: str = ""


def findings(participant: Participant) -> Findings:
    """Read the results; damaged files are reported in `fault`, and the others are still read."""
    if not participant.file.is_file() or participant.link_to(participant.file):
        return Findings(taught=False)
    numbers, cards, tested, faults = None, list[Card](), dict[str, float](), list[str]()
    check, card = participant.check_folder / CHECK_JSON, participant.test_folder / SCORECARD_NAME
    try:
        participant.require_own(check)
        if check.is_file():
            numbers = next(iter(read_check_json(check).values()), None)
            cards = _cards(participant.check_folder / OBJECTS_CSV)
    except (KitError, OSError, ValueError, KeyError, csv.Error) as error:
        faults.append(f"{CHECK_JSON}: {error}")
    try:
        participant.require_own(card)
        if card.is_file():
            tested = {row.object: row.frame_accuracy for row in read_scorecard(card).per_object}
    except (KitError, OSError) as error:
        faults.append(str(error))
    fault = "; ".join(faults).replace(f"{participant.path}/", "")
    stale, outdated = _is_stale(participant, numbers), numbers is not None and _is_outdated(check, participant.file)
    return Findings(True, stale, outdated, numbers, cards, tested, fault)


def _cards(path: Path) -> list[Card]:
    with open_csv(path) as rows:
        heading = next(rows, [])
        if "advice" not in heading:
            raise ValueError(wording()("check.no_table", name=path.name))
        cards = [_card(dict(zip(heading, row, strict=True))) for row in rows]
    return sorted(cards, key=lambda card: (-1.0 if card.right is None else card.right, card.thing))


def _card(row: dict[str, str]) -> Card:
    held_out = int(row["held_out_videos"])
    return Card(
        thing=row["object"],
        held_out=held_out,
        recognized=round(float(row["video_accuracy"] or 0) * held_out),
        right=float(row["frame_accuracy"]) if row["frame_accuracy"] else None,
        chance=float(row["chance"]),
        taken_for=row["taken_for"],
        taken_share=float(row["taken_for_share"] or 0),
        next=row["advice"],
    )


def _is_outdated(check: Path, recognizer: Path) -> bool:
    try:
        return check.stat().st_mtime_ns < recognizer.stat().st_mtime_ns
    except OSError:
        return True


def _is_stale(participant: Participant, numbers: UserNumbers | None) -> bool:
    """Whether things or videos were added, renamed or removed after the recognizer was written."""
    if numbers and {row.object for row in numbers.per_object} != {thing.name for thing in participant.things}:
        return True
    folders = {thing.path for thing in participant.things}
    folders |= {video.path.parent for thing in participant.things for video in thing.videos}
    try:
        taught_ns = participant.file.stat().st_mtime_ns
        return any(folder.stat().st_mtime_ns > taught_ns for folder in folders)
    except OSError:
        return True
