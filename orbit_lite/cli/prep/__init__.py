"""`orbit-lite prep …`: turns raw videos and pictures into indexed frames. Each group of its verbs has a module."""

from groundwork.command_line import Subparsers
from orbit_lite.cli.prep.archives import add_download
from orbit_lite.cli.prep.inspecting import add_index, add_quality, add_summarize, add_verify
from orbit_lite.cli.prep.making import add_extract, add_images, add_pack, add_pocket, add_resize, add_split

VERBS = (  # in the order of --help
    add_pocket,
    add_download,
    add_extract,
    add_images,
    add_index,
    add_resize,
    add_split,
    add_pack,
    add_verify,
    add_quality,
    add_summarize,
)


def add(verbs: Subparsers) -> None:
    """Add `prep` and its verbs to the parser of orbit-lite."""
    prep = verbs.add_parser("prep", help="prepare data: pocket, extract, index, pack and others")
    inner = prep.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add_verb in VERBS:
        add_verb(inner)
