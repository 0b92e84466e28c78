"""The verb `personalize`: its options, and checks for those that contradict each other."""

import argparse
from pathlib import Path

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import UsageError
from groundwork.options import Reads, Writes
from orbit_lite.cli.numbers import share
from orbit_lite.cli.options import (
    add_backbone_and_weights,
    add_device,
    add_engine,
    add_model_alone,
    add_strictness,
    add_workers,
    processes,
)
from orbit_lite.personal.file_names import CSV_NAME, targets


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "personalize",
        help="teach a personal recognizer from a user's own videos",
        description="Teach a personal recognizer from a user's own videos and write it to one file. Each object "
        "has its own folder of videos: USER/OBJECT/*.mp4, or USER/OBJECT/clean/*.mp4.",
    )
    start = verb.add_mutually_exclusive_group()
    add_model_alone(start)
    start.add_argument("--update", type=Reads(), metavar="FILE", help="teach this personal recognizer more objects")
    add_backbone_and_weights(verb)
    verb.add_argument(
        "--videos",
        type=Reads(TREE_FILES),
        nargs="+",
        metavar="USER_DIR",
        help="one user's folder of videos, or several users' folders",
    )
    verb.add_argument(
        "--rename",
        action="append",
        metavar="OLD=NEW",
        help="with --update, instead of --videos: rename an object; may be repeated",
    )
    _add_outputs(verb)
    known = verb.add_mutually_exclusive_group()
    known.add_argument(
        "--replace", action="store_true", help="with --update: for known objects, new videos replace the old"
    )
    known.add_argument(
        "--extend", action="store_true", help="with --update: for known objects, add the new videos to the old"
    )
    add_strictness(verb, default="balanced; with --update, the file's own")
    verb.add_argument(
        "--false-alarms",
        type=share,
        metavar="SHARE",
        help="instead of --strictness: the largest share of frames of other, similar things that may be given a taught "
        "object's name, for example 0.3; refused if the videos can't support it",
    )
    add_workers(verb)
    add_device(verb)
    add_engine(verb)
    verb.set_defaults(run=_personalize, of_participants=True)


def _add_outputs(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--out",
        type=Writes("alice.safetensors", binary=True, files=_written, in_place=("update",)),
        help="file to write, or a folder for several users (default with --update: FILE itself)",
    )
    verb.add_argument(
        "--csv", type=Writes("participants.csv", files=_table), help="also write one row per participant and object"
    )


def _written(options: argparse.Namespace) -> list[Path]:
    """The personal recognizers that the options ask for: one file, or one per user in a folder."""
    out: Path | None = options.out or options.update
    return targets(options.videos or [Path()], out) if out else []


def _table(options: argparse.Namespace) -> list[Path]:
    if options.csv is None and options.out and len(options.videos or ()) > 1:
        return [options.out / CSV_NAME]
    return [options.csv] if options.csv else []


def _personalize(options: argparse.Namespace) -> None:
    _require_sense(options)
    from orbit_lite.models.choice import EMBEDDED_START, EMBEDDED_START_TEXT, choose_start
    from orbit_lite.personal.teaching.personalize import personalize, rename, teach_more
    from orbit_lite.personal.teaching.teach import BALANCED, Caution
    from orbit_lite.runs.devices import named_device

    device = named_device(options.device)
    if options.rename:
        out = options.out or options.update
        renamed = rename(options.update, options.rename, out, device=device)
        say(f"{out}: {len(renamed.objects)} objects: {', '.join(renamed.objects)}")
        return
    if options.update is not None:
        known = "replace" if options.replace else "extend" if options.extend else "refuse"
        teach_more(
            options.update,
            options.videos[0],
            options.out or options.update,
            known=known,
            caution=Caution(options.strictness) if options.strictness else None,
            csv=options.csv,
            workers=processes(options),
            device=device,
            engine=options.engine,
            written=lambda taught: say_text(str(taught)),
        )
        return
    choice = choose_start(options.model, options.backbone, options.weights)
    if choice is EMBEDDED_START:
        say(EMBEDDED_START_TEXT)
    personalize(
        choice,
        options.videos,
        options.out,
        caution=Caution(options.strictness or BALANCED.strictness, options.false_alarms),
        csv=options.csv,
        workers=processes(options),
        device=device,
        engine=options.engine,
        written=lambda taught: say_text(str(taught)),
    )


def _require_sense(options: argparse.Namespace) -> None:
    """Refuse options that contradict each other, before anything is loaded."""
    if options.strictness and options.false_alarms is not None:
        raise UsageError(
            "--strictness and --false-alarms both set when to answer 'none of these'; give only one of them"
        )
    if options.rename:
        if options.update is None:
            raise UsageError("--rename needs --update FILE: the personal recognizer whose objects are renamed")
        others = ("videos", "replace", "extend", "strictness", "false_alarms", "csv")
        if given := [f"--{name.replace('_', '-')}" for name in others if getattr(options, name)]:
            raise UsageError(f"--rename can't be used with {', '.join(given)}: use a separate command for it")
        return
    if not options.videos:
        raise UsageError("--videos is missing: give a user's folder that has one folder per object")
    if options.update is not None:
        if len(options.videos) > 1:
            raise UsageError("--update takes one folder of videos: a personal recognizer belongs to one user")
        if options.false_alarms is not None:
            raise UsageError(
                "--false-alarms can't be used with --update: the file keeps the setting it was taught with"
            )
        return
    if options.replace or options.extend:
        raise UsageError("--replace and --extend need --update: they say what to do with an object's old videos")
    if options.out is None:
        raise UsageError("--out is missing: give the file to write, for example alice.safetensors")
