"""The kit's one tree of exceptions: a user's mistake becomes one line on stderr, never a traceback."""


class KitError(Exception):
    """Something a user can put right. The message says what, where, what was expected and what to do."""

    exit_code = 1


class FoundWrong(KitError):
    """The data, or a file, is not what it should be: exit 1."""

    exit_code = 1


class AskedWrong(KitError):
    """The request can't be carried out as it was put (a name, an option, a path): exit 2."""

    exit_code = 2
