"""`orbit-lite forget`: an object or all of a personal recogniser, or a user out of a tree and its runs."""

import argparse
from typing import TYPE_CHECKING

from data_prep.layout import TREE_FILES
from groundwork.errors import AskedWrong
from groundwork.options import Changes

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_forget_verb(verbs: "Subparsers") -> None:
    """Add `forget` to the parser of orbit-lite; it sets `run`."""
    verb = verbs.add_parser(
        "forget",
        help="remove an object or a user, and list what could not be reached",
        description="Either FILE, a personal recogniser: all of it, or some objects. Or --data and --user.",
        allow_abbrev=False,
    )
    verb.add_argument("file", type=Changes(), nargs="?", metavar="FILE", help="as 'orbit-lite personalize' writes it")
    verb.add_argument(
        "--object", action="append", default=[], metavar="NAME", help="only this object of FILE; may be repeated"
    )
    verb.add_argument(
        "--data", type=Changes(TREE_FILES), metavar="ROOT", help="a tree of frames, raw videos or packed users"
    )
    verb.add_argument("--user", metavar="NAME", help="the user to remove from it")
    verb.add_argument(
        "--run",
        dest="run_folders",
        action="append",
        default=[],
        type=Changes(),
        metavar="RUN",
        help="with --data: from this run's folder, too; may be repeated",
    )
    verb.set_defaults(run=_forget, goes_on=True)


def _forget(options: argparse.Namespace) -> None:
    if (options.file is None) == (options.data is None):
        raise AskedWrong("give either FILE, a personal recogniser, or --data ROOT with --user NAME")
    if options.file is not None:
        if options.user is not None or options.run_folders:
            raise AskedWrong(
                "--user and --run go with --data; of a personal recogniser give --object, or nothing for all"
            )
        from orbit_lite.personal.forget import forget_in_file

        print(forget_in_file(options.file, options.object))
        return
    if options.user is None or options.object:
        raise AskedWrong("--data goes with --user NAME, and without --object")
    from orbit_lite.forget import forget

    print(forget(options.data, options.user, options.run_folders))
