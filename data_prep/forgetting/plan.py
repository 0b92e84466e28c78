"""The plan of a `forget`, line by line, before it removes anything; and its outcome."""

import difflib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from data_prep.tree.layout import nfc
from groundwork.errors import DataError
from groundwork.lock import only_run
from groundwork.pages.cells import printable
from groundwork.progress import Progress
from groundwork.removal import Identity, PathChanged, Root
from groundwork.targets import links_not_followed
from groundwork.use import exclusive_use, remove_abandoned_locks
from groundwork.words import counted

_TOO_FEW_FOR_PROGRESS = 100


@dataclass(frozen=True)
class Forgotten:
    """The outcome of a `forget`, one line for each thing.

    Attributes:
        removed: what was removed.
        left: what has their name but is not this kit's, and was not touched.
        remaining: what is theirs and could not be removed, such as files behind a symbolic link.
        unreachable: other places that may have data of theirs.
        note: the message if there was nothing to remove.
    """

    removed: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    note: str = ""

    def __add__(self, other: "Forgotten") -> "Forgotten":
        def both(first: tuple[str, ...], second: tuple[str, ...]) -> tuple[str, ...]:
            return tuple(dict.fromkeys((*first, *second)))

        return Forgotten(
            (*self.removed, *other.removed),
            both(self.left, other.left),
            both(self.remaining, other.remaining),
            both(self.unreachable, other.unreachable),
            self.note,
        )

    def __str__(self) -> str:
        return self.not_in(Plan())

    def not_in(self, plan: "Plan") -> str:
        """The lines, without those that the plan has printed already."""
        return _lines(
            "" if plan.note else self.note,
            ("removed", self.removed),
            ("left", tuple(line for line in self.left if line not in plan.left)),
            ("still there", tuple(line for line in self.remaining if line not in plan.remaining)),
            ("could not reach", self.unreachable),
        )


@dataclass(frozen=True)
class Change:
    """One thing to remove: a line that says what and how much it is, and the function that removes it.

    `carry_out` returns the outcome: what was removed, and what was not because it had changed in the meantime.
    """

    line: str
    carry_out: Callable[[], Forgotten]


@dataclass(frozen=True)
class EmptyFolder:
    """A folder to remove if it is empty. `place` is its path below a root, spelled as on disk."""

    root: Root
    place: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The folder that is at a path now; links are followed."""
        return cls(Root.of(folder.parent), (folder.name,))

    @property
    def path(self) -> Path:
        """Its full path."""
        return self.root.path.joinpath(*self.place)

    def remove(self) -> None:
        """Remove it if it is empty, and can still be reached from folder to folder."""
        with suppress(PathChanged), self.root.opened(self.place[:-1]) as parent:
            parent.remove_empty(self.place[-1])


@dataclass(frozen=True)
class Plan:
    """The changes in the order in which they are made. If they are interrupted, a new plan finishes the work.

    Attributes:
        folders: locked for this process while the changes are made.
        used: folders and files, existing or not, that no other command may use meanwhile (`groundwork.use`): results
            made from them could appear after the changes.
        beside: folders where killed processes may have left lock files of such use, which are removed.
        emptied: folders that are then removed if they are empty.
        note: the message if there are no changes.
        look_again: functions that give a line for everything of theirs that is left after the changes.
    """

    folders: tuple[Path, ...] = ()
    changes: tuple[Change, ...] = ()
    left: tuple[str, ...] = ()
    remaining: tuple[str, ...] = ()
    unreachable: tuple[str, ...] = ()
    emptied: tuple[EmptyFolder, ...] = ()
    note: str = ""
    used: tuple[Path, ...] = ()
    beside: tuple[Path, ...] = ()
    look_again: tuple[Callable[[], tuple[str, ...]], ...] = ()

    def __add__(self, other: "Plan") -> "Plan":
        return Plan(
            tuple(dict.fromkeys((*self.folders, *other.folders))),
            (*self.changes, *other.changes),
            (*self.left, *other.left),
            (*self.remaining, *other.remaining),
            tuple(dict.fromkeys((*self.unreachable, *other.unreachable))),
            (*self.emptied, *other.emptied),
            used=tuple(dict.fromkeys((*self.used, *other.used))),
            beside=tuple(dict.fromkeys((*self.beside, *other.beside))),
            look_again=(*self.look_again, *other.look_again),
        )

    def __str__(self) -> str:
        return _lines(
            self.note,
            ("to remove", tuple(change.line for change in self.changes)),
            ("left", self.left),
            ("still there", self.remaining),
        )

    def carry_out(self) -> Forgotten:
        """Make the changes.

        Raises:
            UsageError: if another run is writing or using one of the folders; nothing is changed then.
        """
        forgotten = Forgotten((), self.left, self.remaining, self.unreachable, self.note)
        with ExitStack() as held:
            held.enter_context(exclusive_use(self.used if self.changes else ()))
            for folder in self.folders if self.changes else ():
                held.enter_context(only_run(folder))
            for change in self.changes:
                forgotten += change.carry_out()
        for empty in self.emptied:
            empty.remove()
        for folder in {*self.beside, *(path.parent for path in self.used)}:
            remove_abandoned_locks(folder)
        for look in self.look_again if self.changes else ():
            forgotten += Forgotten(remaining=look())
        return forgotten


@dataclass(frozen=True)
class Removable:
    """A file to remove, or a symbolic link itself. `place` is its path below a root, spelled as on disk."""

    place: tuple[str, ...]
    identity: Identity


def remove_files(line: str, root: Root, files: Sequence[Removable], folders: Iterable[tuple[str, ...]] = ()) -> Change:
    """A change that removes files, in the given order within each folder, and then folders that are empty.

    Args:
        line: what they are, with counts.
        root: the folder that they are below.
        files: each with its recorded identity; a file that has changed since is left and named.
        folders: paths below the root. A folder that is not empty stays.
    """
    by_folder: dict[tuple[str, ...], list[Removable]] = defaultdict(list)
    for file in files:
        by_folder[file.place[:-1]].append(file)

    def carry_out() -> Forgotten:
        changed: list[str] = []
        removed = 0
        with Progress("files", len(files), quiet=len(files) < _TOO_FEW_FOR_PROGRESS) as progress:
            for place, inside in by_folder.items():
                try:
                    with root.opened(place) as folder:
                        for file in inside:
                            if folder.remove(file.place[-1], file.identity):
                                removed += 1
                            else:
                                changed.append(_changed(root, file.place))
                            progress.advance()
                except PathChanged:
                    if os.path.lexists(root.path.joinpath(*place)):
                        changed.append(_changed(root, place))
                    else:  # gone, with all that was in it
                        removed += len(inside)
        for place in sorted(folders, key=len, reverse=True):
            try:
                with root.opened(place[:-1]) as folder:
                    folder.remove_empty(place[-1])
            except PathChanged:
                continue
        exception = f"; except for {counted(len(files) - removed, 'file')}" if changed else ""
        return Forgotten((line + exception,) if removed or not files else (), remaining=tuple(changed))

    return Change(line, carry_out)


def change_file(line: str, root: Root, place: Sequence[str], change: Callable[[], int | bool]) -> Change | str:
    """A change of one file's content. It is not made if there is a symbolic link on the path, now or when it is due.

    Args:
        line: what is removed, with counts.
        root: the folder that the file is below.
        place: its path below the root.
        change: makes the change; if it returns 0 or False, nothing is reported.

    Returns:
        the change, or a line that says which link prevents it.
    """

    def refusal() -> str:
        if not root.is_there():
            return f"{line}; {root.path} was replaced after it was listed"
        link = root.link_on_way(place)
        return f"{line}; {link} is a symbolic link to {link.resolve()}, not followed" if link else ""

    def carry_out() -> Forgotten:
        if refused := refusal():
            return Forgotten(remaining=(refused,))
        with links_not_followed():
            return Forgotten((line,)) if change() else Forgotten()

    return refusal() or Change(line, carry_out)


def nothing_found(known: Iterable[str], name: str, where: Path | str, what: str = "user") -> str:
    """The message if there is nothing of a user, or of something else with a name.

    After a `forget` that finished, that is as it should be, and a removed name can't be told from one that never
    existed. A name that is clearly mistyped is an error.

    Args:
        known: the existing names.
        name: the name that was not found.
        where: a tree, run or file, or several in words.
        what: what kind of thing has the name.

    Raises:
        DataError: if an existing name differs from this one in case or punctuation only.
    """
    others = sorted({*known} - {nfc(name)})
    for other in others:
        if is_spelled_like(other, name):
            raise DataError(f"{where}: no {what} {name!r}; did you mean {other!r}? Nothing was removed.")
    near = difflib.get_close_matches(name, others, n=1)
    hint = f" (if you meant {near[0]!r}: that {what} is still there)" if near else ""
    return f"{where}: nothing of {what} {name!r}: already gone, or never here{hint}"


def refuse_unfinished(forgotten: Forgotten) -> None:
    """Require that nothing of theirs remains.

    Raises:
        DataError: if something does; names the first.
    """
    if forgotten.remaining:
        more = f" (and {len(forgotten.remaining) - 1} more, see above)" if len(forgotten.remaining) > 1 else ""
        raise DataError(f"not everything could be removed: {forgotten.remaining[0]}{more}")


def is_spelled_like(one: str, other: str) -> bool:
    """Whether two names differ in case and punctuation only, or not at all."""
    return _letters(one) == _letters(other) != ""


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, nfc(name).casefold()))


def _changed(root: Root, place: tuple[str, ...]) -> str:
    return f"{root.path.joinpath(*place)}: changed after it was listed, so it was left; run the same command again"


def _lines(note: str, *groups: tuple[str, tuple[str, ...]]) -> str:
    return "\n".join(
        [
            *([printable(note)] if note else []),
            *(printable(f"{what}: {line}") for what, lines in groups for line in lines),
        ]
    )
