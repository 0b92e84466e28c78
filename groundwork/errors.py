"""The kit's one tree of exceptions: a user's mistake becomes one line on stderr, never a traceback."""

import errno
import os
import re

_NO_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|not enough memory|out of memory|bad_alloc"
    r"|can't start new thread|failed to allocate",
    re.IGNORECASE,
)  # as torch, OpenCV and the system's loader of libraries say it

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_OPEN_FILES = (errno.EMFILE, errno.ENFILE)
SHORTAGES = (*FULL_DISK, *_OPEN_FILES, errno.ENOMEM)  # the machine's, whatever file it was at


class KitError(Exception):
    """Something a user can put right. The message says what, where, what was expected and what to do."""

    exit_code = 1


class DataError(KitError):
    """The data, or a file, is not what it should be: exit 1."""

    exit_code = 1


class UsageError(KitError):
    """The request can't be carried out as it was put (a name, an option, a path): exit 2."""

    exit_code = 2


def system_line(error: OSError) -> str:
    """A full disk, a missing permission: the system's words on one line, where, and what to do about a shortage."""
    place = f": {error.filename}" if error.filename else ""
    advice = ""
    if error.errno in FULL_DISK:
        advice = ". Make room, then run the same command again"
    elif error.errno in _OPEN_FILES:
        advice = ". Raise the limit (ulimit -n) or take fewer --workers, then run the same command again"
    return f"{error.strerror or error}{place}{advice}"


def raise_shortage(error: BaseException, path: object) -> None:
    """Raise an error again that says that the machine is short of disk or open files: for whoever takes all others as a
    fault of the file at `path`. Not so of memory: a damaged file may ask for any amount.

    Raises:
        OSError: with the system's number and words, and the file's name.
    """
    number = getattr(error, "errno", None)
    if number in (*FULL_DISK, *_OPEN_FILES):
        raise OSError(number, os.strerror(number), str(path)) from None


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error says that the machine is short of disk, memory or open files, and nothing of the data."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in SHORTAGES)


def memory_line(error: BaseException) -> str:
    """One line for an error that says that memory ran out; "" for another error."""
    told = isinstance(error, ImportError | RuntimeError | OSError) or type(error).__module__.startswith("cv2")
    if isinstance(error, KitError) or not (
        isinstance(error, MemoryError) or (told and _NO_MEMORY.search(str(error))) or _is_no_memory(error)
    ):
        return ""
    return (
        "not enough memory; close other programs, raise the limit if there is one (ulimit -v), or use smaller numbers"
    )


def _is_no_memory(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOMEM
