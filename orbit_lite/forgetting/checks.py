"""Finds a participant's checks: folders that `check-user --out` wrote, for one user or several."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.plan import EmptyFolder, Plan, change_file
from groundwork.errors import DataError
from groundwork.files import write_text
from orbit_lite.forgetting.found import Found, changed, removal, written_name
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder
from orbit_lite.forgetting.tables import users_of_table
from orbit_lite.personal.checking.numbers import CHECK_JSON, UserNumbers, read_check_json, write_check_json
from orbit_lite.personal.checking.participants import OBJECTS_CSV, PAGE_NAME, PARTICIPANTS_CSV, participants_page
from orbit_lite.personal.checking.report import CHECK_FILES

_OF_ALL = (PAGE_NAME, OBJECTS_CSV, PARTICIPANTS_CSV)  # the tables are found by their headings, see tables.py


def find_checks(folder: SeenFolder, user: str) -> Found:
    """What to remove from a folder with a check: all that `check-user` wrote there if its check.json has only this
    participant; otherwise their entry in check.json, and the page of all participants is made again. check.json changes
    last, because it proves whose the rest is.
    """
    users = _users(folder)
    if user not in users:
        return Found(names=frozenset(users))
    if link := next((path for path in folder.links if path.name in (*CHECK_FILES, *_OF_ALL)), None):
        line = (
            f"{folder.path}: not changed, because {link} is a symbolic link to {link.resolve()}; put the file "
            "itself there"
        )
        paths = frozenset(path for path in (*(file.path for file in folder.files), *folder.links))
        return Found(Plan(remaining=(line,)), files=paths, names=frozenset(users))
    held = Found(Plan((folder.path,)))
    return held + (_all_of_it(folder, user, users) if set(users) == {user} else _entries(folder, user, users))


def _users(folder: SeenFolder) -> dict[str, UserNumbers]:
    if CHECK_JSON not in folder.by_name:
        return {}
    try:
        return read_check_json(folder.by_name[CHECK_JSON].path)
    except DataError:  # another program's file with the same name
        return {}


def _all_of_it(folder: SeenFolder, user: str, users: dict[str, UserNumbers]) -> Found:
    own = set(CHECK_FILES)
    table = folder.by_name.get(
        PARTICIPANTS_CSV
    )  # from an earlier check of several users, whose page also shows the others
    if table is None or set(users_of_table(table.path)) <= {user}:
        own.add(PAGE_NAME)
    files = [file for file in folder.files if file.name in own]
    files.sort(key=lambda file: file.name == CHECK_JSON)
    left = [file for file in folder.files if written_name(file.name) in own - set(folder.by_name)]
    line = f"{folder.path}: a check of this participant's videos"
    emptied = (EmptyFolder(folder.root, folder.place),)
    return removal(line, folder, [*left, *files], users) + Found(Plan(emptied=emptied))


def _entries(folder: SeenFolder, user: str, users: dict[str, UserNumbers]) -> Found:
    found = Found(names=frozenset(users))
    for file in _parts(folder, user):
        found += removal(f"{file.path}: left by interrupted writing", folder, [file])
    page = folder.by_name.get(PAGE_NAME)
    if page and names_user(page.path.read_bytes(), user):
        line = f"{page.path}: their rows; it is made again without them"
        make = partial(_write_page, page.path, folder.path / CHECK_JSON, user)
        found += Found(changed(change_file(line, folder.root, page.place, make)), files=frozenset([page.path]))
    entry = folder.by_name[CHECK_JSON]
    change = change_file(f"{entry.path}: 1 entry", folder.root, entry.place, partial(_drop, entry.path, user))
    return found + Found(changed(change), files=frozenset([entry.path]))


def _parts(folder: SeenFolder, user: str) -> Iterator[SeenFile]:
    """Leftovers of interrupted writing that name the participant."""
    for file in folder.files:
        whole = written_name(file.name)
        if whole != file.name and whole in (CHECK_JSON, PAGE_NAME) and names_user(file.path.read_bytes(), user):
            yield file


def _write_page(page: Path, entries: Path, user: str) -> bool:
    users = read_check_json(entries)
    users.pop(user, None)
    write_text(page, participants_page(users))
    return True


def _drop(path: Path, user: str) -> bool:
    users = read_check_json(path)
    if users.pop(user, None) is None:
        return False
    write_check_json(path, users)
    return True
