"""The command `orbit-lite`. It imports nothing heavy until a verb runs, so that --help answers at once."""

import argparse
import sys
from collections.abc import Sequence
from textwrap import fill

from eval.command import add_eval_verbs
from groundwork.command_line import EXIT_STATUS_HELP, CommandParser, run_command
from groundwork.console import say, start_in_utf8
from groundwork.options import STREAM_HELP, named_paths, run_verb, with_own_parser
from orbit_lite.cli import check_user, demo, evaluating, export, forget, personalize, prep, recognize, studio, training
from orbit_lite.cli.completion import complete

EPILOG = f"""
Each step reads the files of the step before it: raw videos, frame tree,
index.csv, tasks.jsonl, recognizer, predictions.parquet, scorecard.json,
report. You can start from any of them.
'orbit-lite COMMAND --help' explains a command.

{fill(STREAM_HELP, 79)}
{EXIT_STATUS_HELP}
"""

# in the order of --help
VERBS = (demo, prep, training, evaluating, personalize, recognize, check_user, export, forget, studio)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb. A user's mistake is one line on stderr and exit status 1 or 2, never a traceback."""
    if arguments is None:
        start_in_utf8()
    parser = _parser()
    if arguments is None:
        complete(parser)
    options = _parsed(parser, arguments)
    if_stopped = "run the same command to resume" if options.resumes else "nothing was written in part"
    return run_command("orbit-lite", options, lambda: _run(options), if_stopped=if_stopped)


def _run(options: argparse.Namespace) -> None:
    if not options.of_participants:
        run_verb(options)
        return
    from orbit_lite.personal.in_use import using

    inputs, outputs = named_paths(options.parser, options)
    with using([*(given.path for given in inputs), *(output.path for output in outputs)]):
        run_verb(options)


def _parsed(parser: argparse.ArgumentParser, arguments: Sequence[str] | None) -> argparse.Namespace:
    """Parse the arguments; accept key=value after options, too, where argparse accepts it only before them."""
    options, more = parser.parse_known_args(arguments)
    if any("=" not in one or one.startswith("-") for one in more) or (more and "overrides" not in options):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    if more:
        options.overrides += more
    return options


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = CommandParser(
        prog="orbit-lite",
        description="A toolkit for teachable object recognizers and the ORBIT benchmark.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    parser.set_defaults(resumes=False)  # whether repeating the command resumes it after a stop
    parser.set_defaults(of_participants=False)  # whether it reads a participant's videos or recognizer
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in VERBS:
        module.add(verbs)
    add_eval_verbs(verbs)
    return with_own_parser(parser)


class _Version(argparse.Action):
    """Looks the version up only when needed."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from orbit_lite import __version__

        say(f"orbit-lite {__version__}")
        parser.exit()


if __name__ == "__main__":
    sys.exit(main())
