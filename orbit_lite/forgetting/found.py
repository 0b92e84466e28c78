"""The result of a search for a participant: what to change, and which files are accounted for."""

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
class Subtree:
    """A folder and everything below it, except some paths in it and everything below these."""

    path: Path
    excluding: tuple[Path, ...] = ()

    def contains(self, path: Path) -> bool:
        return path.is_relative_to(self.path) and not any(path.is_relative_to(other) for other in self.excluding)


@dataclass(frozen=True)
class Found:
    """What was found of a participant in some places.

    Attributes:
        plan: what to change there.
        removed: files that the plan removes, to find the folders that will be empty.
        files: files that are the participant's, or the kit's and shared with others, so that nobody must look into
            them.
        subtrees: folders whose files are all like `files`.
        names: the names of all participants there.
    """

    plan: Plan = field(default_factory=Plan)
    removed: tuple[SeenFile, ...] = ()
    files: frozenset[Path] = frozenset()
    subtrees: tuple[Subtree, ...] = ()
    names: frozenset[str] = frozenset()

    def __add__(self, other: "Found") -> "Found":
        return Found(
            plan=self.plan + other.plan,
            removed=(*self.removed, *other.removed),
            files=self.files | other.files,
            subtrees=(*self.subtrees, *other.subtrees),
            names=self.names | other.names,
        )

    def accounts_for(self, path: Path) -> bool:
        """Whether a file is in `files` or `subtrees`."""
        return path in self.files or any(place.contains(path) for place in self.subtrees)


def changed(found: Change | str) -> Plan:
    """A plan with one change, or with the line that says why it can't be made."""
    return Plan(changes=(found,)) if isinstance(found, Change) else Plan(remaining=(found,))


def guarded(plan: Plan, folder: SeenFolder) -> Plan:
    """A plan for a tree or a run, whose changes are refused if a symbolic link has appeared on the path to its folder.
    The changes themselves handle links below it."""

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
    """Plan the removal of files in one folder, in this order, each after its leftovers of interrupted writing and the
    twin file that macOS puts beside it.

    Args:
        line: what they are; for several files, their number is added.
        folder: the folder of the files.
        files: the files to remove.
        names: see Found.
    """
    files = [one for file in files for one in (*_beside(folder, file.name), file)]
    number = f": {counted(len(files), 'file')}" if len(files) > 1 else ""
    change = remove_files(line + number, folder.root, [file.removable for file in files])
    paths = frozenset(file.path for file in files)
    return Found(Plan(changes=(change,)), removed=tuple(files), files=paths, names=frozenset(names))


def written_name(name: str) -> str:
    """The final name of a file: `b.csv` for itself, for its part `.b.csv.part` and for its lock."""
    return final_name(name).removesuffix(_LOCK) if is_part(name) else name


def _beside(folder: SeenFolder, name: str) -> list[SeenFile]:
    return [
        file
        for file in folder.files
        if file.name != name
        and (written_name(file.name) == name or (file.name == f"{_TWIN}{name}" and is_twin_file(file.path)))
    ]
