"""Removes objects from a personal recognizer's file, or the whole file."""

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
    """Plan the removal of objects from a personal recognizer, or of the whole file. Changes nothing.

    The recognizer is fitted again to the other objects, so that nothing in the file derives from the removed objects'
    videos. (The weights that it started from never saw them.) If this fails, the file is unchanged.

    Args:
        file: the personal recognizer, overwritten in place.
        names: objects to forget; if empty, the whole file is removed. Unknown objects are reported but are not an
            error, because an earlier call may have removed them.

    Raises:
        UsageError: if the file is a link, its folder is missing, all objects are named, or the learner needs all videos
            together.
        DataError: if it is not a personal recognizer, or a name differs from a known object only in case or
            punctuation.
    """
    if file.is_symlink():
        raise UsageError(f"{file}: is a symbolic link to {file.resolve()}; give the path of the file itself")
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
    forget_objects(personal, known)  # raises errors now, before the user is asked
    line = f"{file}: object {', '.join(map(repr, known))}, with its features and everything fitted to them"

    def carry_out() -> Forgotten:
        if file.is_symlink():
            return Forgotten(remaining=(f"{file}: became a symbolic link after it was listed, so it was not changed",))
        save_personal(file, forget_objects(load_personal(file), known))
        return Forgotten((line,))

    unreachable = (*_exports(file), *ELSEWHERE)
    return Plan(changes=(Change(line, carry_out),), unreachable=unreachable, note="\n".join(gone), used=used)


def _exports(file: Path) -> Iterator[str]:
    for path in (file.with_suffix(bits + form.suffix) for form in FORMATS.values() for bits in ("", ".int8")):
        if path.is_file():
            yield f"{path}: an export that may hold the same data; delete it"
