"""The kit's one tree of exceptions: a user's mistake becomes one line on stderr, never a traceback."""

import errno

FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class KitError(Exception):
    """Something a user can put right. The message says what, where, what was expected and what to do."""

    exit_code = 1


class FoundWrong(KitError):
    """The data, or a file, is not what it should be: exit 1."""

    exit_code = 1


class AskedWrong(KitError):
    """The request can't be carried out as it was put (a name, an option, a path): exit 2."""

    exit_code = 2


def system_line(error: OSError) -> str:
    """A full disk, a missing permission: the system's words on one line, where, and what to do about a full disk."""
    place = f": {error.filename}" if error.filename else ""
    full = error.errno in FULL_DISK
    return f"{error.strerror or error}{place}{'. Make room, then run the same command again' if full else ''}"
