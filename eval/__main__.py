"""`python -m eval VERB …`: only the evaluation commands, for machines without torch."""

import argparse
import sys
from collections.abc import Sequence

from eval.command import add_eval_verbs
from groundwork.command_line import EXIT_STATUS_HELP, CommandParser, run_command
from groundwork.console import start_in_utf8
from groundwork.options import STREAM_HELP, run_verb, with_own_parser

EPILOG = f"""
Files: tasks.jsonl holds the tasks, predictions.parquet the predictions, scorecard.json the scores. results.json is the
format of the ORBIT challenges 2022 and 2023/24; score and check accept one as --predictions. {STREAM_HELP}
{EXIT_STATUS_HELP} docs/evaluation.md has examples.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status, see `exit_status`."""
    if arguments is None:
        start_in_utf8()
    chosen = _parser().parse_args(arguments)
    return run_command("eval", chosen, lambda: run_verb(chosen))


def _parser() -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = CommandParser(
        prog="python -m eval",
        description="Score predictions, check, compare and rank them, and report on them.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add_eval_verbs(verbs)
    return with_own_parser(parser)


if __name__ == "__main__":
    sys.exit(main())
