"""A participant's rows in the CSV files of `personalize`, `check-user`, `evaluate` and `recognize`, known by their
headings."""

import csv
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from data_prep.forgetting.derived import UserOf, drop_rows
from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.plan import Plan, change_file
from data_prep.tree.layout import nfc, place_user
from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.csv_cells import CsvRows, open_csv, open_csv_text
from groundwork.words import counted
from orbit_lite.forgetting.found import Found, changed, removal
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder
from orbit_lite.personal.answering.frame_table import COLUMNS as FRAME_COLUMNS
from orbit_lite.personal.checking import participants as checked
from orbit_lite.personal.evaluating import participants as evaluated
from orbit_lite.personal.teaching.summary import CSV_COLUMNS

TABLE_SUFFIX = ".csv"
_LONGEST_HEADING = 10_000  # characters


def user_of_video(video: str) -> str:
    """Whose a video is by its place, `USER/OBJECT/[TYPE/]FILE` or `USER.zip#...`, or by a name that a frame tree
    gives."""
    archive, packed, _ = video.partition(f"{ARCHIVE_SUFFIX}#")
    return nfc(Path(archive).name if packed else place_user(Path(video).as_posix()))


# By the heading of a table: which column says whose a row is, and how.
TABLES: dict[tuple[str, ...], tuple[str, UserOf]] = {
    CSV_COLUMNS: ("participant", nfc),
    checked.PARTICIPANT_COLUMNS: ("participant", nfc),
    checked.OBJECT_COLUMNS: ("participant", nfc),
    evaluated.PARTICIPANT_COLUMNS: ("participant", nfc),
    evaluated.OBJECT_COLUMNS: ("participant", nfc),
    FRAME_COLUMNS: ("video", user_of_video),
}


def users_of_table(path: Path) -> Counter[str]:
    """How many rows each user has in one of these tables; nothing of another file."""
    columns = _heading(path)
    if columns not in TABLES:
        return Counter()
    column, user_of = TABLES[columns]
    return Counter(user_of(cell) for cell in _cells(path, columns.index(column)))


def frames_of_table(path: Path) -> Counter[str]:
    """How many frames of each video a table of `recognize` answers for; nothing of another file."""
    columns = _heading(path)
    return Counter(_cells(path, columns.index("video"))) if columns == FRAME_COLUMNS else Counter()


def find_in_table(folder: SeenFolder, file: SeenFile, user: str, answered: Mapping[str, int]) -> Found:
    """A participant's rows in a CSV file, or all of it if there are no others.

    Args:
        folder: where it stands.
        file: any CSV file.
        user: the name.
        answered: by video, how many frames the participant's recognizer has answered, as the JSON file of the same
            name says. A table of just these was written with it, and all of it goes, whoever the videos are of.
    """
    try:
        rows, frames = users_of_table(file.path), frames_of_table(file.path)
    except csv.Error as error:
        theirs = names_user(file.path.read_bytes(), user)
        return Found(Plan(remaining=(f"{file.path}: could not be searched: {error}",) if theirs else ()))
    if frames and frames == answered:
        return removal(f"{file.path}: answers of their recognizer", folder, [file])
    names = frozenset() if frames else frozenset(rows)  # a folder on the way to a video may be anything
    if not rows[user]:
        return Found(names=names)
    column, user_of = TABLES[_heading(file.path)]
    line = f"{file.path}: {counted(rows[user], 'row')}"
    if set(rows) == {user}:
        return removal(f"{line}, all that it has", folder, [file], names)
    drop = partial(drop_rows, file.path, user, column=column, user_of=user_of)
    change = change_file(line, folder.root, file.place, drop)
    return Found(changed(change), files=frozenset([file.path]), names=names)


def _heading(path: Path) -> tuple[str, ...]:
    with open_csv_text(path, any_bytes=True) as file:
        return tuple(next(CsvRows([file.readline(_LONGEST_HEADING)]), []))


def _cells(path: Path, place: int) -> list[str]:
    with open_csv(path, any_bytes=True) as lines:
        next(lines, None)
        return [row[place] for row in lines if len(row) > place]
