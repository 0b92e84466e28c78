"""What a tree has of one user besides their videos: annotations, and rows of tables made from the videos."""

import os
import re
import stat
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from data_prep.forgetting.plan import Removable
from data_prep.making.collectors import LEVELS
from data_prep.making.summarize import summarize, write_csv
from data_prep.tree.index import Index, VideoRow
from data_prep.tree.layout import ANNOTATIONS, nfc
from groundwork.csv_cells import csv_lines, open_csv
from groundwork.files import final_name, is_part, part_path, remove_parts, whole_file
from groundwork.removal import Root, identity

QUALITY_TABLES = ("quality_videos.csv", "quality_frames.csv")  # as quality_report writes them
SUMMARY_TABLES = ("counts.csv", "spreads.csv", "users.csv")  # as summarize writes them
TEXTS = (".csv", ".json", ".jsonl", ".log", ".md", ".html", ".txt", ".tsv", ".yaml", ".yml")
MOST_BYTES = 64 * 10**6  # larger text files are not searched

UserOf = Callable[[str], str]  # gives a row's user from its cell in one column


def find_annotations(root: Root, user: str, is_theirs: Callable[[str], bool]) -> tuple[list[Removable], list[Path]]:
    """Find the annotations of a user's videos, including partial files and the AppleDouble files of macOS.

    No link is followed: nothing is found in folders that are links.

    Args:
        root: the tree's root.
        user: the user's name.
        is_theirs: tells whether the video of a name is theirs.

    Returns:
        the user's files; and files whose names begin with the user's name but that belong to no video of theirs.
    """
    found, strange = [], []
    for folder in (ANNOTATIONS, part_path(Path(ANNOTATIONS)).name):
        for place in ((folder,), *((folder, level) for level in LEVELS)):
            path = root.path.joinpath(*place)
            if root.link_on_way(place) or not path.is_dir():
                continue
            for entry in sorted(os.listdir(path)):
                status = os.lstat(path / entry)
                if stat.S_ISDIR(status.st_mode):
                    continue
                if (video := _annotated(nfc(entry))) and is_theirs(video):
                    found.append(Removable((*place, entry), identity(status)))
                elif nfc(entry).startswith(f"{user}--"):
                    strange.append(path / entry)
    return found, strange


def count_rows(path: Path, user: str) -> int:
    """The number of a user's rows in a table with a column `user`; 0 if there is no such file."""
    return sum(theirs for theirs, _ in _rows(path, user, "user", str))


def drop_rows(path: Path, user: str, *, column: str = "user", user_of: UserOf = str) -> int:
    """Remove a user's rows from one of the kit's tables; gives their number, 0 if there is no such file.

    Works row by row, because a table may have one row per frame.
    """
    count = sum(theirs for theirs, _ in _rows(path, user, column, user_of))
    if count:
        remove_parts(path)
        with whole_file(path) as file:
            for theirs, row in _rows(path, user, column, user_of):
                if not theirs:
                    file.write(csv_lines([row]).encode(errors="surrogateescape"))
    return count


def drop_summary(root: Path, user: str, others: Sequence[VideoRow]) -> bool:
    """Write a tree's summary again from the other users' rows of the index, or remove it if there are none.

    Returns:
        False if no summary has this user. users.csv, which decides that, is written last.
    """
    if not count_rows(root / SUMMARY_TABLES[-1], user):
        return False
    for name in SUMMARY_TABLES:
        remove_parts(root / name)
    if others:
        write_csv(summarize(Index(root, "frames", tuple(others))), root)
    else:
        for name in SUMMARY_TABLES:
            (root / name).unlink(missing_ok=True)
    return True


def contains_name(text: bytes, user: str) -> bool:
    """Whether UTF-8 text contains a user's name as a whole word: `P177--bag` contains P177, `P1770` does not."""
    return bool(re.search(rf"(?<![^\W_]){re.escape(user)}(?![^\W_])", text.decode(errors="replace")))


def texts_naming(folder: Path, user: str, *, known: Collection[str]) -> list[Path]:
    """Text files directly in a folder that contain a user's name, except files with a name in `known`."""
    texts = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in TEXTS and path.name not in known]
    return [p for p in texts if p.is_file() and p.stat().st_size <= MOST_BYTES and contains_name(p.read_bytes(), user)]


def _annotated(name: str) -> str:
    """The video that an annotation file belongs to: `VIDEO.json`, its part `.VIDEO.json.part` or its AppleDouble file
    `._VIDEO.json`; "" for other files."""
    if is_part(name):
        name = final_name(name)
    return name.removeprefix("._").removesuffix(".json") if name.endswith(".json") else ""


def _rows(path: Path, user: str, column: str, user_of: UserOf) -> Iterator[tuple[bool, list[str]]]:
    """A table's rows, heading first, each with whether it is the user's; nothing if there is no such file."""
    if not path.is_file():
        return
    with open_csv(path, any_bytes=True) as lines:
        heading = next(lines, [])
        yield False, heading
        place = heading.index(column) if column in heading else len(heading)
        for row in lines:
            yield [user_of(cell) for cell in row[place : place + 1]] == [user], row
