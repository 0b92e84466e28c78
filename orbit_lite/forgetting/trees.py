"""Finds a participant in the trees of frames, raw videos and packed users among some folders."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from data_prep.forgetting.case import ForgetCase, open_case
from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.forget import plan_of_case
from data_prep.forgetting.plan import Plan, is_spelled_like
from data_prep.forgetting.user_entries import TABLES
from data_prep.forgetting.user_files import LeftAlone
from data_prep.forgetting.user_places import is_exported, is_user_folder, users_in
from data_prep.tree.index import find_index, index_places
from data_prep.tree.layout import ANNOTATIONS, SPLITS, place_user
from data_prep.tree.naming import table_places
from data_prep.tree.packed import ARCHIVE_SUFFIX
from groundwork.errors import DataError
from groundwork.files import part_path
from orbit_lite.forgetting.found import Found, Subtree, guarded, written_name
from orbit_lite.forgetting.inventory import SeenFolder


@dataclass(frozen=True)
class FoundTree:
    """One folder that is a tree, or looks like one.

    Attributes:
        found: what it has of the participant, without `left`.
        left: paths under the participant's name that are not a tree's.
        inner: folders in which to search for no other tree.
        root: the tree, if it has an index.
    """

    found: Found
    left: tuple[LeftAlone, ...] = ()
    inner: tuple[Subtree, ...] = ()
    root: Path | None = None


def find_trees(folders: Sequence[SeenFolder], user: str) -> Iterator[FoundTree]:
    """Yield every tree, outer ones first.

    A folder is a tree if something in it is provably this user's video or derived from one. The splits of a tree, and
    its users, do not count as trees.
    """
    inner: list[Subtree] = []
    for folder in folders:
        if _may_be_tree(folder, user) and not any(place.contains(folder.path) for place in inner):
            tree = _look(folder, user)
            inner += tree.inner
            yield tree


def _may_be_tree(folder: SeenFolder, user: str) -> bool:
    names = folder.names
    if {*names} & {*TABLES, *SPLITS, ANNOTATIONS} or any(is_spelled_like(_user_named(name), user) for name in names):
        return True
    return any(path.is_file() for path in (*index_places(folder.path), *table_places(folder.path)))


def _user_named(name: str) -> str:
    """The user that a name would stand for at the place of a tree's users."""
    name = written_name(name)
    return place_user(name) if is_exported(name) else name.removesuffix(ARCHIVE_SUFFIX)


def _look(folder: SeenFolder, user: str) -> FoundTree:
    try:
        case = open_case(folder.path, user)
        plan = plan_of_case(case)
    except DataError as error:
        theirs = any(_user_named(name) == user for name in folder.names) or any(
            names_user(file.path.read_bytes(), user) for file in folder.files if file.name in TABLES
        )
        return FoundTree(
            Found(Plan(remaining=(f"{folder.path}: could not be searched: {error}",)) if theirs else Plan())
        )
    names = frozenset(_users(case))
    root = folder.path if find_index(folder.path) else None
    annotations = [Subtree(path) for path in (folder.path / ANNOTATIONS, part_path(folder.path / ANNOTATIONS))]
    if not (plan.changes or plan.remaining):
        beside = tuple(annotations) if root else ()
        return FoundTree(Found(Plan(left=plan.left), subtrees=beside, names=names), root=root)
    left = tuple(alone for content in case.contents for alone in content.left)
    tables = frozenset(path for place in case.places for path in _tables(place))
    links = frozenset(folder.path / level for level in case.behind_links)
    below = [Subtree(held.path, excluding=tuple(alone.path for alone in held.left)) for held in case.contents]
    splits = (
        Subtree(folder.path / level, excluding=tuple(alone.path for alone in left)) for level in case.levels if level
    )
    found = Found(guarded(plan, folder), files=tables | links, subtrees=(*below, *annotations), names=names)
    return FoundTree(found, left, inner=(*splits, *below), root=root)


def _tables(place: Path) -> Iterator[Path]:
    yield from (place / name for name in TABLES)
    yield from index_places(place)
    yield from table_places(place)


def _users(case: ForgetCase) -> Iterator[str]:
    """All users of a tree. Without an index, there may also be folders that are not users."""
    yield from (row.user for row in case.every_row)
    for level in case.levels:
        for name in users_in(case.root, [level]) - set(case.levels):
            folder = case.root / level / name
            if not folder.is_dir() or is_user_folder(folder):
                yield name
