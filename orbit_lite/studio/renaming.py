"""Renames a participant: their folder, recognizer and answers. The check and the test, which have the name on every
page, are made again.

A note in the folder records a renaming in progress. If the server is killed, the next one reads the note: if the folder
still has its old name, the renaming is undone; otherwise it is completed.
"""

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from data_prep.tree.own_videos import RESULTS_NAME
from groundwork.errors import DataError, KitError
from groundwork.files import file_sha256, write_json
from groundwork.lock import LOCK_NAME, lock_path
from groundwork.strict_json import parse_json
from orbit_lite.personal.answering.report import read_answers, recognizer_user
from orbit_lite.personal.file import load_personal, save_personal
from orbit_lite.personal.file_names import SUFFIX
from orbit_lite.studio.locks import changing, drop_index, exclusive
from orbit_lite.studio.names import judged_name, require_free
from orbit_lite.studio.study import Participant, Study
from orbit_lite.studio.verdicts import without_folder
from orbit_lite.studio.wording import wording

NOTE_NAME = ".renaming.json"


def rename_participant(study: Study, participant: str, typed: str) -> str:
    """Rename a participant and return the new name. Their check and test are removed.

    Raises:
        NameRefused: if the name can't be used, or is taken.
        DataError: if their recognizer is damaged, or a link leads out of their folder.
        Gone, Busy: see `changing` and `exclusive`; Busy also while their files are arriving.
    """
    name = judged_name(typed, "participant")
    owner = study.participant(participant)
    with exclusive(owner, study.root / name), changing(owner):
        now = study.participant(participant)
        old = now.path.name
        require_free(name, [entry.name for entry in os.scandir(study.root) if entry.name != old])
        if name == old:
            return name
        now.require_own(now.file, now.check_folder, now.test_folder, now.answers_folder)
        now.require_nothing_arrives()
        note = now.path / NOTE_NAME
        write_json(note, {"from": old, "to": name})
        try:
            if now.file.is_file():
                _save_under(name, now)
            now.path.rename(study.root / name)
        except BaseException:
            _take_back(now.path, name)
            raise
        _finish(study, old, name)
    return name


def end_renamings(study: Study) -> None:
    """Complete or undo the renamings of a server that was killed. Nobody else may be working in the study."""
    for participant in study.participants():
        with suppress(KitError, OSError, ValueError, KeyError, TypeError):
            note = participant.path / NOTE_NAME
            if not note.is_file() or note.is_symlink():
                continue
            content, here = parse_json(note.read_bytes()), participant.path.name
            old, new = (Path(content[key]).name for key in ("from", "to"))
            participant.require_own(participant.file, participant.check_folder, participant.answers_folder)
            with changing(participant, longest_s=0):
                if here == new:
                    _finish(study, old, new)
                elif here == old:
                    _take_back(participant.path, new)


def _save_under(name: str, participant: Participant) -> None:
    try:
        personal = load_personal(participant.file)
    except DataError as error:
        why = without_folder(str(error), participant.file)
        raise DataError(wording()("try.damaged", why=why)) from None
    save_personal(participant.results / f"{name}{SUFFIX}", replace(personal, user=name))


def _take_back(folder: Path, name: str) -> None:
    (folder / RESULTS_NAME / f"{name}{SUFFIX}").unlink(missing_ok=True)
    (folder / NOTE_NAME).unlink(missing_ok=True)


def _finish(study: Study, old: str, name: str) -> None:
    """Complete a renaming after the folder has its new name; can be repeated if it was interrupted."""
    participant = study.participant(name)
    before = participant.results / f"{old}{SUFFIX}"
    for folder in (participant.check_folder, participant.test_folder):
        shutil.rmtree(folder, ignore_errors=True)
    for path in sorted(participant.answers_folder.glob("*.json")):
        _rewrite(path, old, participant.file)
    if participant.file.is_file() and not (before.exists() and before.samefile(participant.file)):
        before.unlink(missing_ok=True)
    lock_path(before).unlink(missing_ok=True)  # locks that were held moved with the folder
    (participant.path / LOCK_NAME).unlink(missing_ok=True)
    with suppress(OSError):  # it did not exist before and is empty
        participant.results.rmdir()
    drop_index(study)
    (participant.path / NOTE_NAME).unlink()


def _rewrite(path: Path, old: str, file: Path) -> None:
    """Put the new name into answers that the recognizer gave under its old name."""
    content = None if path.is_symlink() or not path.is_file() else read_answers(path)
    if content and recognizer_user(content) == old:
        model = {**content["model"], "user": file.stem, "file": file.name}
        if file.is_file():
            model["sha256"] = file_sha256(file)
        write_json(path, {**content, "model": model})
