"""The verb `demo`."""

import argparse
from pathlib import Path

from groundwork.command_line import Subparsers
from groundwork.console import say_text
from groundwork.options import WritesFolder
from orbit_lite.cli.options import add_seed


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "demo",
        help="run every step on a small synthetic data set, from raw videos to a report",
        description="Make the pocket set, a small synthetic data set, and run every step on it: extract frames, "
        "meta-train, evaluate and report, then teach and test a personal recognizer. This needs no download.",
    )
    verb.add_argument("--out", type=WritesFolder(), default=Path("demo"), help="folder for all results (default: demo)")
    add_seed(verb, of="the pocket set and of training", default=0)
    verb.set_defaults(run=_demo, resumes=True)


def _demo(options: argparse.Namespace) -> None:
    from orbit_lite.demo import run_demo

    say_text(str(run_demo(options.out, seed=options.seed)))
