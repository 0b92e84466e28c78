"""Finds a participant's rows in the CSV files of `personalize`, `check-user`, `evaluate` and `recognize`, which are
recognized by their headings."""

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
    """The user of a video, from its path, `USER/OBJECT/[TYPE/]FILE` or `USER.zip#...`, or from its name in a frame
    tree."""
    archive, packed, _ = video.partition(f"{ARCHIVE_SUFFIX}#")
    return nfc(Path(archive).name if packed else place_user(Path(video).as_posix()))


# For each table, by its heading: the column that shows a row's user, and how to read it.
TABLES: dict[tuple[str, ...], tuple[str, UserOf]] = {
    CSV_COLUMNS: ("participant", nfc),
    checked.PARTICIPANT_COLUMNS: ("participant", nfc),
    checked.OBJECT_COLUMNS: ("participant", nfc),
    evaluated.PARTICIPANT_COLUMNS: ("participant", nfc),
    evaluated.OBJECT_COLUMNS: ("participant", nfc),
    FRAME_COLUMNS: ("video", user_of_video),
}


def users_of_table(path: Path) -> Counter[str]:
    """How many rows each user has in one of these tables; empty for any other file."""
    columns = _heading(path)
    if columns not in TABLES:
        return Counter()
    column, user_of = TABLES[columns]
    return Counter(user_of(cell) for cell in _cells(path, columns.index(column)))


def frames_of_table(path: Path) -> Counter[str]:
    """How many frames of each video a table of `recognize` has; empty for any other file."""
    columns = _heading(path)
    return Counter(_cells(path, columns.index("video"))) if columns == FRAME_COLUMNS else Counter()


def find_in_table(folder: SeenFolder, file: SeenFile, user: str, answered: Mapping[str, int]) -> Found:
    """What to remove from a CSV file: the participant's rows, or the whole file if it has no others.

    Args:
        folder: the file's folder.
        file: any CSV file.
        user: the participant's name.
        answered: how many frames of each video the participant's recognizer has answered, according to the JSON file of
            the same name. A table of exactly these frames was written with it, so all of it is removed, even if the
            videos are of others.
    """
    try:
        rows, frames = users_of_table(file.path), frames_of_table(file.path)
    except csv.Error as error:
        theirs = names_user(file.path.read_bytes(), user)
        return Found(Plan(remaining=(f"{file.path}: could not be searched: {error}",) if theirs else ()))
    if frames and frames == answered:
        return removal(f"{file.path}: answers of their recognizer", folder, [file])
    names = (
        frozenset() if frames else frozenset(rows)
    )  # in a video's path, the folder in a user's place may be anything
    if not rows[user]:
        return Found(names=names)
    column, user_of = TABLES[_heading(file.path)]
    line = f"{file.path}: {counted(rows[user], 'row')}"
    if set(rows) == {user}:
        return removal(f"{line}, the whole table", folder, [file], names)
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
