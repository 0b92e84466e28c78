"""Removes a user from a tree: their frames, raw videos or archive, and everything that this kit made from them there.

First comes a plan: every file with the proof that it is this kit's and theirs, every table with the number of their
entries. Then come the changes, in an order that lets the same call finish an interrupted one: first derived data, then
the videos, last the index, which says whose videos they were.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from data_prep.archives.download import FOLDER_NAME as DOWNLOADS
from data_prep.archives.download import RECORD_NAME
from data_prep.forgetting import user_entries
from data_prep.forgetting.case import ForgetCase, open_case
from data_prep.forgetting.derived import find_annotations, texts_naming
from data_prep.forgetting.plan import Change, Forgotten, Plan, nothing_found, remove_files
from data_prep.forgetting.user_places import user_levels, users_in, visible
from data_prep.tree.layout import ANNOTATIONS, MANIFEST_NAME, SPLITS, nfc, user_name
from groundwork.words import counted

EVERYWHERE = (
    "other trees: the raw videos of the frames, and resized, packed, split or copied trees; forget the user in each",
    "runs that were not named, models trained on the videos, personal recognizers, tables written elsewhere",
    "shared files, backups and snapshots, and freed disk blocks until they are overwritten",
)


def forget_user(root: Path, user: str) -> Forgotten:
    """Remove a user from a tree without asking: make the plan and carry it out.

    Raises:
        UsageError: as in `plan_forget`; or another run is using the tree.
        DataError: as in `plan_forget`. Nothing is removed then.
    """
    return plan_forget(root, user).carry_out()


def plan_forget(root: Path, user: str) -> Plan:
    """Plan the removal of a user from a tree of frames, raw videos or packed users, with or without splits.

    Besides their videos, the plan covers data in ROOT, next to it and in the cache: annotations, rows in the index and
    in the tables of quality and summary, entries in the manifest, in a journal and in the private file of names, and
    what interrupted work has left. Other users' data is not changed. Files that are not known to be this kit's are left
    alone, and so is everything behind a symbolic link; the plan names both.

    Args:
        root: the tree. Other trees, even the one that it was made from, are not searched.
        user: the user's name in the tree.

    Raises:
        UsageError: there is no such folder, or the name can't be a user's.
        DataError: the index, the manifest or the file of names can't be read; or the tree has nothing of this user,
            but has a user whose name differs in case or punctuation only.
    """
    plan = plan_in_tree(root, user)
    return plan if plan.changes or plan.remaining else replace(plan, note=nothing_of(root, user))


def plan_in_tree(root: Path, user: str) -> Plan:
    """As `plan_forget`, but it is not an error if the tree has nothing of the user."""
    case = open_case(root, user_name(user))
    plan = plan_of_case(case)
    left = (str(alone) for content in case.contents for alone in content.left)
    around = (*_mentioned(case), *(EVERYWHERE if plan.changes or plan.remaining else ()))
    return replace(plan, left=(*left, *plan.left), unreachable=(*plan.unreachable, *around))


def plan_of_case(case: ForgetCase) -> Plan:
    """As `plan_in_tree`, but without foreign files under their name, files that only name them, and other places."""
    annotations, strange = find_annotations(case.below, case.user, case.ownership())
    changes: list[Change] = []
    remaining = [*_behind_links(case)]
    for found in _changes(case):
        if isinstance(found, Change):
            changes.append(found)
        else:
            remaining.append(found)
    if annotations:
        line = f"{case.root / ANNOTATIONS}: {counted(len(annotations), 'file')}"
        changes.insert(0, remove_files(line, case.below, annotations))
    left = tuple(f"{path}: not the annotations of one of their videos" for path in strange)
    used = (case.root, *(content.path for content in case.contents))
    beside = (case.root, *(case.root / split for split in SPLITS))
    return Plan(
        (case.root,), tuple(changes), left, tuple(remaining), tuple(_unreachable(case)), used=used, beside=beside
    )


def nothing_of(root: Path, user: str) -> str:
    """The message for a tree that has nothing of a user, as after a `forget` that finished.

    Raises:
        DataError: as in `nothing_found`.
    """
    return nothing_found(users_in(root, user_levels(root)), user, root)


def _changes(case: ForgetCase) -> Iterator[Change | str]:
    """The changes except those of annotations, in the order that the module's docstring gives; a line in place of each
    change that a symbolic link prevents."""
    for place in case.places:
        yield from user_entries.in_manifest(case, place)
        yield from user_entries.in_tables(case, place)
        yield from user_entries.cut_off(case, place)
    for content in case.contents:
        if not content.is_empty:
            yield remove_files(str(content), case.below, content.files, content.folders)
    yield from user_entries.in_download(case)
    for place in case.places:
        yield from user_entries.in_index(case, place)


def _behind_links(case: ForgetCase) -> Iterator[str]:
    """Lines on folders of the tree that are links and lead to data of the user."""
    for level in case.behind_links:
        if case.user in users_in(case.root, [level]):
            target = (case.root / level).resolve()
            yield (
                f"{case.root / level}: a symbolic link to {target}, not followed, which has {case.user}; forget them"
                f" there, too: orbit-lite forget --data '{target}' --user '{case.user}'"
            )
    is_theirs = case.ownership()
    for level in dict.fromkeys(("", *case.levels, *case.behind_links)):
        folder = case.root / ANNOTATIONS / level
        if not case.below.link_on_way(folder.relative_to(case.root).parts):
            continue
        names = [nfc(path.stem) for path in visible(folder) if path.suffix == ".json"]
        if theirs := sum(map(is_theirs, names)):
            yield (
                f"{folder}: a symbolic link leads to {folder.resolve()}, not followed, which has the annotations of"
                f" {counted(theirs, 'video')} of theirs; remove them there"
            )


def _unreachable(case: ForgetCase) -> Iterator[str]:
    root = case.root
    files = [file for content in case.contents for file in content.files]
    if linked := sum(file.linked for file in files):
        yield (
            f"{counted(linked, 'file')} of theirs in {root} had another name on this disk (a hard link, as 'prep split'"
            " makes) and still exist under that name; forget the user in that tree, too"
        )
    targets = {target if target.is_dir() else target.parent for file in files if (target := file.leads_to)}
    for target in sorted(targets):
        yield f"{target}: symbolic links led there from {root}; the links are removed, the files there are not"
    for archive in visible(root / DOWNLOADS):
        yield f"{archive}: a published archive holds all of its users; remove it"
    if (root / RECORD_NAME).is_file():
        yield f"{root} was downloaded: unpacking the published archives again brings them back"
    if (root / MANIFEST_NAME).is_file():
        yield (
            f"{root} was made from another tree; if that tree still has them, the command that made {root} would add"
            " them again"
        )


def _mentioned(case: ForgetCase) -> Iterator[str]:
    for place in case.places:
        of_shards = [path.name for path in user_entries.quality_tables_of_shards(place)]
        for path in texts_naming(place, case.user, known=(*user_entries.TABLES, *of_shards)):
            yield f"{path}: not written by this kit, and names {case.user}; look into it"
