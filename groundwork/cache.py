"""Where a user's own copies of what can be made again stand."""

import os
from pathlib import Path


def cache_base() -> Path:
    """The kit's folder in the user's cache, by each system's custom. Not created here.

    Where the user has no home, as in a container that runs as a number, it is a place that can't be written to.
    """
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    try:
        return Path(base or Path.home() / ".cache") / "orbit-lite"
    except RuntimeError:
        return Path(os.devnull) / "orbit-lite"
