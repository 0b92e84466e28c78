"""The command `orbit-lite`, with one module per group of verbs. Callers use `main`."""

from orbit_lite.cli.parser import main

__all__ = ["main"]
