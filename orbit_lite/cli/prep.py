"""`orbit-lite prep …`: raw videos to frames to index."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.tree.layout import TREE_FILES
from groundwork.errors import AskedWrong, FoundWrong
from groundwork.options import Changes, Reads, Writes, WritesFolder

if TYPE_CHECKING:
    from data_prep.making.run import TreeSummary

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_prep_verbs(verbs: "Subparsers") -> None:
    """Add `prep` and its verbs to the parser of orbit-lite."""
    prep = verbs.add_parser("prep", help="prepare data: pocket, extract, index, pack, ...", allow_abbrev=False)
    inner = prep.add_subparsers(title="verbs", metavar="VERB", required=True)

    pocket = inner.add_parser("pocket", help="make a small ORBIT: encoded videos of drawn objects", allow_abbrev=False)
    pocket.add_argument("out", metavar="OUT", type=WritesFolder(), help="folder to make")
    pocket.add_argument(
        "--users", nargs=3, type=int, metavar=("TRAIN", "VALIDATION", "TEST"), help="how many users of each split"
    )
    pocket.add_argument("--objects", type=int, help="objects of each user")
    pocket.add_argument("--clean-videos", type=int, help="clean videos of each object")
    pocket.add_argument("--clutter-videos", type=int, help="clutter videos of each object")
    pocket.add_argument("--seed", type=int, default=0, help="same seed, same frames (default: 0)")
    _add_workers(pocket)
    pocket.set_defaults(run=_pocket, goes_on=True)

    download = inner.add_parser(
        "download",
        help="ORBIT's published archives, or ones that are here, to a verified tree",
        description="The data's licence is stated on its page, https://doi.org/10.25383/city.14294597.",
        allow_abbrev=False,
    )
    download.add_argument(
        "out", metavar="OUT", type=WritesFolder(), help="tree to make, to go on with, or to add splits to"
    )
    download.add_argument(
        "--split", action="append", default=[], help="train, validation, test or other (1080 only); may be repeated"
    )
    download.add_argument("--size", type=int, default=224, help="frames of 224 or 1080 px (default: 224)")
    download.add_argument(
        "--from-zip",
        metavar="FILE",
        nargs="+",
        type=Reads(),
        default=[],
        help="archives downloaded by hand: nothing is fetched",
    )
    download.add_argument(
        "--annotations", metavar="FILE", type=Reads(), help="an archive of annotations to unpack as well"
    )
    download.add_argument("--keep-archives", action="store_true", help="keep what was downloaded once it is verified")
    download.set_defaults(run=_download, goes_on=True)

    extract = inner.add_parser("extract", help="raw videos to numbered square frames", allow_abbrev=False)
    extract.add_argument(
        "raw", metavar="RAW", type=Reads(TREE_FILES), help="[SPLIT/]USER/OBJECT/{clean,clutter}/*.mp4 and the like"
    )
    extract.add_argument("out", metavar="OUT", type=WritesFolder(), help="frame tree to make, or to go on with")
    extract.add_argument("--fps", type=float, default=30.0, help="frames a second, by time stamps (default: 30)")
    extract.add_argument("--size", type=int, default=224, help="width and height in pixels (default: 224)")
    extract.add_argument(
        "--shape", default="crop", help="crop the longer side, pad with black, or squash (default: crop)"
    )
    extract.add_argument(
        "--resample", default="decoder", help="scale in the decoder, or by lanczos: slower (default: decoder)"
    )
    extract.add_argument("--keep-names", action="store_true", help="keep files' names in videos' names, not a hash")
    extract.add_argument(
        "--discard-key", action="store_true", help="afterwards nothing says which file was which video; OUT is final"
    )
    extract.add_argument(
        "--flat", action="store_true", help="RAW holds ORBIT-Camera's participant--label--technique--random.mp4"
    )
    extract.add_argument(
        "--techniques",
        metavar="T=clean,...",
        help="with --flat: video types (default: T=clean,Z=clutter,S=clutter,P=clutter-pan)",
    )
    _add_workers(extract)
    extract.set_defaults(run=_extract, goes_on=True)

    index = inner.add_parser("index", help="list a tree once: index.csv, a row a video", allow_abbrev=False)
    index.add_argument(
        "root", metavar="ROOT", type=Changes(TREE_FILES, checked=False), help="frame tree, raw tree or packed tree"
    )
    index.set_defaults(run=_index)

    resize = inner.add_parser("resize", help="frame tree to another size: LANCZOS, as published", allow_abbrev=False)
    resize.add_argument("tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree or packed tree")
    resize.add_argument("out", metavar="OUT", type=WritesFolder(), help="frame tree to make, or to go on with")
    resize.add_argument("--size", type=int, default=224, help="width and height in pixels (default: 224)")
    _add_workers(resize)
    resize.set_defaults(run=_resize, goes_on=True)

    split = inner.add_parser("split", help="the unfiltered set: merge other/, tell users apart", allow_abbrev=False)
    split.add_argument(
        "tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree, with or without splits and other/"
    )
    split.add_argument("out", metavar="OUT", type=WritesFolder(), help="tree to make of hard links, or to go on with")
    split.add_argument(
        "--users", metavar="JSON", type=Reads(), required=True, help="ORBIT's orbit_benchmark_users_to_split.json"
    )
    split.add_argument(
        "--leave-out", action="store_true", help="leave out objects of these users that JSON does not name"
    )
    split.set_defaults(run=_split, goes_on=True)

    pack = inner.add_parser("pack", help="frame tree to one ZIP file a user, and back", allow_abbrev=False)
    pack.add_argument("tree", metavar="TREE", type=Reads(TREE_FILES), help="frame tree; with --unpack a packed one")
    pack.add_argument("out", metavar="OUT", type=WritesFolder(), help="tree to make, or to go on with")
    pack.add_argument("--unpack", action="store_true", help="the other way: packed tree to frame tree, byte for byte")
    pack.set_defaults(run=_pack, goes_on=True)

    verify = inner.add_parser("verify", help="hold a tree against its index, every frame", allow_abbrev=False)
    verify.add_argument("root", metavar="ROOT", type=Reads(TREE_FILES), help="frame tree, raw tree or packed tree")
    verify.set_defaults(run=_verify)

    quality = inner.add_parser("quality", help="how videos are filmed: blur, light, motion", allow_abbrev=False)
    quality.add_argument("root", metavar="ROOT", type=Reads(TREE_FILES), help="frame tree, raw tree or packed tree")
    quality.add_argument("--type", default="clean", help="which videos: clean or clutter (default: clean)")
    quality.add_argument(
        "--csv",
        metavar="FOLDER",
        type=Writes(files=_quality_tables),
        help="write the estimates there, by video and by frame",
    )
    _add_workers(quality)
    quality.set_defaults(run=_quality)

    summarize = inner.add_parser(
        "summarize", help="a tree's statistics as the ORBIT paper has them", allow_abbrev=False
    )
    summarize.add_argument("root", metavar="ROOT", type=Reads(TREE_FILES), help="frame tree, raw tree or packed tree")
    summarize.add_argument("--markdown", action="store_true", help="print Markdown, not plain text")
    summarize.add_argument(
        "--csv",
        metavar="FOLDER",
        type=Writes(files=_summary_tables),
        help="write the tables there as CSV, too",
    )
    summarize.set_defaults(run=_summarize)


def _quality_tables(options: argparse.Namespace) -> list[Path]:
    from data_prep.forgetting.derived import QUALITY_TABLES

    return [options.csv / name for name in QUALITY_TABLES] if options.csv else []


def _summary_tables(options: argparse.Namespace) -> list[Path]:
    from data_prep.forgetting.derived import SUMMARY_TABLES

    return [options.csv / name for name in SUMMARY_TABLES] if options.csv else []


def _add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=int, help="processes (default: one a core)")


def _pocket(options: argparse.Namespace) -> None:
    from data_prep.pocket.pocket_set import make_pocket

    asked: dict[str, Any] = {
        "users": tuple(options.users) if options.users else None,
        "objects": options.objects,
        "clean_videos": options.clean_videos,
        "clutter_videos": options.clutter_videos,
    }
    given = {name: value for name, value in asked.items() if value is not None}
    print(make_pocket(options.out, seed=options.seed, workers=options.workers, **given))


def _download(options: argparse.Namespace) -> None:
    from data_prep.archives.download import download

    done = download(
        options.out,
        splits=options.split,
        size_px=options.size,
        from_zips=options.from_zip,
        annotations=options.annotations,
        keep_archives=options.keep_archives,
    )
    annotated = f", annotations of {done.annotations} videos" if done.annotations else ""
    print(f"{options.out}: {', '.join(done.splits) or 'no split'} verified, {done.videos} videos{annotated}")


def _extract(options: argparse.Namespace) -> None:
    from data_prep.making.extract import Settings, extract
    from data_prep.tree.flat_export import TECHNIQUES, parse_techniques

    if options.techniques and not options.flat:
        raise AskedWrong("--techniques says what the letters in a flat export's file names mean: add --flat.")
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
        ),
        techniques=techniques if options.flat else None,
        discard=options.discard_key,
        workers=options.workers,
    )
    _say_made(options.out, summary)


def _resize(options: argparse.Namespace) -> None:
    from data_prep.making.resize import resize

    _say_made(options.out, resize(options.tree, options.out, size_px=options.size, workers=options.workers))


def _say_made(out: Path, summary: "TreeSummary[Any]") -> None:
    already = f", {summary.skipped} of them were there already" if summary.skipped else ""
    print(f"{out}: {summary.videos} videos, {summary.frames} frames{already}")


def _index(options: argparse.Namespace) -> None:
    from data_prep.tree.index import build_index

    index = build_index(options.root)
    print(
        f"{options.root}: {len(index.rows)} videos, {sum(row.frames for row in index.rows)} frames, index.csv written"
    )


def _split(options: argparse.Namespace) -> None:
    from data_prep.making.split import split_users

    done = split_users(options.tree, options.out, users_json=options.users, leave_out_unnamed=options.leave_out)
    copied = f", {done.copied} frames copied for want of hard links" if done.copied else ""
    print(f"{options.out}: {done.users} users, {done.videos} videos, {done.frames} frames{copied}")


def _quality(options: argparse.Namespace) -> None:
    from data_prep.quality.estimate import quality
    from data_prep.quality.report import quality_text, write_csv

    videos = quality(options.root, video_type=options.type, workers=options.workers)
    print(quality_text(videos), end="")
    if options.csv:
        print(f"tables: {', '.join(str(path) for path in write_csv(videos, options.csv))}")


def _pack(options: argparse.Namespace) -> None:
    from data_prep.making.pack import pack, unpack

    done = (unpack if options.unpack else pack)(options.tree, options.out)
    print(f"{options.out}: {done.users} users, {done.videos} videos, {done.frames} frames")


def _verify(options: argparse.Namespace) -> None:
    from data_prep.making.verify import verify

    faults = verify(options.root)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        raise FoundWrong(f"{options.root}: {len(faults)} faults")
    print(f"{options.root}: whole, as index.csv has it")


def _summarize(options: argparse.Namespace) -> None:
    from data_prep.making.summarize import summarize, summary_markdown, summary_text, write_csv
    from data_prep.tree.index import open_index

    summary = summarize(open_index(options.root))
    print((summary_markdown if options.markdown else summary_text)(summary), end="")
    if options.csv:
        print(f"tables: {', '.join(str(path) for path in write_csv(summary, options.csv))}")
