"""Where a user's own copies of what can be made again stand."""

import os
from pathlib import Path


def cache_base() -> Path:
    """The kit's folder in the user's cache, by each system's custom. Not created here.

    A base that is not absolute does not count (XDG Base Directory Specification). Where the user has no home, as in a
    container that runs as a number, it is a place that can't be written to.
    """
    bases = (os.environ.get(name, "") for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"))
    try:
        return Path(next(filter(os.path.isabs, bases), None) or Path.home() / ".cache") / "orbit-lite"
    except RuntimeError:
        return Path(os.devnull) / "orbit-lite"
