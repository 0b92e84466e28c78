"""The verb `check-user`."""

import argparse

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import DataError
from groundwork.options import Reads, WritesFolder, add_json
from orbit_lite.cli.numbers import not_negative
from orbit_lite.cli.options import (
    add_backbone_and_weights,
    add_device,
    add_engine,
    add_model_alone,
    add_seed,
    add_workers,
    processes,
)


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "check-user",
        help="estimate how well a user's videos teach, and advise what to film next",
        description="Leave out some of the user's videos in turn and show them to a recognizer taught with the "
        "others. Report what is recognized, what is confused, and whether more videos may help. This needs no test "
        "videos.",
    )
    verb.add_argument(
        "what",
        type=Reads(TREE_FILES),
        nargs="+",
        metavar="USER_DIR",
        help="a user's folder, or a personal recognizer's file (without --model); several users get one table",
    )
    add_model_alone(verb)
    add_backbone_and_weights(verb)
    verb.add_argument(
        "--out",
        type=WritesFolder(),
        help="folder for the report: check.html, check.md, check.json, CSV files and a figure",
    )
    verb.add_argument(
        "--draws",
        type=not_negative,
        help="random subsets of videos for each point of the learning curve; 0 for no curve (default: 10)",
    )
    add_seed(verb, of="these subsets")
    add_workers(verb)
    add_device(verb)
    add_engine(verb)
    add_json(verb, "check.json")
    verb.set_defaults(run=_check_user, of_participants=True)


def _check_user(options: argparse.Namespace) -> None:
    from orbit_lite.models.choice import choose_start
    from orbit_lite.personal.checking.check_user import check_users
    from orbit_lite.personal.checking.numbers import user_numbers, write_check_json
    from orbit_lite.personal.checking.participants import mean_text
    from orbit_lite.personal.checking.report import write_check, write_checks
    from orbit_lite.personal.checking.words import check_text
    from orbit_lite.runs.devices import named_device

    given = options.model is not None or options.backbone or options.weights
    found, failed = check_users(
        options.what,
        choose_start(options.model, options.backbone, options.weights) if given else None,
        checked=lambda check: say_text(check_text(check)),
        seed=options.seed,
        draws=options.draws,
        workers=processes(options),
        device=named_device(options.device),
        engine=options.engine,
    )
    if len(options.what) > 1 and found:
        say_text(mean_text({check.user: user_numbers(check) for check in found}))
    if options.out is not None and found:
        written = write_checks(found, options.out) if len(options.what) > 1 else write_check(found[0], options.out)
        say(f"written: {written}")
    if options.json and found:
        write_check_json(options.json, {check.user: user_numbers(check) for check in found})
    if failed:
        rest = "the others were checked" if found else "nothing was written"
        raise DataError(f"{len(failed)} of {len(options.what)} users failed: {', '.join(map(str, failed))}; {rest}")
