"""Evaluates many participants' personal files, each on its own user's videos: one run each, and a page that compares
them."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
import torch

from eval.formats.answer_text import NONE_OF_THESE
from eval.formats.records import Scorecard, read_predictions, read_scorecard, read_tasks
from eval.formats.scorecard import ObjectScore
from eval.verbs import SCORECARD_NAME
from groundwork.errors import DataError, UsageError
from groundwork.files import csv_text, write_text
from groundwork.pages.blocks import Paragraph, Section
from groundwork.pages.cells import fraction_cell, whole_percent
from groundwork.pages.page import html_page
from groundwork.pages.table import Column, Columns, Table
from groundwork.reporting import report_failed
from groundwork.words import counted
from orbit_lite.evaluation.evaluate import PREDICTIONS_NAME, TASKS_NAME
from orbit_lite.personal.evaluating.evaluate import PersonalRequest, evaluate_personal
from orbit_lite.personal.file_names import SUFFIX
from orbit_lite.personal.promises import mean_over_participants
from orbit_lite.runs.folder import read_record

_LOG = logging.getLogger("orbit_lite")

OBJECTS_CSV, PARTICIPANTS_CSV, PAGE_NAME = "participants_objects.csv", "participants.csv", "participants.html"
PAGE_TITLE = "The participants' recognizers on their test videos"
_SHARES = ("accuracy", "chance", "right", "wrong", "none", "unsure")


@dataclass(frozen=True)
class ObjectRow:
    """One participant's object, on videos that did not teach it.

    Shares of frames in [0, 1]: accuracy; none, answered "none of these"; confused_share, mistaken for `confused_with`,
    the object that it was most often mistaken for.
    """

    participant: str
    object: str
    videos: int
    frames: int
    accuracy: float
    chance: float
    none: float
    confused_with: str
    confused_share: float


@dataclass(frozen=True)
class ParticipantRow:
    """One participant: means over their videos. right, wrong, none, unsure: see Answers."""

    participant: str
    objects: int
    videos: int
    frames: int
    accuracy: float
    chance: float
    ece: float
    right: float
    wrong: float
    none: float
    unsure: float


PARTICIPANT_COLUMNS = tuple(field.name for field in fields(ParticipantRow))
OBJECT_COLUMNS = tuple(field.name for field in fields(ObjectRow))


def personal_files(folder: Path) -> list[Path]:
    """All files in a folder that may be personal files, sorted by name. It includes damaged ones, which must be
    reported.

    Raises:
        UsageError: if there are none.
    """
    files = sorted(folder.glob(f"*{SUFFIX}"))
    if not files:
        raise UsageError(f"{folder}: contains no personal recognizers; expected files from 'orbit-lite personalize'")
    return files


def evaluate_participants(
    request: PersonalRequest, out: Path, *, workers: int, device: torch.device, thumbnails: bool = False
) -> str:
    """Evaluate each personal file in the folder `request.file` on its own user's videos.

    Writes a run folder OUT/NAME for each, the tables participants.csv and participants_objects.csv, and a page.
    Finished runs are not repeated.

    Returns:
        the mean over participants, in a sentence.

    Raises:
        UsageError: if there is no personal file in the folder.
        DataError: if a participant's evaluation failed; the others' are still written.
    """
    files = personal_files(request.file)
    rows: list[ParticipantRow] = []
    objects: list[ObjectRow] = []
    failed: list[str] = []
    for file in files:
        run = out / file.stem
        try:
            own = replace(request, file=file)
            card = evaluate_personal(own, run, workers=workers, device=device, thumbnails=thumbnails)
        except (DataError, UsageError) as error:
            report_failed(_LOG, str(error), error)
            failed.append(file.name)
            continue
        rows.append(_participant(file.stem, card))
        objects += _objects(file.stem, card, run)
    if rows:
        _write(out, rows, objects, seed=request.seed)
    if failed:
        rest = f"the others are in {out}" if rows else "nothing was written"
        raise DataError(f"{len(failed)} of {counted(len(files), 'personal file')} failed: {', '.join(failed)}; {rest}")
    return f"{mean_text(rows, seed=request.seed)}\nwritten: {out / PAGE_NAME}"


def page_of_runs(out: Path, names: Sequence[str]) -> str:
    """The page for some participants as HTML, made again from their runs after another participant is removed.

    Args:
        out: the folder with the runs.
        names: the participants, in the order of the rows.

    Raises:
        UsageError: if a run is missing.
        DataError: if a run is damaged or not finished.
    """
    rows: list[ParticipantRow] = []
    objects: list[ObjectRow] = []
    for name in names:
        card = read_scorecard(out / name / SCORECARD_NAME)
        rows.append(_participant(name, card))
        objects += _objects(name, card, out / name)
    return _page(rows, objects, seed=read_record(out / names[0])["settings"]["seed"])


def mean_text(rows: Sequence[ParticipantRow], *, seed: int) -> str:
    """The mean over participants with an interval, in a sentence."""
    chance = float(np.mean([row.chance for row in rows]))
    accuracies = {row.participant: row.accuracy for row in rows}
    return mean_over_participants(accuracies, chance=chance, of="their test videos", seed=seed)


def _participant(name: str, card: Scorecard) -> ParticipantRow:
    overall, counts = card.overall, card.counts
    if overall.answers is None or overall.chance is None or overall.ece is None:
        raise ValueError("a run of a personal file has answers, chance and calibration error")
    answers = overall.answers
    return ParticipantRow(
        participant=name,
        objects=counts.objects,
        videos=counts.videos,
        frames=counts.frames,
        accuracy=overall.frame_accuracy.per_video.mean,
        chance=overall.chance,
        ece=overall.ece,
        right=answers.right,
        wrong=answers.wrong,
        none=answers.none,
        unsure=answers.unsure,
    )


def _objects(name: str, card: Scorecard, run: Path) -> list[ObjectRow]:
    (task,) = read_tasks(run / TASKS_NAME).tasks
    object_of = {plan.video: task.objects[plan.label] for plan in task.query}
    table = read_predictions(run / PREDICTIONS_NAME).astype({"video": str})
    none = (table["answer"].astype(str) == NONE_OF_THESE).groupby(table["video"].map(object_of)).mean()
    (confusion,) = card.confusion
    return [
        _object(name, row, card, confusion.objects, confusion.frames, float(none[row.object]))
        for row in card.per_object
    ]


def _object(
    name: str,
    row: ObjectScore,
    card: Scorecard,
    objects: Sequence[str],
    frames: Sequence[Sequence[int]],
    none: float,
) -> ObjectRow:
    label = objects.index(row.object)
    taken = np.array(frames[label])
    total = int(taken.sum())
    taken[label] = 0
    most = int(taken.argmax())
    return ObjectRow(
        participant=name,
        object=row.object,
        videos=row.videos,
        frames=total,
        accuracy=row.frame_accuracy,
        chance=card.overall.chance or 0.0,
        none=none,
        confused_with=objects[most] if taken[most] else "",
        confused_share=float(taken[most] / total),
    )


def _write(out: Path, rows: Sequence[ParticipantRow], objects: Sequence[ObjectRow], *, seed: int) -> None:
    tables = ((PARTICIPANTS_CSV, PARTICIPANT_COLUMNS, rows), (OBJECTS_CSV, OBJECT_COLUMNS, objects))
    for name, columns, table in tables:
        write_text(out / name, csv_text(columns, [[_cell(getattr(row, key)) for key in columns] for row in table]))
    write_text(out / PAGE_NAME, _page(rows, objects, seed=seed))


def _page(rows: Sequence[ParticipantRow], objects: Sequence[ObjectRow], *, seed: int) -> str:
    sections = [
        Section("overall", "Overall", (Paragraph(mean_text(rows, seed=seed)),)),
        Section("participants", "Participants", (_participants_table(rows),)),
        Section("objects", "Objects", (_objects_table(objects),)),
    ]
    return html_page(PAGE_TITLE, sections)


def _participants_table(rows: Sequence[ParticipantRow]) -> Table:
    shares = ("Recognized, %", "Guessing, %", "Right, %", "Wrong, %", "None of these, %", "With a maybe, %")
    columns: Columns = ("Participant", "Objects", "Videos", *_shares(shares))
    values = [(row.participant, row.objects, row.videos, *(getattr(row, name) for name in _SHARES)) for row in rows]
    return Table("Each participant, in % of frames, means over their videos", columns, tuple(values))


def _objects_table(rows: Sequence[ObjectRow]) -> Table:
    shares = ("Recognized, %", "Guessing, %", "None of these, %")
    columns: Columns = ("Participant", "Object", "Videos", *_shares(shares), "Mistaken for")
    values = [(r.participant, r.object, r.videos, r.accuracy, r.chance, r.none, r.confused_with or None) for r in rows]
    return Table("Each participant's objects, in % of the frames of their test videos", columns, tuple(values))


def _shares(headings: Sequence[str]) -> list[Column]:
    return [Column(heading, shown=whole_percent) for heading in headings]


def _cell(value: object) -> object:
    return fraction_cell(value) if isinstance(value, float) else value
