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
        help="export a personal recognizer to ONNX, TorchScript or torch.export",
        description="Write a personal recognizer as one file for other programs. Its input is pixels; its outputs are "
        "logits, probabilities and familiarity; its metadata holds the labels. The file is compared with the "
        "recognizer before it is put in place. It is personal data: it holds each object's name and mean feature "
        "vector, but no pictures and no features of single frames.",
    )
    verb.add_argument("file", type=Reads(), metavar="FILE", help="a personal recognizer, from 'orbit-lite personalize'")
    verb.add_argument(
        "--format",
        choices=tuple(EXPORT_SUFFIXES),
        default="onnx",
        help="file format (default: onnx, which needs orbit-lite[export])",
    )
    verb.add_argument(
        "--out",
        type=Writes("alice.onnx", binary=True, files=_written),
        help="file to write (default: FILE with the format's suffix)",
    )
    verb.add_argument(
        "--input",
        choices=("uint8", "float"),
        default="uint8",
        help="pixel values: uint8, 0 to 255, or float, 0 to 1 (default: uint8)",
    )
    verb.add_argument(
        "--check",
        type=Reads(TREE_FILES),
        nargs="+",
        default=[],
        metavar="VIDEO",
        help="also compare on frames of these videos; with --int8, compare only on these",
    )
    verb.add_argument(
        "--int8",
        action="store_true",
        help="quantize the network to 8 bits: a smaller file, with slightly different answers",
    )
    verb.add_argument(
        "--calibrate",
        type=Reads(TREE_FILES),
        nargs="+",
        metavar="VIDEO",
        help="with --int8: the user's folder or videos, whose frames set the scales of the 8-bit values",
    )
    verb.set_defaults(run=_export, of_participants=True)


def _written(options: argparse.Namespace) -> list[Path]:
    return [options.out or export_path(options.file, format=options.format, int8=options.int8)]


def _export(options: argparse.Namespace) -> None:
    if options.int8 and not options.calibrate:
        raise UsageError("--int8 needs --calibrate: the user's folder, or videos, whose frames set the 8-bit scales")
    if options.calibrate and not options.int8:
        raise UsageError("--calibrate can be used only with --int8")
    from orbit_lite.personal.exporting.export import ExportRequest, export

    request = ExportRequest(options.format, options.input, tuple(options.check), options.calibrate)
    say_text(str(export(options.file, options.out, request)))
