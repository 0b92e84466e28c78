"""The kit's one tree of exceptions: a user's mistake becomes one line on stderr, never a traceback."""

import errno
import sys
from collections.abc import Callable

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


def exit_status(program: str, work: Callable[[], object], *, if_stopped: str = "nothing was written in part") -> int:
    """Do a command's work; what a user can put right, or the system refuses, is one line on stderr.

    Args:
        program: the name that begins the line.
        work: the command.
        if_stopped: what Ctrl-C leaves, in words.

    Returns:
        0 done, 1 found something wrong, 2 asked for wrongly, 130 stopped by Ctrl-C.
    """
    try:
        work()
    except KitError as error:
        print(f"{program}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"{program}: stopped; {if_stopped}", file=sys.stderr)
        return 130
    except OSError as error:
        print(f"{program}: {system_line(error)}", file=sys.stderr)
        return 1
    return 0


def system_line(error: OSError) -> str:
    """A full disk, a missing permission: the system's words on one line, where, and what to do about a full disk."""
    place = f": {error.filename}" if error.filename else ""
    full = error.errno in FULL_DISK
    return f"{error.strerror or error}{place}{'. Make room, then run the same command again' if full else ''}"
