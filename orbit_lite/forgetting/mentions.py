"""Lists files that name a participant but are not proven to be theirs, so that somebody can look into them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from data_prep.forgetting.derived import MOST_BYTES, TEXTS
from data_prep.forgetting.derived import contains_name as names_user
from data_prep.forgetting.user_files import LeftAlone
from data_prep.tree.layout import nfc
from eval.formats.records import read_predictions
from groundwork.errors import KitError
from groundwork.words import counted, listed
from orbit_lite.forgetting.found import Found
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder

_PREDICTIONS = ".parquet"


def mentioned(folders: Sequence[SeenFolder], user: str, found: Found) -> Iterator[str]:
    """Yield a line for each folder with files that name a participant in their file name or text, and for each folder
    with the participant's name.

    Args:
        folders: all folders searched, each before those in it.
        user: the participant's name.
        found: what was found of the participant; files that it accounts for are skipped.
    """
    named: list[Path] = []
    for folder in folders:
        if any(folder.path.is_relative_to(path) for path in named):
            continue
        if folder.place and _is_named(folder.path, user):
            named.append(folder.path)
            if rest := len(list(_rest(folders, folder.path, found))):
                yield f"{folder.path}: a folder with {counted(rest, 'file')}, not this kit's; look into it"
            continue
        paths = [file.path for file in folder.files if not found.accounts_for(file.path) and _names(file, user)]
        others = (*folder.links, *(folder.path / name for name in (*folder.frames, *folder.hidden)))
        paths += [path for path in others if not found.accounts_for(path) and _is_named(path, user)]
        if len(paths) == 1:
            yield f"{paths[0]}: names {user}; look into it"
        elif paths:
            names = listed([path.name for path in paths])
            yield f"{folder.path}: {len(paths)} files name {user}; look into them: {names}"


def left_alone(folders: Sequence[SeenFolder], left: Sequence[LeftAlone], found: Found) -> Iterator[str]:
    """Yield a line for each path under the participant's name in a tree that is not the tree's and not found
    otherwise."""
    for alone in left:
        rest = len(list(_rest(folders, alone.path, found)))
        if rest == len(list(_rest(folders, alone.path, Found()))):
            yield str(alone)
        elif rest:
            yield f"{alone.path}: {counted(rest, 'more file')}, not this kit's"


def not_searched(folders: Sequence[SeenFolder], found: Found) -> Iterator[str]:
    """Yield a line for each link and folder that was skipped, except links into the searched folders."""
    roots = {folder.root.path for folder in folders}
    for folder in folders:
        links = [path for path in folder.links if not found.accounts_for(path)]
        targets = {path: path.resolve() for path in links}
        away = [path for path in links if not any(targets[path].is_relative_to(root) for root in roots)]
        if away:
            yield (
                f"{folder.path}: {counted(len(away), 'symbolic link')}, not followed; if the targets belong to the "
                f"study, give them, too: {listed([f'{path.name} to {targets[path]}' for path in away])}"
            )
        if hidden := [name for name in folder.hidden if not found.accounts_for(folder.path / name)]:
            yield f"{folder.path}: {counted(len(hidden), 'hidden folder')}, not searched: {listed(hidden)}"
        yield from folder.unsearched


def _rest(folders: Sequence[SeenFolder], path: Path, found: Found) -> Iterator[Path]:
    """All files and links at a path and below it that are not accounted for."""
    for folder in folders:
        if folder.path.is_relative_to(path) or path.parent == folder.path:
            for one in (*(file.path for file in folder.files), *folder.links):
                if one.is_relative_to(path) and not found.accounts_for(one):
                    yield one


def _names(file: SeenFile, user: str) -> bool:
    if _is_named(file.path, user):
        return True
    if file.path.suffix.lower() == _PREDICTIONS:
        try:
            return user in set(read_predictions(file.path)["user"])
        except (KitError, OSError, ValueError):  # another program's file
            return False
    is_text = file.path.suffix.lower() in TEXTS and file.size_bytes <= MOST_BYTES
    return is_text and names_user(file.path.read_bytes(), user)


def _is_named(path: Path, user: str) -> bool:
    return names_user(nfc(path.name).encode(errors="surrogateescape"), user)
