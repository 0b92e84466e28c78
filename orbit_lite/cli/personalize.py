"""The verbs for one user's own videos: personalise, recognise, check, forget, export."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.tree.layout import TREE_FILES
from groundwork.errors import AskedWrong
from groundwork.options import Reads, ReadsOrNames, Writes
from orbit_lite.cli.check_user import add_check_user_verb
from orbit_lite.cli.export import add_export_verb
from orbit_lite.cli.forget import add_forget_verb
from orbit_lite.cli.numbers import positive, share
from orbit_lite.cli.recognize import add_recognize_verb
from orbit_lite.personal.file_names import CSV_NAME, targets

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_personal_verbs(verbs: "Subparsers") -> None:
    """Add the verbs to the parser of orbit-lite; each sets `run`."""
    _add_personalize(verbs)
    add_recognize_verb(verbs)
    add_check_user_verb(verbs)
    add_export_verb(verbs)
    add_forget_verb(verbs)


def _add_personalize(verbs: "Subparsers") -> None:
    verb = verbs.add_parser(
        "personalize",
        help="a user's own videos to a personal recogniser, in one file",
        description="Videos stand in one folder an object: USER/OBJECT/*.mp4, or USER/OBJECT/clean/*.mp4.",
        allow_abbrev=False,
    )
    what = verb.add_mutually_exclusive_group()
    what.add_argument(
        "--model",
        type=ReadsOrNames(),
        help="a checkpoint, or a learner's name with --backbone (default: ridge on efficientnet_lite0, whose ImageNet "
        "weights are installed with the kit; not meta-trained)",
    )
    what.add_argument("--update", type=Reads(), metavar="FILE", help="a personal recognizer to teach more objects")
    verb.add_argument("--backbone", default="", help="for a learner's name: tiny, efficientnet_b0, ...")
    verb.add_argument(
        "--weights", type=ReadsOrNames(), default="", help="for a backbone: pretrained, random, or a file"
    )
    verb.add_argument(
        "--videos",
        type=Reads(TREE_FILES),
        nargs="+",
        required=True,
        metavar="USER_DIR",
        help="folders of one user each",
    )
    verb.add_argument(
        "--out",
        type=Writes("alice.safetensors", binary=True, files=_written, in_place=("update",)),
        help="file to write; for several users a folder (with --update: FILE itself if not given)",
    )
    known = verb.add_mutually_exclusive_group()
    known.add_argument("--replace", action="store_true", help="with --update: an object's new videos replace its old")
    known.add_argument("--extend", action="store_true", help="with --update: an object's new videos join its old")
    verb.add_argument(
        "--false-alarms",
        type=share,
        metavar="SHARE",
        help="without --update: share of frames of other things that may be called one of these, such as 0.05; fewer "
        "mean more 'none of these' for the things themselves (default: balanced)",
    )
    verb.add_argument(
        "--csv", type=Writes("participants.csv", files=_table), help="write a row a participant and object, too"
    )
    verb.add_argument("--workers", type=positive, help="processes that decode (default: one a core)")
    verb.add_argument("--device", default="", help="cpu, cuda, ... (default: cuda where there is one)")
    verb.set_defaults(run=_personalize)


def _written(options: argparse.Namespace) -> list[Path]:
    """The personal recognisers that come of the options: one, or one for each user in a folder."""
    out: Path | None = options.out or options.update
    return targets(options.videos, out) if out else []


def _table(options: argparse.Namespace) -> list[Path]:
    if options.csv is None and options.out and len(options.videos) > 1:
        return [options.out / CSV_NAME]
    return [options.csv] if options.csv else []


def _personalize(options: argparse.Namespace) -> None:
    from orbit_lite.models.choice import EMBEDDED_START, EMBEDDED_START_TEXT, choose_start
    from orbit_lite.personal.teaching.personalize import personalize, teach_more
    from orbit_lite.runs.devices import named_device

    device = named_device(options.device)
    if options.update is None:
        if options.replace or options.extend:
            raise AskedWrong("--replace and --extend go with --update: they say what becomes of a known object")
        if options.out is None:
            raise AskedWrong("--out is missing: the file to write, such as alice.safetensors")
        choice = choose_start(options.model, options.backbone, options.weights)
        if choice is EMBEDDED_START:
            print(EMBEDDED_START_TEXT, flush=True)
        personalize(
            choice,
            options.videos,
            options.out,
            false_alarms=options.false_alarms,
            csv=options.csv,
            workers=options.workers,
            device=device,
            written=print,
        )
        return
    if len(options.videos) > 1:
        raise AskedWrong("--update takes one folder of videos: a personal recogniser is one user's")
    known = "replace" if options.replace else "extend" if options.extend else "refuse"
    teach_more(
        options.update,
        options.videos[0],
        options.out or options.update,
        known=known,
        csv=options.csv,
        workers=options.workers,
        device=device,
        written=print,
    )
