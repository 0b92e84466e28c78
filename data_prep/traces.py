"""What stands of one user in a tree beside their videos: annotations, and rows of tables made from the videos."""

import codecs
import csv
import re
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from data_prep.index import Index, VideoRow
from data_prep.layout import ANNOTATIONS, plain
from data_prep.summarize import summarize, write_csv
from groundwork.files import is_part, part_of, part_path, remove_parts, whole_file

QUALITY_TABLES = ("quality_videos.csv", "quality_frames.csv")  # as quality_report writes them
SUMMARY_TABLES = ("counts.csv", "spreads.csv", "users.csv")  # as summarize does
TEXTS = (".csv", ".json", ".jsonl", ".log", ".md", ".html", ".txt", ".tsv", ".yaml", ".yml")
_MOST_BYTES = 64 * 10**6  # of a text to look into


def drop_annotations(root: Path, is_theirs: Callable[[str], bool]) -> int:
    """Remove the annotations of videos by name, parts and macOS's twins of them too; how many files there were."""
    files = [
        path
        for folder in (root / ANNOTATIONS, part_path(root / ANNOTATIONS))
        for path in folder.rglob("*")
        if (video := _annotated(plain(path.name))) and is_theirs(video)
    ]
    for path in files:
        path.unlink()
    return len(files)


def drop_rows(path: Path, user: str) -> int:
    """Take a user's rows out of a table of ours that has a column `user`; how many there were, 0 without such a file.

    A row at a time, for a table may have one a frame.
    """
    remove_parts(path)
    count = sum(is_theirs for is_theirs, _ in _rows(path, user))
    if count:
        with whole_file(path) as file:
            table = csv.writer(codecs.getwriter("utf-8")(file, "surrogateescape"), lineterminator="\n")
            table.writerows(row for is_theirs, row in _rows(path, user) if not is_theirs)
    return count


def drop_summary(root: Path, user: str, others: Sequence[VideoRow]) -> bool:
    """Write a tree's summary anew from the other users' rows of the index, or remove it if there are none.

    Returns:
        False if there is no summary with this user. users.csv, which says that, is written last.
    """
    for name in SUMMARY_TABLES:
        remove_parts(root / name)
    if not any(is_theirs for is_theirs, _ in _rows(root / SUMMARY_TABLES[-1], user)):
        return False
    if others:
        write_csv(summarize(Index(root, "frames", tuple(others))), root)
    else:
        for name in SUMMARY_TABLES:
            (root / name).unlink(missing_ok=True)
    return True


def names(text: bytes, user: str) -> bool:
    """Whether a text in UTF-8 holds a user's name as a word of its own: `P177--bag` names P177, `P1770` does not."""
    return bool(re.search(rf"(?<![^\W_]){re.escape(user)}(?![^\W_])", text.decode(errors="replace")))


def mentions(folder: Path, user: str, *, known: Collection[str]) -> list[Path]:
    """Text files directly in a folder, but those of the names known, that name a user."""
    texts = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in TEXTS and path.name not in known]
    return [p for p in texts if p.is_file() and p.stat().st_size <= _MOST_BYTES and names(p.read_bytes(), user)]


def _annotated(name: str) -> str:
    """The video that a file of annotations is of: `VIDEO.json`, its part `.VIDEO.json.part` or its twin
    `._VIDEO.json`; "" of another file."""
    if is_part(name):
        name = part_of(name)
    return name.removeprefix("._").removesuffix(".json") if name.endswith(".json") else ""


def _rows(path: Path, user: str) -> Iterator[tuple[bool, list[str]]]:
    """A table's rows, the heading first, each with whether it is of the user; nothing if there is no such file."""
    if not path.is_file():
        return
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        lines = csv.reader(file)
        heading = next(lines, [])
        yield False, heading
        column = heading.index("user") if "user" in heading else len(heading)
        for row in lines:
            yield row[column : column + 1] == [user], row
