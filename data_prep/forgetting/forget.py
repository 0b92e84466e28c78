"""A user out of a tree: their frames, raw videos or archive, and all that this kit made of them there.

First a plan: every file with the proof that it is this kit's and theirs, every table with how much of it is theirs.
Then the changes, in an order that lets the same call finish what was cut off, wherever that was: what was derived,
then the videos, and last the index, which says whose the videos were.
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
    "other trees: the raw videos that frames came from, trees resized, packed, split or copied; forget them in each",
    "runs that were not named, models trained on their videos, personal recognizers, tables written elsewhere",
    "what was shared, backups and snapshots, and freed blocks of the disk until they are overwritten",
)


def forget_user(root: Path, user: str) -> Forgotten:
    """Remove a user from a tree without asking: make the plan, and carry it out.

    Raises:
        UsageError: as `plan_forget`; or another run is at the tree.
        DataError: as `plan_forget`. Nothing is removed then.
    """
    return plan_forget(root, user).carry_out()


def plan_forget(root: Path, user: str) -> Plan:
    """What to remove so that a user is gone from a tree of frames, raw videos or packed users, with or without splits.

    With their videos go, in ROOT, beside it and in the cache: their annotations, their rows in the index and in the
    tables of quality and summary, their entries in the manifest, in a journal and in the private file of names, and
    what interrupted work has left of theirs. Nothing of the other users changes. What is not known to be this kit's is
    left, and so is all that stands behind a symbolic link: the plan names both.

    Args:
        root: the tree. It does not know of other trees, not even of the one that it was made from.
        user: the name as it stands in the tree.

    Raises:
        UsageError: there is no such folder, or this is no user's name.
        DataError: the index, the manifest or the file of names can't be read; or the tree has nothing of this user,
            but has one whose name differs in case or punctuation only.
    """
    plan = plan_in_tree(root, user)
    return plan if plan.changes or plan.remaining else replace(plan, note=nothing_of(root, user))


def plan_in_tree(root: Path, user: str) -> Plan:
    """As `plan_forget`, but there may be nothing of them."""
    case = open_case(root, user_name(user))
    plan = plan_of_case(case)
    left = (str(alone) for content in case.contents for alone in content.left)
    around = (*_mentioned(case), *(EVERYWHERE if plan.changes or plan.remaining else ()))
    return replace(plan, left=(*left, *plan.left), unreachable=(*plan.unreachable, *around))


def plan_of_case(case: ForgetCase) -> Plan:
    """The same without what is not the kit's under the user's name, files that only name them, and other places."""
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
    left = tuple(f"{path}: not the annotations of a video of theirs" for path in strange)
    used = (case.root, *(content.path for content in case.contents))
    beside = (case.root, *(case.root / split for split in SPLITS))
    return Plan(
        (case.root,), tuple(changes), left, tuple(remaining), tuple(_unreachable(case)), used=used, beside=beside
    )


def nothing_of(root: Path, user: str) -> str:
    """What to say where a tree has nothing of a user. After a `forget` that finished, that is as it should be.

    Raises:
        DataError: as `nothing_found`.
    """
    return nothing_found(users_in(root, user_levels(root)), user, root)


def _changes(case: ForgetCase) -> Iterator[Change | str]:
    """What to change but for annotations, in the order that the module's docstring says; a line in place of each
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
    """Folders of the tree that are links and lead to where something of the user stands."""
    for level in case.behind_links:
        if case.user in users_in(case.root, [level]):
            target = (case.root / level).resolve()
            yield (
                f"{case.root / level}: a symbolic link to {target}, not followed, and {case.user} stands there; forget"
                f" them there, too: orbit-lite forget --data '{target}' --user '{case.user}'"
            )
    is_theirs = case.ownership()
    for level in dict.fromkeys(("", *case.levels, *case.behind_links)):
        folder = case.root / ANNOTATIONS / level
        if not case.below.link_on_way(folder.relative_to(case.root).parts):
            continue
        names = [nfc(path.stem) for path in visible(folder) if path.suffix == ".json"]
        if theirs := sum(map(is_theirs, names)):
            yield (
                f"{folder}: a symbolic link leads to {folder.resolve()}, not followed, with the annotations of"
                f" {counted(theirs, 'video')} of theirs; remove them there"
            )


def _unreachable(case: ForgetCase) -> Iterator[str]:
    root = case.root
    files = [file for content in case.contents for file in content.files]
    if linked := sum(file.linked for file in files):
        yield (
            f"{counted(linked, 'file')} of theirs in {root} had another name on this disk (a hard link, as 'prep split'"
            " makes them) and still stand under it; forget them in that tree too"
        )
    targets = {target if target.is_dir() else target.parent for file in files if (target := file.leads_to)}
    for target in sorted(targets):
        yield f"{target}: symbolic links led there from {root}; the links are removed, what is there is not"
    for archive in visible(root / DOWNLOADS):
        yield f"{archive}: a published archive holds all its users; remove it"
    if (root / RECORD_NAME).is_file():
        yield f"{root} was downloaded: unpacking the published archives again brings them back"
    if (root / MANIFEST_NAME).is_file():
        yield f"{root} was made from another tree: resuming from one that still has them brings them back"


def _mentioned(case: ForgetCase) -> Iterator[str]:
    for place in case.places:
        of_shards = [path.name for path in user_entries.quality_tables_of_shards(place)]
        for path in texts_naming(place, case.user, known=(*user_entries.TABLES, *of_shards)):
            yield f"{path}: not written by this kit, and names {case.user}; look into it"
