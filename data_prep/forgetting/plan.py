"""What a `forget` is going to remove, line by line, before it removes anything; and what it did."""

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
    """What became of everything of a user, a line each.

    Attributes:
        removed: what is gone.
        left: what stands under their name but is not this kit's, and was not touched.
        remaining: what is theirs and could not be removed, such as what stands behind a symbolic link.
        unreachable: where else something of theirs may be.
        note: what there is to say where nothing was to be removed.
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
        return self.beside(Plan())

    def beside(self, plan: "Plan") -> str:
        """The lines without those that were printed with the plan already."""
        return _lines(
            "" if plan.note else self.note,
            ("removed", self.removed),
            ("left", tuple(line for line in self.left if line not in plan.left)),
            ("still there", tuple(line for line in self.remaining if line not in plan.remaining)),
            ("could not reach", self.unreachable),
        )


@dataclass(frozen=True)
class Change:
    """One thing to remove: what it is, with how much of it there is, and how to remove it.

    `carry_out` gives back what came of it: lines of what is removed, and of what is not for it changed meanwhile.
    """

    line: str
    carry_out: Callable[[], Forgotten]


@dataclass(frozen=True)
class EmptyFolder:
    """A folder that goes if nothing is in it. `place` is its path below a root, as the disk has it."""

    root: Root
    place: tuple[str, ...]

    @classmethod
    def of(cls, folder: Path) -> Self:
        """The folder that stands at a path now, by whatever links."""
        return cls(Root.of(folder.parent), (folder.name,))

    @property
    def path(self) -> Path:
        """Where it stands."""
        return self.root.path.joinpath(*self.place)

    def remove(self) -> None:
        """Remove it if it is empty, and can still be reached from folder to folder."""
        with suppress(PathChanged), self.root.opened(self.place[:-1]) as parent:
            parent.remove_empty(self.place[-1])


@dataclass(frozen=True)
class Plan:
    """The changes in the order in which they are made: cut off anywhere, a new plan finishes the work.

    Attributes:
        folders: held for this process alone while the changes are made.
        used: folders and files that nobody may be using meanwhile (`groundwork.use`), there or not: what is made of
            them would appear after the changes.
        beside: folders where a killed process may have left a lock of such use, which goes.
        emptied: folders that go after that, if nothing is left in them.
        note: what there is to say if there are no changes.
        look_again: each gives a line for everything of theirs that is there when all is done.
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
            UsageError: if another run is at one of the folders, or uses one; nothing is changed then.
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
    """A file to remove, or a symbolic link as a link. `place` is its path below a root, as the disk has it."""

    place: tuple[str, ...]
    identity: Identity


def remove_files(line: str, root: Root, files: Sequence[Removable], folders: Iterable[tuple[str, ...]] = ()) -> Change:
    """The change that removes files, in the order given within each folder, and then folders that are empty.

    Args:
        line: what they are, with counts.
        root: what they stand below.
        files: each with the identity it was noted with; one that changed since is left and named.
        folders: places below the root. One that is not empty stays.
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
        but = f"; but not {counted(len(files) - removed, 'file')} of it" if changed else ""
        return Forgotten((line + but,) if removed or not files else (), remaining=tuple(changed))

    return Change(line, carry_out)


def change_file(line: str, root: Root, place: Sequence[str], change: Callable[[], int | bool]) -> Change | str:
    """The change of one file's content, not made if a symbolic link stands on the way to it, now or when it is to be
    made.

    Args:
        line: what goes, with counts.
        root: what the file stands below.
        place: its path below the root.
        change: makes it; nothing is reported where it gives 0 or False.

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
    """What to say where there is nothing of a user, or of something else, by its name.

    After a `forget` that finished that is as it should be; and nothing tells a name that was removed from one that was
    never there. One that must be mistyped is refused.

    Args:
        known: the names that are there.
        name: the one that is not.
        where: a tree, run or file, or several in words.
        what: `name` is a name of.

    Raises:
        DataError: if a name that is there differs from this one in case or punctuation only.
    """
    others = sorted({*known} - {nfc(name)})
    for other in others:
        if is_spelled_like(other, name):
            raise DataError(f"{where}: no {what} {name!r}; did you mean {other!r}? Nothing was removed.")
    near = difflib.get_close_matches(name, others, n=1)
    hint = f" (if you meant {near[0]!r}: that one is still there)" if near else ""
    return f"{where}: nothing of {what} {name!r}: already gone, or never here{hint}"


def refuse_unfinished(forgotten: Forgotten) -> None:
    """See that nothing of theirs is still there.

    Raises:
        DataError: if something is; it names the first.
    """
    if forgotten.remaining:
        more = f" (and {len(forgotten.remaining) - 1} more, see above)" if len(forgotten.remaining) > 1 else ""
        raise DataError(f"not all of it could be removed: {forgotten.remaining[0]}{more}")


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
