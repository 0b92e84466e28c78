"""Checks of the output folder of a tree: separate from its source, and new, empty or begun by the same command."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from data_prep.tree.layout import ANNOTATIONS, INDEX_NAME, MANIFEST_NAME, SPLITS, tree_splits
from data_prep.tree.object_folder import video_entries, visible_entries
from groundwork.errors import UsageError
from groundwork.words import listed

BESIDE_USERS = (ANNOTATIONS, INDEX_NAME, MANIFEST_NAME)


def refuse_nested(source: Path, out: Path) -> None:
    """Require that OUT and its source do not contain each other, and that OUT is a folder if it exists.

    Raises:
        UsageError: otherwise.
    """
    if out.resolve().is_relative_to(source.resolve()) or source.resolve().is_relative_to(out.resolve()):
        raise UsageError(f"{out}: expected a folder that is not inside {source} and does not contain it.")
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out}: is a file, expected a new or existing folder.")


def refuse_foreign(out: Path, expected: Collection[str], *, beside: Collection[str] = BESIDE_USERS) -> None:
    """Require that OUT holds only what the command would write there; hidden names are ignored.

    Args:
        out: the folder; it need not exist.
        expected: users' folders or archives, `[split/]USER`.
        beside: other names that OUT may contain.

    Raises:
        UsageError: otherwise.
    """
    splits = {place.partition("/")[0] for place in expected if "/" in place} & set(SPLITS)
    present = [path for path in _visible(out) if path.name not in (*beside, *splits)]
    present += [path for split in splits for path in _visible(out / split)]
    names = {path.relative_to(out).as_posix() for path in present}
    if foreign := sorted(names - set(expected)):
        raise UsageError(f"{out}: holds something else ({listed(foreign)}); expected a new or empty folder.")


def videos_in(out: Path) -> set[str]:
    """The folders in OUT at the level of videos, relative to OUT, with `/`."""
    return {
        Path(entry.path).relative_to(out).as_posix()
        for split in tree_splits(out)
        for user in _visible(out / split)
        for thing in _visible(user)
        for _, entry in video_entries(thing)
        if entry.is_dir()
    }


def refuse_foreign_videos(source: Path, out: Path, places: Iterable[str]) -> None:
    """Require that OUT has no videos other than those of the source.

    Raises:
        UsageError: if `places`, the other videos in OUT, is not empty.
    """
    if foreign := sorted(places):
        raise UsageError(
            f"{out}: contains videos that do not come from {source}: {listed(foreign)}."
            " Remove them, or use another folder."
        )


def _visible(folder: Path) -> Sequence[Path]:
    return [Path(entry.path) for entry in visible_entries(folder)]
