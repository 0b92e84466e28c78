"""The folder for a user's cached files, all of which can be made again."""

import os
from pathlib import Path


def cache_base() -> Path:
    """The kit's folder in the user's cache directory, as each operating system places it. It is not created here.

    A relative path in the environment is ignored (XDG Base Directory Specification). If the user has no home directory,
    as in a container that runs under a bare user ID, the result is a path that can't be written to.
    """
    bases = (os.environ.get(name, "") for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"))
    try:
        return Path(next(filter(os.path.isabs, bases), None) or Path.home() / ".cache") / "orbit-lite"
    except RuntimeError:
        return Path(os.devnull) / "orbit-lite"
