"""Options that several verbs share, each with one type and one wording, and functions that interpret their values.

A `parser` here is a verb's parser, or a group of options in it.
"""

import argparse

from data_prep.tree.layout import TREE_FILES
from groundwork.options import Reads, ReadsOrNames
from orbit_lite.cli.numbers import not_negative, positive, shard

START_HELP = "a ridge head on efficientnet_lite0 with the ImageNet weights that come with the kit; not meta-trained"
# These repeat tables of modules that are slow to import: orbit_lite.models.engines, data_prep.video.readers.table and
# data_prep.making.layouts.table.
ENGINES = ("torch", "openvino", "eager")
READERS = ("pyav", "decord", "torchcodec")
LAYOUTS = ("folders", "csv", "class-split", "idx", "cifar", "flowers102", "npy", "pets", "sun397", "svhn")


def add_data(parser: argparse._ActionsContainer, *, required: bool = True) -> None:
    """`--data`: the tree whose frames the verb reads."""
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
            help="a benchmark of many data sets: vtab-md, or a YAML file; --data then holds one tree per data set, "
            "each named after its set",
        )
    which.add_argument(
        "--protocol",
        type=ReadsOrNames(),
        help="how tasks are drawn: orbit-2022, own-videos, episodes-5w1s, meta-dataset, ... or a YAML file",
    )
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        dest="protocol_keys",
        help="change keys of the protocol, for example --set way=20 shot=1; its name then shows the change",
    )
    parser.add_argument("--split", default="test", help="users to draw from: train, validation or test (default: test)")
    add_seed(parser, of="the tasks")
    number = parser.add_mutually_exclusive_group()
    number.add_argument(
        "--tasks-per-user",
        type=positive,
        metavar="N",
        help="tasks per user, or per source of images (default: set by the protocol)",
    )
    number.add_argument("--tasks", type=positive, metavar="N", help="tasks in total, each of a user drawn at random")


def add_seed(parser: argparse._ActionsContainer, *, of: str, default: int = 1991) -> None:
    """`--seed`; `of` names what is drawn with it."""
    parser.add_argument("--seed", type=not_negative, default=default, help=f"random seed of {of} (default: {default})")


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
        help=f"a checkpoint, or the name of a learner, which needs --backbone{start}",
    )


def add_backbone_and_weights(parser: argparse._ActionsContainer) -> None:
    """`--backbone` and `--weights`, which a learner's name as `--model` needs."""
    parser.add_argument(
        "--backbone", default="", help="backbone of a learner given by name: tiny, efficientnet_b0, ..."
    )
    parser.add_argument(
        "--weights",
        type=ReadsOrNames(),
        default="",
        help="weights of that backbone: pretrained, random, or a file",
    )


def add_device(parser: argparse._ActionsContainer) -> None:
    """`--device`: the device to compute on."""
    parser.add_argument(
        "--device", default="", help="device to compute on: cpu, cuda or cuda:N (default: cuda if available)"
    )


def add_engine(parser: argparse._ActionsContainer) -> None:
    """`--engine`: the software that runs the extractor when no gradient is needed."""
    parser.add_argument(
        "--engine",
        choices=ENGINES,
        help="software that embeds the frames: torch, openvino (CPU only), or eager, which is unoptimized PyTorch "
        "(default: torch or openvino, whichever measures faster here for this amount of work)",
    )


def add_workers(parser: argparse._ActionsContainer) -> None:
    """`--workers`: see `readers` and `processes` for how it is used."""
    parser.add_argument(
        "--workers",
        type=not_negative,
        help="processes that read or decode; 0 means as few as possible (default: depends on the number of cores)",
    )


def add_shard(parser: argparse._ActionsContainer, *, then: str) -> None:
    """`--shard`; `then` says how the shards are joined when all are done."""
    parser.add_argument(
        "--shard",
        type=shard,
        metavar="I/N",
        help="process share I of N of the videos (I from 1 to N), as one of N jobs that may run at the same time on "
        "any machines (with SLURM: --array=1-16 and --shard $SLURM_ARRAY_TASK_ID/16); " + then,
    )


def readers(options: argparse.Namespace) -> int:
    """How many processes read ahead of the one that computes. With 0, that one also reads."""
    from orbit_lite.data.loader import reading_workers

    return reading_workers() if options.workers is None else int(options.workers)


def processes(options: argparse.Namespace) -> int | None:
    """How many processes decode videos; None means one per core. There is at least one, because a video that crashes or
    hangs the decoder must not do the same to the command."""
    return None if options.workers is None else max(1, int(options.workers))


def add_strictness(options: argparse._ActionsContainer, *, default: str) -> None:
    """`--strictness`; `default` describes what applies without it."""
    options.add_argument(
        "--strictness",
        choices=("careful", "balanced", "eager"),
        help="how readily to answer 'none of these'. careful gives fewer wrong names but misses more of the taught "
        f"objects; eager does the opposite (default: {default})",
    )


def add_reader(options: argparse._ActionsContainer, *, default: str | None, otherwise: str) -> None:
    """`--reader`, one of data_prep.video.readers; `otherwise` describes what applies without it."""
    options.add_argument(
        "--reader",
        choices=READERS,
        default=default,
        help=f"library that decodes videos: pyav, decord or torchcodec (default: {otherwise})",
    )
