"""The verb `export`: its options."""

import argparse
from pathlib import Path

from data_prep.tree.layout import TREE_FILES
from groundwork.command_line import Subparsers
from groundwork.console import say_text
from groundwork.errors import UsageError
from groundwork.options import Reads, Writes
from orbit_lite.personal.file_names import EXPORT_SUFFIXES, export_path


def add(verbs: Subparsers) -> None:
    """Add the verb to the parser of orbit-lite."""
    verb = verbs.add_parser(
        "export",
        help="a personal recognizer as one file for other programs: ONNX, TorchScript, torch.export",
        description="Pixels in; logits, probabilities and familiarity out; the labels in the metadata. The file is "
        "checked against the recognizer before it takes its place. It is personal data: it holds the objects' names "
        "and the mean of each one's features. It holds no picture, and nothing of single frames.",
    )
    verb.add_argument("file", type=Reads(), metavar="FILE", help="as 'orbit-lite personalize' writes it")
    verb.add_argument(
        "--format", choices=tuple(EXPORT_SUFFIXES), default="onnx", help="default: onnx (an extra to install)"
    )
    verb.add_argument(
        "--out",
        type=Writes("alice.onnx", binary=True, files=_written),
        help="file to write (default: FILE's name with the format's suffix)",
    )
    verb.add_argument(
        "--input", choices=("uint8", "float"), default="uint8", help="pixels 0 to 255, or 0 to 1 (default: uint8)"
    )
    verb.add_argument(
        "--check",
        type=Reads(TREE_FILES),
        nargs="+",
        default=[],
        metavar="VIDEO",
        help="also check it on frames of these videos; with --int8 on these alone",
    )
    verb.add_argument("--int8", action="store_true", help="the network in 8 bits: smaller, and not quite the same")
    verb.add_argument(
        "--calibrate",
        type=Reads(TREE_FILES),
        nargs="+",
        metavar="VIDEO",
        help="with --int8: the user's folder or videos, by whose frames the 8-bit values are scaled",
    )
    verb.set_defaults(run=_export, of_participants=True)


def _written(options: argparse.Namespace) -> list[Path]:
    return [options.out or export_path(options.file, format=options.format, int8=options.int8)]


def _export(options: argparse.Namespace) -> None:
    if options.int8 and not options.calibrate:
        raise UsageError("--int8 takes --calibrate: the user's folder, or videos, by whose frames values are scaled")
    if options.calibrate and not options.int8:
        raise UsageError("--calibrate goes with --int8")
    from orbit_lite.personal.exporting.export import ExportRequest, export

    request = ExportRequest(options.format, options.input, tuple(options.check), options.calibrate)
    say_text(str(export(options.file, options.out, request)))
