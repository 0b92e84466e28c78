"""The one command, `orbit-lite`: a module for each group of verbs. Others call `main`."""

from orbit_lite.cli.parser import main

__all__ = ["main"]
