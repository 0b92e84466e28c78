"""What a search has found of a participant: what is to change, and which files that accounts for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from data_prep.forgetting.plan import Change, EmptyFolder, Forgotten, Plan, remove_files
from data_prep.forgetting.user_files import is_twin_file
from groundwork.files import final_name, is_part
from groundwork.words import counted
from orbit_lite.forgetting.inventory import SeenFile, SeenFolder

_LOCK = "~lock"  # of a part's name, see groundwork.lock.lock_path
_TWIN = "._"


@dataclass(frozen=True)
class Below:
    """All that stands below a folder, and the folder; but for what stands at some places in it, and below these."""

    path: Path
    less: tuple[Path, ...] = ()

    def holds(self, path: Path) -> bool:
        return path.is_relative_to(self.path) and not any(path.is_relative_to(other) for other in self.less)


@dataclass(frozen=True)
class Found:
    """What some places have of a participant.

    Attributes:
        plan: what to change there.
        removed: files that the plan removes, for the folders that are empty then.
        files: that are the participant's, or the kit's with others in them: nobody needs to look into them.
        below: the same of all in some folders.
        names: of all participants there.
    """

    plan: Plan = field(default_factory=Plan)
    removed: tuple[SeenFile, ...] = ()
    files: frozenset[Path] = frozenset()
    below: tuple[Below, ...] = ()
    names: frozenset[str] = frozenset()

    def __add__(self, other: "Found") -> "Found":
        return Found(
            plan=self.plan + other.plan,
            removed=(*self.removed, *other.removed),
            files=self.files | other.files,
            below=(*self.below, *other.below),
            names=self.names | other.names,
        )

    def accounts_for(self, path: Path) -> bool:
        """Whether a file is among these."""
        return path in self.files or any(place.holds(path) for place in self.below)


def changed(found: Change | str) -> Plan:
    """A plan of one change; or of the line that says why it can't be made."""
    return Plan(changes=(found,)) if isinstance(found, Change) else Plan(remaining=(found,))


def guarded(plan: Plan, folder: SeenFolder) -> Plan:
    """A plan of a tree or a run, none of whose changes is made if a symbolic link stands on the way to its folder then:
    they know of links below it."""

    def unless_linked(change: Change) -> Change:
        def carry_out() -> Forgotten:
            link = folder.root.link_on_way(folder.place)
            if link is None and folder.root.is_there():
                return change.carry_out()
            return Forgotten(
                remaining=(f"{link or folder.root.path}: was replaced after it was listed; {change.line}",)
            )

        return Change(change.line, carry_out)

    emptied = (EmptyFolder(folder.root, folder.place),) if plan.emptied and folder.place else ()
    return replace(plan, changes=tuple(map(unless_linked, plan.changes)), emptied=emptied)


def removal(line: str, folder: SeenFolder, files: Sequence[SeenFile], names: Iterable[str] = ()) -> Found:
    """The removal of files in one folder, in their order, each after what interrupted writing of it has left and the
    twin that macOS puts beside it.

    Args:
        line: what they are; of several files, their number is added.
        folder: where they stand.
        files: what to remove.
        names: as of Found.
    """
    files = [one for file in files for one in (*_beside(folder, file.name), file)]
    number = f": {counted(len(files), 'file')}" if len(files) > 1 else ""
    change = remove_files(line + number, folder.root, [file.removable for file in files])
    paths = frozenset(file.path for file in files)
    return Found(Plan(changes=(change,)), removed=tuple(files), files=paths, names=frozenset(names))


def written_name(name: str) -> str:
    """The name that a file is written for: `b.csv` for itself, its part `.b.csv.part` and its lock."""
    return final_name(name).removesuffix(_LOCK) if is_part(name) else name


def _beside(folder: SeenFolder, name: str) -> list[SeenFile]:
    return [
        file
        for file in folder.files
        if file.name != name
        and (written_name(file.name) == name or (file.name == f"{_TWIN}{name}" and is_twin_file(file.path)))
    ]
