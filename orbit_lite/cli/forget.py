"""`orbit-lite forget` removes an object from a personal recognizer or all of it, a user from a tree and its runs, or a
participant from everything in some folders.

It lists what it will remove, and removes nothing until the user agrees.
"""

import argparse
import sys
from typing import TYPE_CHECKING

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import printable_line, say, say_text
from groundwork.errors import UsageError
from groundwork.options import Changes

if TYPE_CHECKING:
    from data_prep.forgetting.plan import Plan

_YES = ("y", "yes")


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "forget",
        help="remove an object or all of a user's data, and list what can't be reached",
        description="Remove one of three things: a personal recognizer, FILE, or some of its objects; a user from a "
        "tree, with --data and --user; or all data of a participant in some folders, with --participant. The command "
        "lists what it will remove, then asks. It removes only files of this kit, and follows no links.",
    )
    verb.add_argument(
        "paths",
        type=Changes(checked=False),
        nargs="*",
        metavar="FILE",
        help="a personal recognizer; with --participant, folders, which are searched at any depth",
    )
    verb.add_argument(
        "--participant",
        metavar="NAME",
        help="participant to remove from all trees, runs, checks, tables and personal recognizers in the folders",
    )
    verb.add_argument(
        "--object", action="append", default=[], metavar="NAME", help="remove only this object of FILE; may be repeated"
    )
    verb.add_argument(
        "--data",
        type=Changes(TREE_FILES, checked=False),
        metavar="ROOT",
        help="a frame tree, packed or not, or a tree of raw videos",
    )
    verb.add_argument("--user", metavar="NAME", help="with --data: the user to remove")
    verb.add_argument(
        "--run",
        dest="run_folders",
        action="append",
        default=[],
        type=Changes(checked=False),
        metavar="RUN",
        help="with --data: also remove the user from this run folder; may be repeated",
    )
    consent = verb.add_mutually_exclusive_group()
    consent.add_argument("--yes", action="store_true", help="remove without asking")
    consent.add_argument("--dry-run", action="store_true", help="list what would be removed, but remove nothing")
    verb.set_defaults(run=_forget, resumes=True)


def _forget(options: argparse.Namespace) -> None:
    from data_prep.forgetting.plan import refuse_unfinished

    plan = _plan(options)
    say_text(str(plan))
    if options.dry_run:
        lines = [printable_line(f"could not reach: {line}") for line in plan.unreachable]
        say_text("\n".join([*lines, "nothing was removed: this was a dry run"]))
        return
    if plan.changes and not options.yes:
        _ask()
    forgotten = plan.carry_out()
    if text := forgotten.not_in(plan):
        say_text(text)
    refuse_unfinished(forgotten)


def _plan(options: argparse.Namespace) -> "Plan":
    if options.participant is not None:
        return _plan_for_participant(options)
    if bool(options.paths) == (options.data is not None):
        raise UsageError(
            "expected FILE, a personal recognizer; or --data ROOT with --user NAME; or --participant NAME with folders"
        )
    if options.paths:
        if options.user is not None or options.run_folders:
            raise UsageError(
                "--user and --run need --data; for a personal recognizer, give --object, or nothing to remove all of it"
            )
        if len(options.paths) > 1:
            raise UsageError(f"got {len(options.paths)} files; give one FILE, or --participant NAME with folders")
        from orbit_lite.personal.forget import plan_forget_in_file

        return plan_forget_in_file(options.paths[0], options.object)
    if options.user is None or options.object:
        raise UsageError("--data needs --user NAME, and can't be used with --object")
    from orbit_lite.forget import plan_forget

    return plan_forget(options.data, options.user, options.run_folders)


def _plan_for_participant(options: argparse.Namespace) -> "Plan":
    if options.object or options.run_folders or options.data is not None or options.user is not None:
        raise UsageError("--participant takes only folders: it finds the trees, runs and files in them itself")
    if not options.paths:
        raise UsageError("--participant: give the folders to search, such as the study's")
    from orbit_lite.forgetting.participant import plan_forget_participant

    return plan_forget_participant(options.participant, options.paths)


def _ask() -> None:
    """Ask on the terminal.

    Raises:
        UsageError: if there is no terminal, or the answer is not yes; nothing is removed then.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "nothing was removed: there is no terminal to ask on. Read the list above, then run again with --yes"
        )
    try:
        answer = input("Remove all of this? It can't be undone. [y/N] ")
    except EOFError:
        answer = ""
        say("")
    if answer.strip().lower() not in _YES:
        raise UsageError("nothing was removed: the answer was not yes")
