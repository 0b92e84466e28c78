"""Several users' checks in one table: a study's participants and their objects."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eval.intervals import bootstrap_over_users, too_few_users
from groundwork.files import csv_text, write_text
from groundwork.pages.blocks import Paragraph, Section
from groundwork.pages.cells import percent, plain
from groundwork.pages.page import html_page
from groundwork.pages.table import Table
from orbit_lite.personal.checking.check import SEED, ObjectCheck, UserCheck

OBJECTS_CSV, PARTICIPANTS_CSV, PAGE_NAME = "participants_objects.csv", "participants.csv", "participants.html"
OBJECT_COLUMNS = (
    *("participant", "object", "videos", "held_out_videos", "held_out_frames"),
    *("accuracy", "chance", "none", "confused_with", "confused_share"),
)
PARTICIPANT_COLUMNS = (
    *("participant", "objects", "held_out_videos", "held_out_frames", "accuracy", "low", "high", "chance"),
    *("same_place_accuracy", "ece", "auroc", "misses", "false_alarms"),
)
_NOTHING = "-"


def write_participants(checks: Sequence[UserCheck], out: Path) -> Path:
    """Write both tables as CSV and a page with them into a folder; give the page."""
    write_text(out / OBJECTS_CSV, csv_text(OBJECT_COLUMNS, [_object_cells(c, o) for c in checks for o in c.objects]))
    write_text(out / PARTICIPANTS_CSV, csv_text(PARTICIPANT_COLUMNS, list(map(_participant_cells, checks))))
    write_text(out / PAGE_NAME, html_page("Check of the participants' videos", participants_sections(checks)))
    return out / PAGE_NAME


def participants_sections(checks: Sequence[UserCheck]) -> list[Section]:
    """The whole page."""
    return [
        Section("overall", "Overall", (Paragraph(mean_text(checks)),)),
        Section("participants", "Participants", (_participants_table(checks),)),
        Section("objects", "Objects", (_objects_table(checks),)),
    ]


def mean_text(checks: Sequence[UserCheck]) -> str:
    """The mean over participants, and how far it can be trusted."""
    values = [check.estimate.accuracy for check in checks]
    chance = float(np.mean([check.estimate.chance for check in checks]))
    found = bootstrap_over_users(values, [check.user for check in checks], seed=SEED, bounds=(0, 1))
    spread = (
        f"no interval over participants: {too_few_users(found)}"
        if found.low is None or found.high is None
        else f"95 % interval over participants {percent(found.low, 0)} to {percent(found.high, 0)} %"
    )
    return (
        f"{len(checks)} participants: {percent(float(np.mean(values)), 0)} % of the frames of held-out videos were "
        f"recognized on average, from {percent(min(values), 0)} to {percent(max(values), 0)} % ({spread}; guessing "
        f"would get {percent(chance, 0)} %)."
    )


def _participants_table(checks: Sequence[UserCheck]) -> Table:
    columns = (
        *("Participant", "Objects", "Held-out videos", "Recognized, %", "95 % interval, %", "Guessing, %"),
        *("Own things refused, %", "Like things called one, %"),
    )
    rows = []
    for check in checks:
        found, point = check.estimate, check.rejection.point
        shares = (_share(found.accuracy), f"{percent(found.low, 0)} to {percent(found.high, 0)}", _share(found.chance))
        counts = (plain(check.user), str(len(check.objects)), str(found.videos))
        rows.append((*counts, *shares, _share(point.misses), _share(point.false_alarms)))
    return Table("Each participant, in % of frames", columns, tuple(rows))


def _objects_table(checks: Sequence[UserCheck]) -> Table:
    columns = ("Participant", "Object", "Videos", "Recognized, %", "Guessing, %", "None of these, %", "Confused with")
    rows = []
    for check in checks:
        for thing in check.objects:
            confused = f"{plain(thing.taken_for)} ({percent(thing.share, 0)} %)" if thing.taken_for else _NOTHING
            shares = map(_share, (thing.accuracy, check.estimate.chance, thing.none))
            rows.append((plain(check.user), plain(thing.object), str(thing.videos), *shares, confused))
    return Table("Each participant's objects, in % of the frames of their held-out videos", columns, tuple(rows))


def _object_cells(check: UserCheck, thing: ObjectCheck) -> list[object]:
    counts = [thing.videos, len(thing.held_out), sum(video.frames for video in thing.held_out)]
    shares = map(_fraction, (thing.accuracy, check.estimate.chance, thing.none))
    return [check.user, thing.object, *counts, *shares, thing.taken_for, _fraction(thing.share if counts[1] else None)]


def _participant_cells(check: UserCheck) -> list[object]:
    found, point = check.estimate, check.rejection.point
    shares = (found.accuracy, found.low, found.high, found.chance, found.same_place, found.ece)
    unknown = (check.rejection.auroc, point.misses, point.false_alarms)
    return [check.user, len(check.objects), found.videos, found.frames, *map(_fraction, (*shares, *unknown))]


def _share(fraction: float | None) -> str:
    return _NOTHING if fraction is None else percent(fraction, 0)


def _fraction(number: float | None) -> str | None:
    return None if number is None else f"{number:.4f}"
