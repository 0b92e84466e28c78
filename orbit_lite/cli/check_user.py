"""The verb `check-user`."""

import argparse
from typing import TYPE_CHECKING

from data_prep.tree.layout import TREE_FILES
from groundwork.options import Reads, ReadsOrNames, WritesFolder
from orbit_lite.cli.numbers import not_negative, positive

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_check_user_verb(verbs: "Subparsers") -> None:
    """Add it to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "check-user",
        help="how well a user's own videos teach, by leaving them out in turn; what to film next",
        description="Before any test video exists: what is recognised, what is confused, what more filming may bring.",
        allow_abbrev=False,
    )
    verb.add_argument(
        "what", type=Reads(TREE_FILES), metavar="USER_DIR", help="a user's folder, or a personal recognizer's file"
    )
    verb.add_argument(
        "--model",
        type=ReadsOrNames(),
        help="for a folder: a checkpoint, or a learner's name with --backbone (default: ridge on efficientnet_lite0, "
        "whose ImageNet weights are installed with the kit; not meta-trained)",
    )
    verb.add_argument("--backbone", default="", help="for a learner's name: tiny, efficientnet_b0, ...")
    verb.add_argument(
        "--weights", type=ReadsOrNames(), default="", help="for a backbone: pretrained, random, or a file"
    )
    verb.add_argument(
        "--out", type=WritesFolder(), help="a folder for the report: check.html, check.md, CSVs and a picture"
    )
    verb.add_argument(
        "--draws", type=not_negative, help="subsets of videos for each point of the learning curve; 0 for no curve"
    )
    verb.add_argument("--seed", type=not_negative, default=1991, help="seed of those subsets (default: 1991)")
    verb.add_argument("--workers", type=positive, help="processes that decode (default: one a core)")
    verb.add_argument("--device", default="", help="cpu, cuda, ... (default: cuda where there is one)")
    verb.set_defaults(run=_check_user)


def _check_user(options: argparse.Namespace) -> None:
    from orbit_lite.models.choice import choose_start
    from orbit_lite.personal.checking.check_user import check_user
    from orbit_lite.personal.checking.report import write_check
    from orbit_lite.personal.checking.words import check_text
    from orbit_lite.runs.devices import named_device

    given = options.model is not None or options.backbone or options.weights
    found = check_user(
        options.what,
        choose_start(options.model, options.backbone, options.weights) if given else None,
        seed=options.seed,
        draws=options.draws,
        workers=options.workers,
        device=named_device(options.device),
    )
    print(check_text(found), end="")
    if options.out is not None:
        print(f"written: {write_check(found, options.out)}")
