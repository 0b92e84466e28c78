"""Forgetting, in a personal recogniser's file: some objects, or all of it."""

from collections.abc import Sequence
from pathlib import Path

from data_prep.forget import Forgotten
from orbit_lite.personal.file import load_personal, require_personal, save_personal
from orbit_lite.personal.formats import FORMATS
from orbit_lite.personal.teach import forget_objects

ELSEWHERE = (
    "the videos that it was taught with, and frames made of them",
    "copies of this file, exports of it, CSVs, JSON and annotated videos written elsewhere, and backups",
)


def forget_in_file(file: Path, names: Sequence[str] = ()) -> Forgotten:
    """Remove objects from a personal recogniser, or delete it.

    What is left is fitted anew to the other objects: nothing in the file comes from the objects' videos any more. (The
    weights that it started from never saw them.) A failure leaves the file as it was.

    Args:
        file: the personal recogniser, written over in place.
        names: objects to forget; none means the whole file.

    Raises:
        AskedWrong: if there is no such file or object, all objects are named, or the learner needs all videos together.
        FoundWrong: if it is no personal recogniser; nothing is deleted then.
    """
    if names:
        left = forget_objects(load_personal(file), names)
        save_personal(file, left)
        removed = tuple(f"{file}: object {name!r}, its features and what was fitted to them" for name in names)
    else:
        require_personal(file)
        file.unlink()
        removed = (f"{file}: the personal recogniser",)
    beside = [file.with_suffix(bits + form.suffix) for form in FORMATS.values() for bits in ("", ".int8")]
    exports = tuple(f"{path}: an export beside it, which may hold them; delete it" for path in beside if path.is_file())
    return Forgotten(removed, exports + ELSEWHERE)
