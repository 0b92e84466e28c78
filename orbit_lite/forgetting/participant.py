"""Removes a participant who withdraws from a study from all of the kit's files below some folders.

The order of the changes lets the same command finish an interrupted removal: a file that proves whose another one is,
is removed after it. An export is recognized by its recognizer, a table by the answers that it was written with, and a
check by its check.json.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from data_prep.forgetting.plan import Change, EmptyFolder, Forgotten, Plan, is_spelled_like, nothing_found
from data_prep.forgetting.user_files import LeftAlone
from data_prep.forgetting.user_places import is_user_folder
from data_prep.tree.index import find_index
from data_prep.tree.layout import SPLITS, nfc, user_name
from groundwork.errors import KitError, UsageError
from groundwork.lock import LOCK_NAME
from groundwork.words import listed
from orbit_lite.forgetting.answers import ANSWERS_SUFFIX, answered_frames, find_in_answers
from orbit_lite.forgetting.checks import find_checks
from orbit_lite.forgetting.evaluation_page import find_evaluation_page
from orbit_lite.forgetting.found import Found, Subtree
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder, take_inventory
from orbit_lite.forgetting.mentions import left_alone, mentioned, not_searched
from orbit_lite.forgetting.personal_files import find_exports, find_personal
from orbit_lite.forgetting.runs import find_run
from orbit_lite.forgetting.tables import TABLE_SUFFIX, find_in_table
from orbit_lite.forgetting.trees import find_trees

ELSEWHERE = (
    "folders that were not given, other computers, and phones that filmed the videos",
    "models that were meta-trained on their videos: they can't unlearn them",
    "what was shared or printed, backups and snapshots, and freed blocks of the disk until they are overwritten",
)


def forget_participant(name: str, folders: Sequence[Path]) -> Forgotten:
    """Make the plan and carry it out without asking. Raises as `plan_forget_participant`, and if another run is in
    progress."""
    return plan_forget_participant(name, folders).carry_out()


def plan_forget_participant(name: str, folders: Sequence[Path]) -> Plan:
    """Plan the removal of a participant from everything below some folders. Changes nothing.

    Trees, runs, checks, tables, answers, personal recognizers and their exports are found at any depth. A file is
    removed or rewritten only if its content, or its place and name in a tree, proves that it is this kit's and the
    participant's. Files that only mention the participant are listed and left. No symbolic link below the folders is
    followed.

    Args:
        name: the participant's name, as in the name of their folder of videos.
        folders: the folders to search, at any depth.

    Raises:
        UsageError: if a folder is missing or is part of a tree, or the name is invalid.
        DataError: if nothing is found, except of a participant whose name differs only in case or punctuation.
    """
    user = user_name(name)
    plan = _plan_of_user(user, folders)
    return replace(plan, look_again=(lambda: _appeared(user, folders),))


def _appeared(user: str, folders: Sequence[Path]) -> tuple[str, ...]:
    """Lines on files of the participant that were made between the list and the removal."""
    there = [folder for folder in folders if folder.is_dir()]
    try:
        changes = _plan_of_user(user, there).changes
    except KitError:  # only a similar name is left
        return ()
    return tuple(
        f"{change.line}: made after the list, so it was not removed; run the same command again" for change in changes
    )


def _plan_of_user(user: str, folders: Sequence[Path]) -> Plan:
    inventory = take_inventory(_roots(folders, user))
    trees = list(find_trees(inventory, user))
    left = [alone for tree in trees for alone in tree.left]
    found = sum((tree.found for tree in trees), Found())
    indexed = [tree.root for tree in trees if tree.root]
    for folder in inventory:
        found += find_run(folder, user, indexed)
    for folder in inventory:
        found += find_checks(folder, user) + find_evaluation_page(folder, user) + _cut_off(folder, user)
    for file in _in_files(inventory, user, found):
        found += file
    return _plan(inventory, user, found, left)


def _roots(folders: Sequence[Path], user: str) -> list[Path]:
    """The folders, resolved, without those inside another one."""
    for folder in folders:
        if not folder.is_dir():
            raise UsageError(f"{folder}: no such folder; expected a folder to search for {user}")
        path = folder.resolve()
        if nfc(path.name) == user and is_user_folder(path):
            raise UsageError(
                f"{folder}: is the participant's own folder of videos; give the folder around it: {path.parent}"
            )
        if path.name in SPLITS and find_index(path.parent):
            raise UsageError(f"{folder}: is part of the tree {path.parent}; give the whole tree")
    paths = list(dict.fromkeys(folder.resolve() for folder in folders))
    return [path for path in paths if not any(path != other and path.is_relative_to(other) for other in paths)]


def _cut_off(folder: SeenFolder, user: str) -> Found:
    """A folder of the participant in which an interrupted removal has left only its lock."""
    if user not in map(nfc, folder.place) or folder.names != [LOCK_NAME]:
        return Found()
    line = f"{folder.path}: an empty folder, left by an interrupted removal"
    change = Change(line, lambda: Forgotten((line,)))  # the lock is removed when it is released
    lock = frozenset([folder.path / LOCK_NAME])
    emptied = (EmptyFolder(folder.root, folder.place),)
    return Found(Plan((folder.path,), (change,), emptied=emptied), files=lock)


def _in_files(inventory: Sequence[SeenFolder], user: str, before: Found) -> Iterator[Found]:
    """What to remove from single files, in the order of removal, without files that were found before."""
    inventory = [
        replace(folder, files=tuple(file for file in folder.files if not before.accounts_for(file.path)))
        for folder in inventory
    ]
    for folder, file in _files(inventory, TABLE_SUFFIX):
        beside = folder.by_name.get(f"{Path(file.name).stem}{ANSWERS_SUFFIX}")
        answered = answered_frames(beside, user) if beside else {}
        yield find_in_table(folder, file, user, answered)
    for folder, file in _files(inventory, ANSWERS_SUFFIX):
        yield find_in_answers(folder, file, user)
    personal = [find_personal(folder, user) for folder in inventory]
    whole = {path: sha256 for _, files in personal for path, sha256 in files.items()}
    for folder in inventory:
        yield find_exports(folder, whole)
    for found, _ in personal:
        yield found


def _files(inventory: Sequence[SeenFolder], suffix: str) -> Iterator[tuple[SeenFolder, SeenFile]]:
    for folder in inventory:
        for file in folder.files:
            if Path(file.name).suffix.lower() == suffix:
                yield folder, file


def _plan(inventory: Sequence[SeenFolder], user: str, found: Found, left: Sequence[LeftAlone]) -> Plan:
    plan = found.plan
    there = bool(plan.changes or plan.remaining)
    listed_alone = Found(subtrees=tuple(Subtree(alone.path) for alone in left))
    looked_into = (*left_alone(inventory, left, found), *mentioned(inventory, user, found + listed_alone))
    other = (
        f"{one!r} is also there, and differs from {user!r} only in case or punctuation; if it is the same person, "
        "forget that name, too"
        for one in sorted(found.names)
        if there and one != user and is_spelled_like(one, user)
    )
    where = listed([str(folder.path) for folder in inventory if not folder.place])
    return replace(
        plan,
        left=(*plan.left, *looked_into),
        unreachable=(
            *other,
            *plan.unreachable,
            *not_searched(inventory, found + listed_alone),
            *(ELSEWHERE if there else ()),
        ),
        emptied=_emptied(user, found),
        beside=(*plan.beside, *(folder.path for folder in inventory if folder.has_use_locks)),
        used=(*plan.used, *(folder.path for folder in inventory if user in map(nfc, folder.place[-1:]))),
        note="" if there else nothing_found(found.names, user, where, "participant"),
    )


def _emptied(user: str, found: Found) -> tuple[EmptyFolder, ...]:
    """Folders that may be empty after the removal, and that held nothing else or are inside a folder with the
    participant's name; innermost first. The given folders stay, so that the same command still finds them."""
    folders = {folder.path: folder for folder in found.plan.emptied if folder.place}
    for file in found.removed:
        for depth in range(1, len(file.place)):
            if user in map(nfc, file.place[:depth]):
                folder = EmptyFolder(file.root, file.place[:depth])
                folders[folder.path] = folder
    return tuple(sorted(folders.values(), key=lambda folder: (-len(folder.place), folder.place)))
