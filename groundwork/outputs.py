"""What a verb reads and writes. Before its work: no output takes the place of an input or of another output, and each
can be written; while it works, no other process writes the same files.
"""

import os
import stat
import sys
import tempfile
import unicodedata
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from groundwork.errors import FULL_DISK, UsageError
from groundwork.lock import only_writer
from groundwork.targets import Target, target


@dataclass(frozen=True)
class Protected:
    """What of an input folder is the kit's, and no output may take the place of, there already or not.

    Attributes:
        names: of files in the folder itself.
        folders: in it, with all that is in them.
        suffixes: of files anywhere in it.
    """

    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()

    def holds(self, parts: Sequence[str]) -> bool:
        """Whether a place in the folder, as the names on the way to it, is one of these."""
        name = _folded(parts[-1])
        return (
            (len(parts) == 1 and name in map(_folded, self.names))
            or _folded(parts[0]) in map(_folded, self.folders)
            or name.endswith(self.suffixes or ("\0",))
        )


@dataclass(frozen=True)
class Input:
    """Something to read. `name` is what the command line calls it: `--tasks`, `TREE`."""

    name: str
    path: Path
    kept: Protected = field(default_factory=Protected, repr=False)


@dataclass(frozen=True)
class Output:
    """Something to write.

    Attributes:
        name: what the command line calls it: `--out`, `OUT`.
        path: a file, or a folder that is made or resumed as a whole.
        is_folder: which of the two.
        binary: whether the file is nothing to look at in a terminal.
        example: a file's name to suggest where a folder is given.
        in_place: the names of inputs that it may be the same as.
        checked: whether it must be writable; else the verb says itself what it could not write.
    """

    name: str
    path: Path
    is_folder: bool = False
    binary: bool = False
    example: str = ""
    in_place: tuple[str, ...] = ()
    checked: bool = True


def require_outputs(inputs: Sequence[Input], outputs: Sequence[Output]) -> None:
    """See that no output is an input or another output, by whatever path, or would take the place of a file of an input
    folder, and that each can be written.

    Raises:
        UsageError: naming the two, or why it can't be written. Nothing is touched then.
    """
    for number, output in enumerate(outputs):
        leads = _require_place(output) if output.checked else target(output.path)
        for given in inputs:
            if given.name not in output.in_place:
                _require_apart(output, leads, given)
        for other in outputs[:number]:
            if _is_one_output(leads, target(other.path)):
                raise UsageError(
                    f"{output.name} {output.path}: the same file as {other.name} {other.path}; give each its own"
                )
        if not leads.stream and not output.is_folder and _is_standard_output(leads.path):
            raise UsageError(
                f"{output.name} {output.path}: the file that standard output goes to; give another {output.name}"
            )


@contextmanager
def hold_outputs(outputs: Sequence[Output]) -> Iterator[None]:
    """Keep other processes from writing the same files while the block runs. Folders have locks of their own, streams
    have none.

    Folders that are missing above a file are made, and go again if nothing was written into them.

    Raises:
        UsageError: if another process holds one.
    """
    with ExitStack() as stack:
        for output in outputs:
            leads = target(output.path)
            if output.is_folder or leads.stream:
                continue
            with suppress(*([] if output.checked else [OSError])):
                stack.enter_context(_made(leads.path.parent))
                stack.enter_context(only_writer(leads.path, f"{output.name} {output.path}"))
        yield


def writes_to(outputs: Sequence[Output], descriptor: int) -> bool:
    """Whether an output goes to this open descriptor of the process: 1 is standard output."""
    return any(target(output.path).descriptor == descriptor for output in outputs if not output.is_folder)


def _require_place(output: Output) -> Target:
    """See that an output can be written where it leads."""
    try:
        leads = target(output.path)
        if leads.stream and not output.is_folder:
            _require_stream(output, leads)
            return leads
        there = os.stat(leads.path) if os.path.lexists(leads.path) else None
    except OSError as error:
        raise _unwritable(output, error.strerror or str(error)) from None
    if output.is_folder and there is None and leads.path != output.path:
        raise UsageError(f"{output.name} {output.path}: a link to {leads.path}, which is not there; make that folder")
    if output.is_folder and there is not None and not stat.S_ISDIR(there.st_mode):
        raise UsageError(f"{output.name} {output.path}: a file; {output.name} takes a folder")
    if not output.is_folder and there is not None:
        if stat.S_ISDIR(there.st_mode):
            such = f", such as {output.path / output.example}" if output.example else ""
            raise UsageError(f"{output.name} {output.path}: a folder; {output.name} takes a file{such}")
        if not os.access(leads.path, os.W_OK):
            raise _unwritable(output, "it is write-protected, or on a read-only disk")
    folder = leads.path if output.is_folder else leads.path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".", suffix=".part"):  # permissions alone don't tell
            pass
    except OSError as error:
        if error.errno in FULL_DISK:
            raise OSError(error.errno, error.strerror, str(output.path)) from None
        raise _unwritable(output, f"{folder}: {error.strerror or error}") from None
    return leads


def _require_stream(output: Output, leads: Target) -> None:
    if leads.descriptor is None:
        mode = os.stat(leads.path).st_mode
        if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            raise _unwritable(output, "a socket" if stat.S_ISSOCK(mode) else "a disk")
        if not os.access(leads.path, os.W_OK):
            raise _unwritable(output, "it is write-protected")
        return
    os.fstat(leads.descriptor)
    if sys.platform != "win32":
        import fcntl

        if fcntl.fcntl(leads.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise _unwritable(output, "it is open for reading alone")
    if output.binary and os.isatty(leads.descriptor):
        raise UsageError(f"{output.name} {output.path}: a terminal, and the file is no text; pipe it, or name a file")


def _unwritable(output: Output, why: str) -> UsageError:
    what = "folder" if output.is_folder else "file"
    return UsageError(
        f"{output.name} {output.path}: no {what} can be written there ({why}); give another {output.name}"
    )


def _require_apart(output: Output, leads: Target, given: Input) -> None:
    if _is_same(leads.path, given.path) and not _is_device(given.path):
        what = "folder" if output.is_folder else "file"
        raise UsageError(
            f"{output.name} {output.path}: the same {what} as {given.name} {given.path}; give another {output.name}"
        )
    if not leads.stream and given.path.is_dir() and _is_kept(leads.path, given):
        raise UsageError(
            f"{output.name} {output.path}: would take the place of what belongs to {given.name} {given.path}; give "
            f"another {output.name}"
        )


def _is_kept(path: Path, given: Input) -> bool:
    """Whether a path is a place of an input folder's own, also where a folder directly in it is a link."""
    if any(_is_same(path, given.path / name) for name in given.kept.names):
        return True
    place, root = Path(os.path.realpath(path)), Path(os.path.realpath(given.path))
    with os.scandir(root) as entries:
        linked = [entry.name for entry in entries if entry.is_symlink() and entry.is_dir()]
    for name in ("", *linked):
        folder = Path(os.path.realpath(root / name))
        if place != folder and place.is_relative_to(folder):
            parts = (*([name] if name else []), *place.relative_to(folder).parts)
            if given.kept.holds(parts):
                return True
    return False


def _is_same(a: Path, b: Path) -> bool:
    """Whether two paths lead to one file or folder: by links, hard links, another case; or would, once it is there."""
    with suppress(OSError):
        return os.path.samestat(os.stat(a), os.stat(b))
    return os.path.realpath(a) == os.path.realpath(b)


def _is_one_output(a: Target, b: Target) -> bool:
    if a.stream != b.stream:
        return False
    if a.stream:
        same = a.descriptor == b.descriptor if None not in (a.descriptor, b.descriptor) else _is_same(a.path, b.path)
        return same and not _is_same(a.path, Path(os.devnull))
    if _is_same(a.path, b.path):
        return True
    # Not there yet: on disks that tell no cases apart, these would be one.
    new = not (a.path.exists() or b.path.exists())
    return new and _is_same(a.path.parent, b.path.parent) and _folded(a.path.name) == _folded(b.path.name)


def _is_standard_output(path: Path) -> bool:
    with suppress(OSError):
        out = os.fstat(1)
        return stat.S_ISREG(out.st_mode) and os.path.samestat(out, os.stat(path))
    return False


def _is_device(path: Path) -> bool:
    """Whether it can be read and written at once, as a terminal can."""
    with suppress(OSError):
        return stat.S_ISCHR(os.stat(path).st_mode)
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    missing = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
    try:
        yield
    finally:
        for path in missing:
            with suppress(OSError):  # something is in it, or it was removed
                path.rmdir()
