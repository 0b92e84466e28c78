"""Checks of what a verb reads and writes. Before it works: no output replaces an input or another output, and each can
be written. While it works: no other process writes the same files.
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
    """Files of an input folder that no output may replace, whether they exist yet or not.

    Attributes:
        names: names of files directly in the folder.
        folders: names of subfolders whose whole content is protected.
        suffixes: suffixes of files anywhere in the folder.
    """

    names: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    suffixes: tuple[str, ...] = ()

    def holds(self, parts: Sequence[str]) -> bool:
        """Whether a path in the folder, given as its parts, is protected."""
        name = _folded(parts[-1])
        return (
            (len(parts) == 1 and name in map(_folded, self.names))
            or _folded(parts[0]) in map(_folded, self.folders)
            or name.endswith(self.suffixes or ("\0",))
        )


@dataclass(frozen=True)
class Input:
    """Something to read. `name` is its name on the command line: `--tasks`, `TREE`."""

    name: str
    path: Path
    protected: Protected = field(default_factory=Protected, repr=False)


@dataclass(frozen=True)
class Output:
    """Something to write.

    Attributes:
        name: its name on the command line: `--out`, `OUT`.
        path: a file, or a folder that is created or resumed as a whole.
        is_folder: which of the two.
        binary: whether the file must not be written to a terminal.
        example: a file name to suggest if a folder is given instead.
        in_place: the names of inputs that it may be the same as.
        checked: whether it must be writable; if not, the verb reports itself what it could not write.
    """

    name: str
    path: Path
    is_folder: bool = False
    binary: bool = False
    example: str = ""
    in_place: tuple[str, ...] = ()
    checked: bool = True


def require_outputs(inputs: Sequence[Input], outputs: Sequence[Output]) -> None:
    """Require that no output is an input or another output (by any path) or would replace a protected file of an input
    folder, and that each output can be written.

    Raises:
        UsageError: names the two paths, or says why an output can't be written. Nothing has been changed then.
    """
    for number, output in enumerate(outputs):
        destination = _require_writable(output) if output.checked else target(output.path)
        for given in inputs:
            if given.name not in output.in_place:
                _require_apart(output, destination, given)
        for other in outputs[:number]:
            if _is_same_output(destination, target(other.path)):
                raise UsageError(
                    f"{output.name} {output.path}: the same file as {other.name} {other.path}; give each its own"
                )
        if not destination.stream and not output.is_folder and _is_standard_output(destination.path):
            raise UsageError(
                f"{output.name} {output.path}: the file that standard output goes to; give another {output.name}"
            )


@contextmanager
def hold_outputs(outputs: Sequence[Output]) -> Iterator[None]:
    """Keep other processes from writing the same files while the block runs. Output folders have locks of their own;
    streams have none.

    Missing parent folders are created, and removed again at the end if they are still empty.

    Raises:
        UsageError: if another process is writing one of the files.
    """
    with ExitStack() as stack:
        for output in outputs:
            destination = target(output.path)
            if output.is_folder or destination.stream:
                continue
            with suppress(*([] if output.checked else [OSError])):
                stack.enter_context(_parent_folders(destination.path.parent))
                stack.enter_context(only_writer(destination.path, f"{output.name} {output.path}"))
        yield


def writes_to(outputs: Sequence[Output], descriptor: int) -> bool:
    """Whether an output goes to this open file descriptor of the process; 1 is standard output."""
    return any(target(output.path).descriptor == descriptor for output in outputs if not output.is_folder)


def _require_writable(output: Output) -> Target:
    """Require that an output can be written; give where it leads."""
    try:
        destination = target(output.path)
        if destination.stream and not output.is_folder:
            _require_stream(output, destination)
            return destination
        status = os.stat(destination.path) if os.path.lexists(destination.path) else None
    except OSError as error:
        raise _unwritable(output, error.strerror or str(error)) from None
    if output.is_folder and status is None and destination.path != output.path:
        raise UsageError(
            f"{output.name} {output.path}: a link to {destination.path}, which does not exist; make that folder"
        )
    if output.is_folder and status is not None and not stat.S_ISDIR(status.st_mode):
        raise UsageError(f"{output.name} {output.path}: a file; {output.name} takes a folder")
    if not output.is_folder and status is not None:
        if stat.S_ISDIR(status.st_mode):
            such = f", such as {output.path / output.example}" if output.example else ""
            raise UsageError(f"{output.name} {output.path}: a folder; {output.name} takes a file{such}")
        if not os.access(destination.path, os.W_OK):
            raise _unwritable(output, "it is write-protected, or on a read-only disk")
    folder = destination.path if output.is_folder else destination.path.parent
    while not os.path.lexists(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".", suffix=".part"):  # permissions alone are not enough
            pass
    except OSError as error:
        if error.errno in FULL_DISK:
            raise OSError(error.errno, error.strerror, str(output.path)) from None
        raise _unwritable(output, f"{folder}: {error.strerror or error}") from None
    return destination


def _require_stream(output: Output, destination: Target) -> None:
    if destination.descriptor is None:
        mode = os.stat(destination.path).st_mode
        if not (stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)):
            raise _unwritable(output, "a socket" if stat.S_ISSOCK(mode) else "a disk")
        if not os.access(destination.path, os.W_OK):
            raise _unwritable(output, "it is write-protected")
        return
    os.fstat(destination.descriptor)
    if sys.platform != "win32":
        import fcntl

        if fcntl.fcntl(destination.descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
            raise _unwritable(output, "it is open for reading only")
    if output.binary and os.isatty(destination.descriptor):
        raise UsageError(
            f"{output.name} {output.path}: a terminal, but the file is not text; use a pipe, or name a file"
        )


def _unwritable(output: Output, why: str) -> UsageError:
    what = "folder" if output.is_folder else "file"
    return UsageError(
        f"{output.name} {output.path}: no {what} can be written there ({why}); give another {output.name}"
    )


def _require_apart(output: Output, destination: Target, given: Input) -> None:
    if _is_same(destination.path, given.path) and not _is_device(given.path):
        what = "folder" if output.is_folder else "file"
        raise UsageError(
            f"{output.name} {output.path}: the same {what} as {given.name} {given.path}; give another {output.name}"
        )
    if not destination.stream and given.path.is_dir() and _is_protected(destination.path, given):
        raise UsageError(
            f"{output.name} {output.path}: would replace a file that belongs to {given.name} {given.path}; give "
            f"another {output.name}"
        )


def _is_protected(path: Path, given: Input) -> bool:
    """Whether a path is a protected file of an input folder, also through a link directly in that folder."""
    if any(_is_same(path, given.path / name) for name in given.protected.names):
        return True
    place, root = Path(os.path.realpath(path)), Path(os.path.realpath(given.path))
    with os.scandir(root) as entries:
        linked = [entry.name for entry in entries if entry.is_symlink() and entry.is_dir()]
    for name in ("", *linked):
        folder = Path(os.path.realpath(root / name))
        if place != folder and place.is_relative_to(folder):
            parts = (*([name] if name else []), *place.relative_to(folder).parts)
            if given.protected.holds(parts):
                return True
    return False


def _is_same(a: Path, b: Path) -> bool:
    """Whether two paths lead to the same file or folder (by links, hard links, other case), or would if it existed."""
    with suppress(OSError):
        return os.path.samestat(os.stat(a), os.stat(b))
    return os.path.realpath(a) == os.path.realpath(b)


def _is_same_output(a: Target, b: Target) -> bool:
    if a.stream != b.stream:
        return False
    if a.stream:
        same = a.descriptor == b.descriptor if None not in (a.descriptor, b.descriptor) else _is_same(a.path, b.path)
        return same and not _is_same(a.path, Path(os.devnull))
    if _is_same(a.path, b.path):
        return True
    # Neither exists yet: on a disk that ignores case, names that differ in case only would be one file.
    new = not (a.path.exists() or b.path.exists())
    return new and _is_same(a.path.parent, b.path.parent) and _folded(a.path.name) == _folded(b.path.name)


def _is_standard_output(path: Path) -> bool:
    with suppress(OSError):
        out = os.fstat(1)
        return stat.S_ISREG(out.st_mode) and os.path.samestat(out, os.stat(path))
    return False


def _is_device(path: Path) -> bool:
    """Whether it can be read and written at the same time, as a terminal can."""
    with suppress(OSError):
        return stat.S_ISCHR(os.stat(path).st_mode)
    return False


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


@contextmanager
def _parent_folders(folder: Path) -> Iterator[None]:
    """Create missing folders; remove those that are still empty at the end."""
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
            with suppress(OSError):  # it is not empty, or was removed
                path.rmdir()
