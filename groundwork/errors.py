"""The kit's exceptions: a user's mistake becomes one line on stderr, never a traceback."""

import errno
import os
import re

_NO_MEMORY = re.compile(
    r"failed to map segment|cannot allocate memory|can't allocate memory|not enough memory|out of memory|bad_alloc"
    r"|can't start new thread|failed to allocate",
    re.IGNORECASE,
)  # the wording of torch, OpenCV and the system's library loader

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)
_OPEN_FILES = (errno.EMFILE, errno.ENFILE)
SHORTAGES = (*FULL_DISK, *_OPEN_FILES, errno.ENOMEM)  # of the machine, so not the fault of any file


class KitError(Exception):
    """An error that the user can fix. The message says what, where, what was expected and what to do."""

    exit_code = 1


class DataError(KitError):
    """The data or a file is not as it should be: exit 1."""

    exit_code = 1


class UsageError(KitError):
    """The request can't be carried out as given (a name, an option, a path): exit 2."""

    exit_code = 2


def system_line(error: OSError) -> str:
    """One line for a system error, such as a full disk: the system's words, the file, and advice on a shortage."""
    place = f": {error.filename}" if error.filename else ""
    advice = ""
    if error.errno in FULL_DISK:
        advice = ". Make room, then run the same command again"
    elif error.errno in _OPEN_FILES:
        advice = ". Raise the limit (ulimit -n) or take fewer --workers, then run the same command again"
    return f"{error.strerror or error}{place}{advice}"


def raise_shortage(error: BaseException, path: object) -> None:
    """Raise the error again if it says that the disk is full or too many files are open; otherwise do nothing.

    For callers that blame every other error on the file at `path`. A lack of memory is not raised again: a damaged file
    may ask for any amount.

    Raises:
        OSError: with the system's error number and words, and the file's name.
    """
    number = getattr(error, "errno", None)
    if number in (*FULL_DISK, *_OPEN_FILES):
        raise OSError(number, os.strerror(number), str(path)) from None


def is_shortage(error: BaseException | None) -> bool:
    """Whether an error is only a shortage of disk space, memory or open files, and says nothing about the data."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in SHORTAGES)


def memory_line(error: BaseException) -> str:
    """One line for an error that says that memory ran out; "" for any other error."""
    may_be = isinstance(error, ImportError | RuntimeError | OSError) or type(error).__module__.startswith("cv2")
    if isinstance(error, KitError) or not (
        isinstance(error, MemoryError) or (may_be and _NO_MEMORY.search(str(error))) or _is_no_memory(error)
    ):
        return ""
    return "not enough memory; close other programs, raise the limit if one is set (ulimit -v), or use smaller numbers"


def _is_no_memory(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno == errno.ENOMEM
