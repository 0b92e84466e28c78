"""Completion of the command line with the Tab key, by argcomplete if it is installed.

The shell sets a variable and runs the command; argcomplete prints what could come next, and the command ends.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from groundwork.command_line import BRITISH
from groundwork.options import Reads, Writes, WritesFolder, leaf_parsers

if TYPE_CHECKING:
    from orbit_lite.config import ConfigKind

ASKED = "_ARGCOMPLETE"  # set by argcomplete's function in the shell

# Options (by attribute name) that take the name of a built-in config, and the kind of config.
BUILT_IN: "dict[str, ConfigKind]" = {
    "config": "experiment",
    "learner": "learner",
    "model": "learner",
    "protocol": "protocol",
    "suite": "suite",
}


def complete(parser: argparse.ArgumentParser) -> None:
    """Answer a shell that asks for completions, and exit. Return if no shell asks, or argcomplete is missing."""
    if ASKED not in os.environ:
        return
    try:
        from argcomplete import autocomplete
        from argcomplete.completers import ChoicesCompleter, FilesCompleter
    except ImportError:
        return
    files = FilesCompleter()
    nothing = ChoicesCompleter({})
    for verb in leaf_parsers(parser):
        verb._refuse_unknown_options = lambda words: None  # type: ignore[attr-defined]  # argcomplete continues
        for action in verb._actions:
            if action.dest in BUILT_IN and isinstance(action.type, Reads):
                action.completer = _names_and(files, BUILT_IN[action.dest])  # type: ignore[attr-defined]
            elif isinstance(action.type, Reads | Writes | WritesFolder):
                action.completer = files  # type: ignore[attr-defined]
    autocomplete(parser, exit_method=sys.exit, exclude=[*BRITISH.values()], default_completer=nothing)


def _names_and(files: Callable[..., Iterable[str]], kind: "ConfigKind") -> Callable[..., list[str]]:
    def completions(prefix: str, **given: object) -> list[str]:
        from orbit_lite.config import builtin_names

        return [*builtin_names(kind), *files(prefix, **given)]

    return completions
