"""What stands of one user in a tree beside their videos: annotations, and rows of tables made from the videos."""

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
SUMMARY_TABLES = ("counts.csv", "spreads.csv", "users.csv")  # as summarize does
TEXTS = (".csv", ".json", ".jsonl", ".log", ".md", ".html", ".txt", ".tsv", ".yaml", ".yml")
MOST_BYTES = 64 * 10**6  # of a text to look into

UserOf = Callable[[str], str]  # whose a row is, by its cell in one column


def find_annotations(root: Root, user: str, is_theirs: Callable[[str], bool]) -> tuple[list[Removable], list[Path]]:
    """The annotations of a user's videos, parts and macOS's twins of them too.

    No link is followed: of folders that are links nothing is found.

    Args:
        root: the tree's.
        user: the name.
        is_theirs: tells by a video's name whether it is theirs.

    Returns:
        what is theirs; and files that begin with the user's name, but are not of a video of theirs.
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
    """How many rows of a table with a column `user` are a user's; 0 without such a file."""
    return sum(theirs for theirs, _ in _rows(path, user, "user", str))


def drop_rows(path: Path, user: str, *, column: str = "user", user_of: UserOf = str) -> int:
    """Take a user's rows out of a table of ours; how many there were, 0 without such a file.

    A row at a time, for a table may have one a frame.
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
        False if there is no summary with this user. users.csv, which says that, is written last.
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
    """Whether a text in UTF-8 holds a user's name as a word of its own: `P177--bag` names P177, `P1770` does not."""
    return bool(re.search(rf"(?<![^\W_]){re.escape(user)}(?![^\W_])", text.decode(errors="replace")))


def texts_naming(folder: Path, user: str, *, known: Collection[str]) -> list[Path]:
    """Text files directly in a folder, but those of the names known, that name a user."""
    texts = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in TEXTS and path.name not in known]
    return [p for p in texts if p.is_file() and p.stat().st_size <= MOST_BYTES and contains_name(p.read_bytes(), user)]


def _annotated(name: str) -> str:
    """The video that a file of annotations is of: `VIDEO.json`, its part `.VIDEO.json.part` or its twin
    `._VIDEO.json`; "" of another file."""
    if is_part(name):
        name = final_name(name)
    return name.removeprefix("._").removesuffix(".json") if name.endswith(".json") else ""


def _rows(path: Path, user: str, column: str, user_of: UserOf) -> Iterator[tuple[bool, list[str]]]:
    """A table's rows, the heading first, each with whether it is of the user; nothing if there is no such file."""
    if not path.is_file():
        return
    with open_csv(path, any_bytes=True) as lines:
        heading = next(lines, [])
        yield False, heading
        place = heading.index(column) if column in heading else len(heading)
        for row in lines:
            yield [user_of(cell) for cell in row[place : place + 1]] == [user], row
