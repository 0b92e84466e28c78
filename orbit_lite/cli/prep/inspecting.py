"""The verbs of prep that describe or check a tree: `index`, `verify`, `quality`, `summarize`."""

import argparse
import sys
from dataclasses import asdict
from pathlib import Path

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say, say_text
from groundwork.errors import DataError, UsageError
from groundwork.files import write_json
from groundwork.options import Changes, Reads, Writes, add_json
from groundwork.pages.printing import terminal_width
from groundwork.words import counted
from orbit_lite.cli.options import add_reader, add_shard, add_workers, processes

ROOT_HELP = "frame tree, raw tree or packed tree"


def add_index(verbs: Subparsers) -> None:
    """Add `index` to the parser of prep."""
    verb = verbs.add_parser("index", help="list a tree in index.csv, one row per video")
    verb.add_argument("root", metavar="ROOT", type=Changes(TREE_FILES, checked=False), help=ROOT_HELP)
    verb.set_defaults(run=_index)


def _index(options: argparse.Namespace) -> None:
    from data_prep.tree.index import build_index

    index = build_index(options.root)
    videos, frames = counted(len(index.rows), "video"), counted(sum(row.frames for row in index.rows), "frame")
    say(f"{options.root}: {videos}, {frames}, index.csv written")


def add_verify(verbs: Subparsers) -> None:
    """Add `verify` to the parser of prep."""
    verb = verbs.add_parser("verify", help="check every frame of a tree against its index")
    _add_root(verb)
    verb.add_argument(
        "--against-raw",
        type=Reads(TREE_FILES),
        metavar="RAW",
        help="the raw videos of the frames; also compare counts and lengths",
    )
    add_reader(
        verb,
        default=None,
        otherwise="no comparison of pixels; with --against-raw, compare every frame with that reader's",
    )
    verb.set_defaults(run=_verify)


def _verify(options: argparse.Namespace) -> None:
    from data_prep.making.verify import verify

    faults = verify(options.root)
    if options.against_raw is not None:
        from data_prep.making.against_raw import against_raw

        faults += against_raw(options.root, options.against_raw)
    if options.reader is not None:
        from data_prep.making.reader_check import check_by_reader

        check = check_by_reader(options.root, options.reader, raw=options.against_raw)
        say(str(check))
        faults += check.faults
    for fault in faults:
        say(str(fault), to=sys.stderr)
    if faults:
        raise DataError(f"{options.root}: {counted(len(faults), 'fault')}")
    say(f"{options.root}: complete, matches index.csv")


def add_quality(verbs: Subparsers) -> None:
    """Add `quality` to the parser of prep."""
    verb = verbs.add_parser("quality", help="estimate how videos were filmed: blur, light, motion")
    _add_root(verb)
    verb.add_argument("--type", default="clean", help="videos to judge: clean or clutter (default: clean)")
    verb.add_argument(
        "--csv",
        metavar="FOLDER",
        type=Writes(files=_quality_tables),
        help="write the estimates by video and by frame as CSV to FOLDER",
    )
    add_json(verb, "quality.json")
    add_workers(verb)
    which = verb.add_mutually_exclusive_group()
    add_shard(which, then="each job writes its own tables to --csv FOLDER; --join merges them")
    which.add_argument(
        "--join", action="store_true", help="after all shards are done, merge their tables in --csv FOLDER"
    )
    verb.set_defaults(run=_quality)


def _quality_tables(options: argparse.Namespace) -> list[Path]:
    from data_prep.forgetting.derived import QUALITY_TABLES

    names = QUALITY_TABLES if options.shard is None else map(options.shard.file_name, QUALITY_TABLES)
    return [options.csv / name for name in names] if options.csv else []


def _quality(options: argparse.Namespace) -> None:
    from data_prep.quality.estimate import quality
    from data_prep.quality.join import join_tables
    from data_prep.quality.report import quality_rows, quality_text, write_csv

    if options.shard is not None or options.join:
        asked = "--join" if options.join else f"--shard {options.shard}"
        if options.json or not options.csv:
            raise UsageError(f"{asked}: give --csv FOLDER, and no --json.")
    if options.join:
        joined = join_tables(options.root, options.csv, video_type=options.type)
        say_text(quality_text(joined.videos))
        say(f"tables: {', '.join(map(str, joined.tables))}, of {counted(joined.shards, 'shard')}")
        return
    videos = quality(options.root, video_type=options.type, workers=processes(options), shard=options.shard)
    say_text(quality_text(videos))
    if options.csv:
        say(f"tables: {', '.join(map(str, write_csv(videos, options.csv, shard=options.shard)))}")
    if options.json:
        write_json(options.json, {"videos": quality_rows(videos)})


def add_summarize(verbs: Subparsers) -> None:
    """Add `summarize` to the parser of prep."""
    verb = verbs.add_parser("summarize", help="print a tree's statistics in the ORBIT paper's form")
    _add_root(verb)
    verb.add_argument("--markdown", action="store_true", help="print Markdown instead of plain text")
    verb.add_argument(
        "--csv", metavar="FOLDER", type=Writes(files=_summary_tables), help="also write the tables as CSV to FOLDER"
    )
    add_json(verb, "summary.json")
    verb.set_defaults(run=_summarize)


def _summary_tables(options: argparse.Namespace) -> list[Path]:
    from data_prep.forgetting.derived import SUMMARY_TABLES

    return [options.csv / name for name in SUMMARY_TABLES] if options.csv else []


def _summarize(options: argparse.Namespace) -> None:
    from data_prep.making.summarize import summarize, summary_markdown, summary_text, write_csv
    from data_prep.tree.index import open_index

    summary = summarize(open_index(options.root))
    say_text(summary_markdown(summary) if options.markdown else summary_text(summary, width=terminal_width()))
    if options.csv:
        say(f"tables: {', '.join(str(path) for path in write_csv(summary, options.csv))}")
    if options.json:
        write_json(options.json, asdict(summary))


def _add_root(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("root", metavar="ROOT", type=Reads(TREE_FILES), help=ROOT_HELP)
