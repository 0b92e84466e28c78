"""`prep download`: makes a verified tree from published archives."""

import argparse

from groundwork.command_line import Subparsers
from groundwork.console import say
from groundwork.options import Reads, WritesFolder
from groundwork.words import counted


def add_download(verbs: Subparsers) -> None:
    """Add the verb to the parser of prep."""
    verb = verbs.add_parser(
        "download",
        help="make a verified tree from ORBIT's published archives",
        description="Make a verified tree from ORBIT's published archives: download, check and unpack them. The data's "
        "license is stated on its page, https://doi.org/10.25383/city.14294597.",
    )
    verb.add_argument("out", metavar="OUT", type=WritesFolder(), help="tree to make, to resume, or to add splits to")
    verb.add_argument(
        "--split", action="append", default=[], help="train, validation, test or other (1080 only); may be repeated"
    )
    verb.add_argument("--size", type=int, default=224, help="frames of 224 or 1080 px (default: 224)")
    verb.add_argument(
        "--from-zip",
        metavar="FILE",
        nargs="+",
        type=Reads(),
        default=[],
        help="use these downloaded archives; fetch nothing",
    )
    verb.add_argument("--annotations", metavar="FILE", type=Reads(), help="also unpack this archive of annotations")
    verb.add_argument("--keep-archives", action="store_true", help="keep the downloaded archives after verification")
    verb.set_defaults(run=_download, resumes=True)


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
    annotated = f", annotations of {counted(done.annotations, 'video')}" if done.annotations else ""
    say(f"{options.out}: {', '.join(done.splits) or 'no split'} verified, {counted(done.videos, 'video')}{annotated}")
