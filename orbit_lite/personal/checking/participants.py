"""Combines several users' checks: a table of a study's participants and one of their objects."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from groundwork.files import csv_text, write_text
from groundwork.pages.blocks import Paragraph, Section
from groundwork.pages.cells import MISSING, fraction_cell, percent, printable, whole_percent
from groundwork.pages.page import html_page
from groundwork.pages.table import Table
from orbit_lite.personal.checking.check import SEED
from orbit_lite.personal.checking.numbers import ObjectNumbers, UserNumbers
from orbit_lite.personal.promises import mean_over_participants

OBJECTS_CSV, PARTICIPANTS_CSV, PAGE_NAME = "participants_objects.csv", "participants.csv", "participants.html"
OBJECT_COLUMNS = (
    *("participant", "object", "videos", "held_out_videos", "held_out_frames"),
    *("accuracy", "chance", "none", "confused_with", "confused_share"),
)
PARTICIPANT_COLUMNS = (
    *("participant", "objects", "held_out_videos", "held_out_frames", "accuracy", "low", "high", "chance"),
    *("same_place_accuracy", "ece", "auroc", "misses", "false_alarms"),
)

Participants = Mapping[str, UserNumbers]  # by name, in the order of the tables' rows


def write_participants(participants: Participants, out: Path) -> Path:
    """Write both tables as CSV, and a page with them, into a folder; return the page's path."""
    objects = [_object_cells(name, found, thing) for name, found in participants.items() for thing in found.per_object]
    write_text(out / OBJECTS_CSV, csv_text(OBJECT_COLUMNS, objects))
    rows = [_participant_cells(name, found) for name, found in participants.items()]
    write_text(out / PARTICIPANTS_CSV, csv_text(PARTICIPANT_COLUMNS, rows))
    write_text(out / PAGE_NAME, participants_page(participants))
    return out / PAGE_NAME


def participants_page(participants: Participants) -> str:
    """The page as HTML; the same numbers give the same bytes."""
    return html_page("Check of the participants' videos", participants_sections(participants))


def participants_sections(participants: Participants) -> list[Section]:
    """The whole page."""
    return [
        Section("overall", "Overall", (Paragraph(mean_text(participants)),)),
        Section("participants", "Participants", (_participants_table(participants),)),
        Section("objects", "Objects", (_objects_table(participants),)),
    ]


def mean_text(participants: Participants) -> str:
    """The mean over participants with an interval, in a sentence."""
    chance = float(np.mean([found.chance for found in participants.values()]))
    accuracies = {name: found.accuracy for name, found in participants.items()}
    return mean_over_participants(accuracies, chance=chance, of="held-out videos", seed=SEED)


def _participants_table(participants: Participants) -> Table:
    columns = (
        *("Participant", "Objects", "Held-out videos", "Recognized, %", "95 % interval, %", "Guessing, %"),
        *("Own objects called none of these, %", "Similar things named, %"),
    )
    rows = []
    for name, found in participants.items():
        interval = f"{percent(found.interval.low, 0)} to {percent(found.interval.high, 0)}"
        shares = (whole_percent(found.accuracy), interval, whole_percent(found.chance))
        counts = (printable(name), str(found.objects), str(found.videos))
        rows.append((*counts, *shares, whole_percent(found.misses), whole_percent(found.false_alarms)))
    return Table("Each participant, in % of frames", columns, tuple(rows))


def _objects_table(participants: Participants) -> Table:
    columns = ("Participant", "Object", "Videos", "Recognized, %", "Guessing, %", "None of these, %", "Mistaken for")
    rows = []
    for name, found in participants.items():
        for thing in found.per_object:
            share = thing.taken_for_share or 0.0
            confused = f"{printable(thing.taken_for)} ({percent(share, 0)} %)" if thing.taken_for else MISSING
            shares = map(whole_percent, (thing.accuracy, found.chance, thing.none))
            rows.append((printable(name), printable(thing.object), str(thing.videos), *shares, confused))
    return Table("Each participant's objects, in % of the frames of their held-out videos", columns, tuple(rows))


def _object_cells(name: str, found: UserNumbers, thing: ObjectNumbers) -> list[object]:
    counts = [thing.videos, thing.held_out_videos, thing.held_out_frames]
    shares = map(fraction_cell, (thing.accuracy, found.chance, thing.none))
    return [name, thing.object, *counts, *shares, thing.taken_for, fraction_cell(thing.taken_for_share)]


def _participant_cells(name: str, found: UserNumbers) -> list[object]:
    shares = (found.accuracy, found.interval.low, found.interval.high, found.chance, found.same_place_accuracy)
    unknown = (found.ece, found.auroc, found.misses, found.false_alarms)
    return [name, found.objects, found.videos, found.frames, *map(fraction_cell, (*shares, *unknown))]
