"""Personalise: users' folders to personal recognisers, each in a file of its own, written whole or not at all."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from groundwork.errors import FoundWrong
from groundwork.files import write_text
from groundwork.outputs import Output, require_outputs
from orbit_lite.model_choice import ModelChoice
from orbit_lite.models.checkpoint import read_checkpoint_info
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.file_names import CSV_NAME, targets
from orbit_lite.personal.lesson import Lesson, read_lesson
from orbit_lite.personal.recognizer import PersonalRecognizer
from orbit_lite.personal.sampling import PROTOCOL, Sampling
from orbit_lite.personal.summary import ObjectSummary, summarize, summary_csv, summary_text
from orbit_lite.personal.teach import add_objects, held_out, teach
from orbit_lite.run_folder import versions


def personalize(
    model: ModelChoice,
    folders: Sequence[Path],
    out: Path,
    *,
    false_alarms: float | None = None,
    csv: Path | None = None,
    workers: int | None = None,
    device: torch.device,
) -> list[Path]:
    """Teach a recogniser each user's objects, and say what it learned.

    Args:
        model: a checkpoint, or a learner that is not meta-trained.
        folders: of one user each, see data_prep.own_videos.
        out: the file to write; for several users a folder, where each gets NAME.safetensors, beside participants.csv.
        false_alarms: as for `teach`.
        csv: where to write a row a participant and object, too.
        workers: processes that decode; by default one a core.
        device: where to compute.

    Returns:
        the files written.

    Raises:
        AskedWrong: if a folder or the model is not there, two folders have one name, or `out` can't be written to.
        FoundWrong: if a user's videos are not as they should be; of several, the others' files are written.
    """
    files = targets(folders, out)
    require_outputs([], [Output("--out", file, example="alice.safetensors") for file in files])
    recognizer = model.load().to(device)
    origin = _origin(model, recognizer.extractor.frame_size_px)
    rows: list[tuple[str, Sequence[ObjectSummary]]] = []
    faults, written = [], []
    for folder, target in zip(folders, files, strict=True):
        try:
            lesson = read_lesson(recognizer, folder, workers=workers)
            personal = teach(recognizer, lesson, origin=origin, false_alarms=false_alarms)
        except FoundWrong as error:
            if len(folders) == 1:
                raise
            print(f"failed: {error}", file=sys.stderr, flush=True)
            faults.append(str(folder))
            continue
        save_personal(target, personal)
        written.append(target)
        rows.append((personal.user, _tell(personal, lesson, target)))
    if len(folders) > 1:
        csv = csv or out / CSV_NAME
    if csv and rows:
        write_text(csv, summary_csv(rows))
        print(f"a row a participant and object: {csv}")
    if faults:
        rest = "the others are written" if written else "nothing is written"
        raise FoundWrong(f"{len(faults)} of {len(folders)} users failed: {', '.join(faults)}; {rest}")
    return written


def teach_more(
    file: Path,
    folder: Path,
    out: Path,
    *,
    known: str = "refuse",
    csv: Path | None = None,
    workers: int | None = None,
    device: torch.device,
) -> PersonalRecognizer:
    """Add a folder's objects to a personal recogniser, without the videos of those it knows.

    Args:
        file: the personal recogniser.
        folder: the new videos.
        out: the file to write; may be `file`.
        known: what becomes of an object that it knows, see `add_objects`.

    Raises:
        AskedWrong, FoundWrong: as `personalize` and `add_objects`.
    """
    personal = load_personal(file, device=device)
    lesson = read_lesson(personal.fitted.recognizer, folder, workers=workers)
    taught = add_objects(personal, lesson, known=known)
    save_personal(out, taught)
    rows = _tell(taught, lesson, out)
    if csv:
        write_text(csv, summary_csv([(taught.user, rows)]))
    return taught


def _origin(model: ModelChoice, size_px: int) -> dict[str, Any]:
    described = model.describe()
    config = read_checkpoint_info(Path(model.model)).config if "checkpoint" in described else {}
    return {
        "model": described,
        "config": config,
        "sampling": {"protocol": PROTOCOL, **asdict(Sampling.of_protocol(size_px))},
        "versions": versions(),
    }


def _tell(
    personal: PersonalRecognizer, lesson: Lesson, target: Path, say: Callable[[str], None] = print
) -> list[ObjectSummary]:
    rows = summarize(personal, held_out(personal), lesson)
    for note in lesson.notes:
        say(note)
    if lesson.clutter_videos:
        say(f"{lesson.clutter_videos} clutter videos left aside: they teach nothing, and are there to try it on")
    say(summary_text(personal, rows))
    size = f", {target.stat().st_size / 1e6:.1f} MB" if target.is_file() else ""
    say(f"written: {target}{size}")
    return rows
