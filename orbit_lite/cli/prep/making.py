"""The verbs of prep that make a tree: `pocket`, `extract`, `images`, `resize`, `split`, `pack`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say
from groundwork.errors import UsageError
from groundwork.options import Reads, WritesFolder
from groundwork.words import counted
from orbit_lite.cli.numbers import frame_rate, positive, share
from orbit_lite.cli.options import LAYOUTS, add_reader, add_seed, add_shard, add_workers, processes

if TYPE_CHECKING:
    from data_prep.making.run import TreeSummary
    from data_prep.tree.shard import Shard

JOINED_BY_THE_SAME = "after all jobs are done, run the command without --shard to merge the results"


def add_pocket(verbs: Subparsers) -> None:
    """Add `pocket` to the parser of prep."""
    verb = verbs.add_parser("pocket", help="make a small ORBIT-like set: encoded videos of drawn objects")
    verb.add_argument("out", metavar="OUT", type=WritesFolder(), help="folder to create")
    verb.add_argument(
        "--users",
        nargs=3,
        type=int,
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="number of users in each split (default: 24 3 4)",
    )
    verb.add_argument("--objects", type=int, help="number of objects per user (default: 5)")
    verb.add_argument("--clean-videos", type=int, help="number of clean videos per object (default: 3)")
    verb.add_argument("--clutter-videos", type=int, help="number of clutter videos per object (default: 2)")
    add_seed(verb, of="the drawings", default=0)
    add_workers(verb)
    verb.set_defaults(run=_pocket, resumes=True)


def _pocket(options: argparse.Namespace) -> None:
    from data_prep.pocket.pocket_set import make_pocket

    asked: dict[str, Any] = {
        "users": tuple(options.users) if options.users else None,
        "objects": options.objects,
        "clean_videos": options.clean_videos,
        "clutter_videos": options.clutter_videos,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    say(str(make_pocket(options.out, seed=options.seed, workers=processes(options), **given)))


def add_extract(verbs: Subparsers) -> None:
    """Add `extract` to the parser of prep."""
    verb = verbs.add_parser("extract", help="turn raw videos into numbered square frames")
    verb.add_argument(
        "raw", metavar="RAW", type=Reads(TREE_FILES), help="[SPLIT/]USER/OBJECT/{clean,clutter}/*.mp4 and the like"
    )
    _add_frame_tree(verb)
    verb.add_argument(
        "--fps", type=frame_rate, default=30.0, help="frames per second, chosen by time stamps (default: 30)"
    )
    _add_size(verb)
    _add_shape(verb)
    verb.add_argument("--resample", default="decoder", help="decoder, or lanczos, which is slower (default: decoder)")
    add_reader(verb, default="pyav", otherwise="pyav, which reads everything")
    _add_names(verb)
    add_workers(verb)
    add_shard(verb, then=JOINED_BY_THE_SAME)
    verb.set_defaults(run=_extract, resumes=True)


def _add_names(verb: argparse.ArgumentParser) -> None:
    """Options of `extract` for the names of raw files and of videos."""
    verb.add_argument("--keep-names", action="store_true", help="name videos after their files instead of a hash")
    verb.add_argument(
        "--discard-key", action="store_true", help="don't record which file became which video; OUT is final"
    )
    verb.add_argument(
        "--flat", action="store_true", help="RAW contains ORBIT-Camera's participant--label--technique--random.mp4"
    )
    verb.add_argument(
        "--techniques",
        metavar="T=clean,...",
        help="with --flat, each technique's video type (default: T=clean,Z=clutter,S=clutter,P=clutter-pan)",
    )


def _extract(options: argparse.Namespace) -> None:
    from data_prep.workers.starting import start_early

    start_early()  # before the imports below, which take as long
    from data_prep.making.extract import Settings, extract
    from data_prep.tree.flat_export import TECHNIQUES, parse_techniques

    if options.techniques and not options.flat:
        raise UsageError("--techniques gives the meaning of letters in a flat export's file names: add --flat.")
    techniques = parse_techniques(options.techniques) if options.techniques else TECHNIQUES
    summary = extract(
        options.raw,
        options.out,
        settings=Settings(
            size_px=options.size,
            fps=options.fps,
            shape=options.shape,
            resample=options.resample,
            names="kept" if options.keep_names else "hashed",
            reader=options.reader,
        ),
        techniques=techniques if options.flat else None,
        discard=options.discard_key,
        workers=processes(options),
        shard=options.shard,
    )
    _say_made(options.out, summary, options.shard)


def add_images(verbs: Subparsers) -> None:
    """Add `images` to the parser of prep."""
    verb = verbs.add_parser(
        "images",
        help="turn folders of pictures into a frame tree",
        description="Each folder with pictures is an object named by its path. In SRC/USER/OBJECT, the first "
        "level is the user. With --user NAME, or if a first-level folder has pictures, all pictures are one user's. "
        "A folder 'clutter' in an object's folder is its clutter.",
    )
    verb.add_argument(
        "source",
        metavar="SRC",
        type=Reads(TREE_FILES),
        help="OBJECT/*.jpg or USER/OBJECT/*.jpg, also in train, test, ...",
    )
    _add_frame_tree(verb)
    verb.add_argument("--layout", choices=LAYOUTS, default=LAYOUTS[0], help="how SRC is laid out (default: folders)")
    verb.add_argument(
        "--list-file",
        type=Reads(),
        metavar="FILE",
        help="the list of pictures, for --layout csv, class-split, npy and sun397",
    )
    _add_size(verb)
    _add_shape(verb)
    verb.add_argument("--user", default="", metavar="NAME", help="treat all pictures as this user's")
    verb.add_argument(
        "--burst", type=positive, default=1, metavar="N", help="make one video from N pictures in a row (default: 1)"
    )
    clutter = verb.add_mutually_exclusive_group()
    clutter.add_argument(
        "--clutter", type=share, default=0.0, metavar="SHARE", help="share of each object's videos that become clutter"
    )
    clutter.add_argument(
        "--clutter-from", default="", metavar="SPLIT", help="make this split of SRC clutter, and the others clean"
    )
    add_seed(verb, of="the choice of clutter videos", default=0)
    add_workers(verb)
    add_shard(verb, then=JOINED_BY_THE_SAME)
    verb.set_defaults(run=_images, resumes=True)


def _images(options: argparse.Namespace) -> None:
    from data_prep.making.images import ImageSettings, make_images

    settings = ImageSettings(
        size_px=options.size,
        shape=options.shape,
        burst=options.burst,
        clutter=options.clutter,
        clutter_from=options.clutter_from,
        user=options.user,
        seed=options.seed,
        layout=options.layout,
        list_file=options.list_file,
    )
    summary = make_images(
        options.source, options.out, settings=settings, workers=processes(options), shard=options.shard
    )
    _say_made(options.out, summary, options.shard)


def add_resize(verbs: Subparsers) -> None:
    """Add `resize` to the parser of prep."""
    verb = verbs.add_parser("resize", help="resize a frame tree with LANCZOS, like the published one")
    verb.add_argument("tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree or packed tree")
    _add_frame_tree(verb)
    _add_size(verb)
    add_workers(verb)
    verb.set_defaults(run=_resize, resumes=True)


def _resize(options: argparse.Namespace) -> None:
    from data_prep.making.resize import resize

    _say_made(options.out, resize(options.tree, options.out, size_px=options.size, workers=processes(options)))


def add_split(verbs: Subparsers) -> None:
    """Add `split` to the parser of prep."""
    verb = verbs.add_parser("split", help="merge other/ of the unfiltered set and split it by user")
    verb.add_argument(
        "tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree, with or without splits and other/"
    )
    verb.add_argument("out", metavar="OUT", type=WritesFolder(), help="tree of hard links to make or to resume")
    verb.add_argument(
        "--users", metavar="JSON", type=Reads(), required=True, help="ORBIT's orbit_benchmark_users_to_split.json"
    )
    verb.add_argument("--leave-out", action="store_true", help="leave out objects that JSON gives to no user")
    verb.set_defaults(run=_split, resumes=True)


def _split(options: argparse.Namespace) -> None:
    from data_prep.making.split import split_users

    done = split_users(options.tree, options.out, users_json=options.users, leave_out_unnamed=options.leave_out)
    copied = f", {counted(done.copied, 'frame')} copied, because this disk has no hard links" if done.copied else ""
    say(f"{options.out}: {_amount(done.users, done.videos, done.frames)}{copied}")


def add_pack(verbs: Subparsers) -> None:
    """Add `pack` to the parser of prep."""
    verb = verbs.add_parser("pack", help="pack a frame tree into one ZIP file per user, or unpack it")
    verb.add_argument("tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree; with --unpack, a packed tree")
    verb.add_argument("out", metavar="OUT", type=WritesFolder(), help="tree to make or to resume")
    verb.add_argument(
        "--unpack", action="store_true", help="turn a packed tree back into its frame tree, byte for byte"
    )
    verb.set_defaults(run=_pack, resumes=True)


def _pack(options: argparse.Namespace) -> None:
    from data_prep.making.pack import pack, unpack

    done = (unpack if options.unpack else pack)(options.tree, options.out)
    say(f"{options.out}: {_amount(done.users, done.videos, done.frames)}")


def _add_frame_tree(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("out", metavar="OUT", type=WritesFolder(), help="frame tree to make or to resume")


def _add_size(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--size", type=int, default=224, help="width and height in pixels (default: 224)")


def _add_shape(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--shape", default="crop", help="crop the longer side, pad with black, or squash (default: crop)")


def _say_made(out: Path, summary: "TreeSummary[Any]", shard: "Shard | None" = None) -> None:
    of_shard = f"shard {shard}, " if shard is not None else ""
    already = f", {summary.skipped} of them were already complete" if summary.skipped else ""
    say(f"{out}: {of_shard}{counted(summary.videos, 'video')}, {counted(summary.frames, 'frame')}{already}")
    if shard is not None:
        say("When all shards are done, run the same command without --shard to merge them.")


def _amount(users: int, videos: int, frames: int) -> str:
    return ", ".join([counted(users, "user"), counted(videos, "video"), counted(frames, "frame")])
