"""`orbit-lite forget`: an object or all of a personal recognizer, a user out of a tree and its runs, or a participant
out of everything in some folders.

It lists what it is going to remove, and removes nothing before somebody has agreed.
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
        help="remove an object, a user or a participant, and list what could not be reached",
        description="Either FILE, a personal recognizer: all of it, or some objects. Or --data and --user. Or "
        "--participant and folders: everything of theirs that is in them. It lists what it is going to remove, and "
        "asks. What is not this kit's is never removed, and no link is followed.",
    )
    verb.add_argument(
        "paths",
        type=Changes(checked=False),
        nargs="*",
        metavar="FILE",
        help="as 'orbit-lite personalize' writes it; with --participant folders, searched at any depth",
    )
    verb.add_argument(
        "--participant",
        metavar="NAME",
        help="the participant to remove from all trees, runs, checks, tables and personal recognizers in the folders",
    )
    verb.add_argument(
        "--object", action="append", default=[], metavar="NAME", help="only this object of FILE; may be repeated"
    )
    verb.add_argument(
        "--data",
        type=Changes(TREE_FILES, checked=False),
        metavar="ROOT",
        help="a tree of frames, raw videos or packed users",
    )
    verb.add_argument("--user", metavar="NAME", help="the user to remove from it")
    verb.add_argument(
        "--run",
        dest="run_folders",
        action="append",
        default=[],
        type=Changes(checked=False),
        metavar="RUN",
        help="with --data: also from this run's folder; may be repeated",
    )
    consent = verb.add_mutually_exclusive_group()
    consent.add_argument("--yes", action="store_true", help="remove what is listed without asking")
    consent.add_argument("--dry-run", action="store_true", help="list what would be removed, and remove nothing")
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
    if text := forgotten.beside(plan):
        say_text(text)
    refuse_unfinished(forgotten)


def _plan(options: argparse.Namespace) -> "Plan":
    if options.participant is not None:
        return _plan_for_participant(options)
    if bool(options.paths) == (options.data is not None):
        raise UsageError(
            "give either FILE, a personal recognizer, or --data ROOT with --user NAME, or --participant NAME with "
            "folders"
        )
    if options.paths:
        if options.user is not None or options.run_folders:
            raise UsageError(
                "--user and --run go with --data; of a personal recognizer give --object, or nothing for all"
            )
        if len(options.paths) > 1:
            raise UsageError(f"{len(options.paths)} files; give one FILE, or --participant NAME with folders")
        from orbit_lite.personal.forget import plan_forget_in_file

        return plan_forget_in_file(options.paths[0], options.object)
    if options.user is None or options.object:
        raise UsageError("--data goes with --user NAME, and without --object")
    from orbit_lite.forget import plan_forget

    return plan_forget(options.data, options.user, options.run_folders)


def _plan_for_participant(options: argparse.Namespace) -> "Plan":
    if options.object or options.run_folders or options.data is not None or options.user is not None:
        raise UsageError("--participant goes with folders alone: it finds trees, runs and files in them by itself")
    if not options.paths:
        raise UsageError("--participant: give the folders to search, such as the study's")
    from orbit_lite.forgetting.participant import plan_forget_participant

    return plan_forget_participant(options.participant, options.paths)


def _ask() -> None:
    """Ask on the terminal.

    Raises:
        UsageError: if there is none, or the answer is not yes: nothing is removed then.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError(
            "nothing was removed: there is no terminal to ask on. Read the list above, then give --yes to remove it"
        )
    try:
        answer = input("Remove all of this? It can't be undone. [y/N] ")
    except EOFError:
        answer = ""
        say("")
    if answer.strip().lower() not in _YES:
        raise UsageError("nothing was removed: the answer was not yes")
