"""Options that several verbs take: one type and one wording each, and what a verb makes of them.

A `parser` is a verb's, or a group of options in it.
"""

import argparse

from data_prep.tree.layout import TREE_FILES
from groundwork.options import Reads, ReadsOrNames
from orbit_lite.cli.numbers import not_negative, positive

START_HELP = "ridge on efficientnet_lite0, whose ImageNet weights are installed with the kit; not meta-trained"
ENGINES = ("torch", "openvino", "eager")  # as orbit_lite.models.engines has them, which takes a while to import
READERS = ("pyav", "decord", "torchcodec")  # as data_prep.video.readers.table has them, which takes a while to import

# as data_prep.making.layouts.table has them, which takes a while to import
LAYOUTS = ("folders", "csv", "class-split", "idx", "cifar", "flowers102", "npy", "pets", "sun397", "svhn")


def add_data(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """`--data`: the tree whose frames a verb reads."""
    parser.add_argument(
        "--data", type=Reads(TREE_FILES), required=required, help="a frame tree, packed or not, or a tree of raw videos"
    )


def add_protocol(parser: argparse._ActionsContainer, *, or_suite: bool = False) -> None:
    """`--protocol`, `--set`, `--split`, `--seed`, `--tasks-per-user` and `--tasks`: which tasks are drawn.

    or_suite: `--suite` may take the place of `--protocol`.
    """
    which = parser.add_mutually_exclusive_group(required=True)
    if or_suite:
        which.add_argument(
            "--suite",
            type=ReadsOrNames(),
            help="a benchmark of many data sets, vtab-md or a YAML file: --data holds a tree for each set, by its name",
        )
    which.add_argument(
        "--protocol",
        type=ReadsOrNames(),
        help="orbit-2022, own-videos, episodes-5w1s, meta-dataset, ... or a YAML file",
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="protocol_keys",
        help="other values for the protocol's keys: --set way=20 shot=1; its name then says so",
    )
    parser.add_argument("--split", default="test", help="train, validation or test (default: test)")
    add_seed(parser, of="the tasks")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--tasks-per-user",
        type=positive,
        metavar="N",
        help="tasks of each user, or source of images (default: the protocol's)",
    )
    number.add_argument("--tasks", type=positive, metavar="N", help="tasks in all, a user drawn at random for each")


def add_seed(parser: argparse._ActionsContainer, *, of: str, default: int = 1991) -> None:
    """`--seed`; `of` says what it is the seed of."""
    parser.add_argument("--seed", type=not_negative, default=default, help=f"seed of {of} (default: {default})")


def add_model(parser: argparse._ActionsContainer) -> None:
    """`--model`, which is required, `--backbone` and `--weights`."""
    add_model_alone(parser, required=True)
    add_backbone_and_weights(parser)


def add_model_alone(parser: argparse._ActionsContainer, *, required: bool = False) -> None:
    """`--model`. Where it is not required, the embedded start takes its place."""
    start = "" if required else f" (default: {START_HELP})"
    parser.add_argument(
        "--model",
        type=ReadsOrNames(),
        required=required,
        help=f"a checkpoint, or a learner's name with --backbone{start}",
    )


def add_backbone_and_weights(parser: argparse._ActionsContainer) -> None:
    """`--backbone` and `--weights`, which a learner's name as `--model` needs."""
    parser.add_argument("--backbone", default="", help="for a learner's name: tiny, efficientnet_b0, ...")
    parser.add_argument(
        "--weights",
        type=ReadsOrNames(),
        default="",
        help="for a backbone: pretrained, random, or a file",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """`--device`: where to compute."""
    parser.add_argument("--device", default="", help="cpu, cuda, ... (default: cuda where there is one)")


def add_engine(parser: argparse._ActionsContainer) -> None:
    """`--engine`: what runs the extractor where no gradient is asked for."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="what embeds frames: torch, openvino (CPU only), or eager, which is PyTorch as the network is written "
        "(default: torch or openvino, whichever was measured to be quicker here for so much work)",
    )


def add_workers(parser: argparse._ActionsContainer) -> None:
    """`--workers`: see `readers` and `processes` for what becomes of it."""
    parser.add_argument(
        "--workers",
        type=not_negative,
        help="processes that read or decode; 0 is as few as possible (default: by the number of cores)",
    )


def readers(options: argparse.Namespace) -> int:
    """How many processes read ahead of the one that computes. With 0, that one reads."""
    from orbit_lite.data.loader import reading_workers

    return reading_workers() if options.workers is None else int(options.workers)


def processes(options: argparse.Namespace) -> int | None:
    """How many processes decode videos; None for one per core. At least one: a video that breaks or hangs the decoder
    must not take the command with it."""
    return None if options.workers is None else max(1, int(options.workers))


def add_strictness(options: argparse._ActionsContainer, *, default: str) -> None:
    """`--strictness`; `default` says what holds without it."""
    options.add_argument(
        "--strictness",
        choices=("careful", "balanced", "eager"),
        help="how readily to answer 'none of these': careful names fewer wrong things and leaves more of the taught "
        f"ones out, eager the other way (default: {default})",
    )


def add_reader(options: argparse._ActionsContainer, *, default: str | None, otherwise: str) -> None:
    """`--reader`, by the names of data_prep.video.readers; `otherwise` says what holds without it."""
    options.add_argument(
        "--reader",
        choices=READERS,
        default=default,
        help=f"what decodes: pyav, decord or torchcodec (default: {otherwise})",
    )
