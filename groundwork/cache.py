"""Where a user's own copies of what can be made again stand."""

import os
from pathlib import Path


def cache_base() -> Path:
    """The kit's folder in the user's cache, by each system's custom. Not created here."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or str(Path.home() / ".cache")
    return Path(base) / "orbit-lite"
