"""A user's entries in files that are shared by all users: indexes, tables, manifest, journal, private names."""

import mmap
import os
import stat
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from data_prep.archives.download import RECORD_NAME, lower_count, records_split
from data_prep.forgetting.case import ForgetCase
from data_prep.forgetting.derived import QUALITY_TABLES, SUMMARY_TABLES, count_rows, drop_rows, drop_summary
from data_prep.forgetting.plan import Change, Removable, change_file, remove_files
from data_prep.making import run as tree_run
from data_prep.making.run import JOURNAL_NAME
from data_prep.making.shards import JOURNAL_OF_SHARD
from data_prep.tree import index, naming
from data_prep.tree.layout import INDEX_NAME, MANIFEST_NAME, SHARDS
from data_prep.tree.naming import table_places
from data_prep.tree.shard import shard_of_file
from groundwork.files import final_name, is_part
from groundwork.removal import identity
from groundwork.words import counted, listed

TABLES = (INDEX_NAME, MANIFEST_NAME, JOURNAL_NAME, RECORD_NAME, *QUALITY_TABLES, *SUMMARY_TABLES)

Count = Callable[[Path, str], int]  # counts (or removes) a user's entries in a file


def in_manifest(case: ForgetCase, place: Path) -> Iterator[Change | str]:
    """Entries in the manifest, in the journal of an interrupted run, and in the private file of names.

    As all functions here, it yields changes, or for each change that a symbolic link prevents a line that says so.
    """
    manifest = place / MANIFEST_NAME
    yield from _rewrite(case, manifest, tree_run.count_in_manifest, tree_run.drop_from_manifest, "entry", "entries")
    for journal in (place / JOURNAL_NAME, *_of_shards(place / SHARDS, JOURNAL_OF_SHARD)):
        yield from _rewrite(case, journal, tree_run.count_in_journal, tree_run.drop_from_journal, "entry", "entries")
    for table in table_places(place):
        yield from _rewrite(case, table, naming.count_user, naming.drop_user, "name", "names")


def in_tables(case: ForgetCase, place: Path) -> Iterator[Change | str]:
    """Rows in the tables of quality and summary. The three tables of the summary are written again or removed."""
    for path in (*(place / name for name in QUALITY_TABLES), *quality_tables_of_shards(place)):
        yield from _rewrite(case, path, count_rows, drop_rows, "row", "rows")
    paths, others = [place / name for name in SUMMARY_TABLES], case.other_rows(place)
    if count_rows(paths[-1], case.user):
        linked = next((path for path in paths if path.is_symlink()), paths[-1])
        what = f"{place}: {listed(SUMMARY_TABLES)}{'; written again without them' if others else ''}"
        yield _unless_linked(case, linked, what, lambda: drop_summary(place, case.user, others))


def in_download(case: ForgetCase) -> Iterator[Change | str]:
    """The recorded number of videos of a downloaded split, so that it still counts as complete without theirs."""
    record = case.root / RECORD_NAME
    for level, gone in case.videos_gone().items():
        if record.is_file() and records_split(case.root, level):
            line = f"{record}: {counted(gone, 'video')} of {level}, which will not be downloaded again"
            yield _unless_linked(case, record, line, partial(lower_count, case.root, level, gone))


def in_index(case: ForgetCase, place: Path) -> Iterator[Change | str]:
    """Rows in the index, in the tree and in the cache."""
    for path in index.index_places(place):
        yield from _rewrite(case, path, index.count_user, partial(index.drop_user, place), "row", "rows")


def cut_off(case: ForgetCase, place: Path) -> Iterator[Change]:
    """Partial files that interrupted writing of these files has left, if they contain the user's name."""
    tables = [place / name for name in TABLES]
    tables += [*quality_tables_of_shards(place), *_of_shards(place / SHARDS, JOURNAL_OF_SHARD)]
    for table in [*tables, *table_places(place), *index.index_places(place)[1:]]:
        if not table.parent.is_dir():
            continue
        below, way = case.anchored(table)
        if below.link_on_way(way[:-1]):
            continue
        for name in sorted(os.listdir(table.parent)):
            part = table.parent / name
            if is_part(name) and final_name(name) == table.name and _names_user(part, case.user):
                file = Removable((*way[:-1], name), identity(os.lstat(part)))
                yield remove_files(f"{part}: left by interrupted writing", below, [file])


def quality_tables_of_shards(place: Path) -> list[Path]:
    """The tables of shards of `quality` in a folder that are not joined yet, including partial files."""
    return [path for name in QUALITY_TABLES for path in _of_shards(place, name)]


def _of_shards(folder: Path, name: str) -> list[Path]:
    """The parts of the file `name` that shards have written, or began to write, in a folder."""
    names = os.listdir(folder) if folder.is_dir() else []
    whole = {final_name(found) if is_part(found) else found for found in names}
    return [folder / found for found in sorted(whole) if shard_of_file(Path(found), name) is not None]


def _rewrite(case: ForgetCase, path: Path, count: Count, drop: Count, one: str, several: str) -> Iterator[Change | str]:
    if path.is_file() and (entries := count(path, case.user)):
        line = f"{path}: {counted(entries, one, several)}"
        yield _unless_linked(case, path, line, partial(drop, path, case.user))


def _unless_linked(case: ForgetCase, path: Path, line: str, change: Callable[[], int | bool]) -> Change | str:
    below, place = case.anchored(path)
    return change_file(line, below, place, change)


def _names_user(path: Path, user: str) -> bool:
    status = os.lstat(path)
    if not stat.S_ISREG(status.st_mode) or not status.st_size:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return content.find(user.encode()) >= 0
