"""Forgetting in a personal recognizer's file: some objects, or all of it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.forgetting.plan import Change, Forgotten, Plan, Removable, nothing_found, remove_files
from groundwork.errors import UsageError
from groundwork.removal import Root, identity
from orbit_lite.personal.exporting.formats import FORMATS
from orbit_lite.personal.file import load_personal, require_personal, save_personal
from orbit_lite.personal.in_use import held_with
from orbit_lite.personal.teaching.teach import forget_objects

ELSEWHERE = (
    "the videos that it was taught with, and frames made of them",
    "copies of this file, exports of it, CSVs, JSON and annotated videos written elsewhere, and backups",
)


def forget_in_file(file: Path, names: Sequence[str] = ()) -> Forgotten:
    """Make the plan and carry it out, without asking. Raises as `plan_forget_in_file`."""
    return plan_forget_in_file(file, names).carry_out()


def plan_forget_in_file(file: Path, names: Sequence[str] = ()) -> Plan:
    """What to remove so that objects are gone from a personal recognizer, or all of it is. Changes nothing.

    What is left is fitted again to the other objects: nothing in the file comes from the objects' videos any more. (The
    weights that it started from never saw them.) A failure leaves the file as it was.

    Args:
        file: the personal recognizer, overwritten in place.
        names: objects to forget; none means the whole file. One that it does not have is reported, not refused: an
            earlier call may have removed it.

    Raises:
        UsageError: if the file is a link or its folder is not there, all objects are named, or the learner needs all
            videos together.
        DataError: if it is no personal recognizer; or an object is named that differs from one there in case or
            punctuation only.
    """
    if file.is_symlink():
        raise UsageError(
            f"{file}: a symbolic link to {file.resolve()}; a file is changed only where it stands: name that"
        )
    if not file.exists():
        if not file.parent.is_dir():
            raise UsageError(f"{file.parent}: no such folder; expected a personal recognizer's file in it")
        return Plan(note=f"{file}: no such file: already gone, or never here", unreachable=tuple(_exports(file)))
    used = tuple(held_with(file))
    if not names:
        require_personal(file)
        this = Removable((file.name,), identity(os.lstat(file)))
        change = remove_files(f"{file}: the personal recognizer", Root.of(file.parent), [this])
        return Plan(changes=(change,), unreachable=(*_exports(file), *ELSEWHERE), used=used)
    personal = load_personal(file)
    known = [name for name in dict.fromkeys(names) if name in personal.objects]
    gone = [nothing_found(personal.objects, name, file, "object") for name in dict.fromkeys(names) if name not in known]
    if not known:
        return Plan(note="\n".join(gone))
    forget_objects(personal, known)  # raises what there is to raise, before anybody is asked
    line = f"{file}: object {', '.join(map(repr, known))}, with features and what was fitted to them"

    def carry_out() -> Forgotten:
        if file.is_symlink():
            return Forgotten(remaining=(f"{file}: became a symbolic link after it was listed, so it was left",))
        save_personal(file, forget_objects(load_personal(file), known))
        return Forgotten((line,))

    unreachable = (*_exports(file), *ELSEWHERE)
    return Plan(changes=(Change(line, carry_out),), unreachable=unreachable, note="\n".join(gone), used=used)


def _exports(file: Path) -> Iterator[str]:
    for path in (file.with_suffix(bits + form.suffix) for form in FORMATS.values() for bits in ("", ".int8")):
        if path.is_file():
            yield f"{path}: an export beside it, which may hold them; delete it"
