"""Options that are paths say so by their argparse `type`: whether a verb reads them or writes them. `claimed` holds a
verb to that before its work, and `tests/test_outputs.py` sees that every option has said it.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from groundwork.outputs import Input, Output, Protected, hold_outputs, require_outputs, writes_to
from groundwork.targets import STDOUT

STREAM_HELP = (
    "An output file may be a device, a pipe, or '-' for standard output; other text then goes to standard error."
)

NOTHING = Protected()
Paths = Callable[[argparse.Namespace], Sequence[Path]]

ParserT = TypeVar("ParserT", bound=argparse.ArgumentParser)


@dataclass(frozen=True)
class Reads:
    """A file or folder that is read. `kept`: what no output may take the place of, if it is a folder."""

    kept: Protected = NOTHING

    def __call__(self, text: str) -> Path:
        """From the command line's text."""
        return Path(text)


@dataclass(frozen=True)
class ReadsOrNames(Reads):
    """A file that is read, or the name of something built in."""

    def __call__(self, text: str) -> str:  # type: ignore[override]
        """The text as it is."""
        return text


@dataclass(frozen=True)
class Writes:
    """A file that is written.

    Attributes:
        example: a name to suggest; "" if the option is a folder for files of given names.
        binary: whether the file is nothing to look at in a terminal.
        files: gives the files by all options, where they are not just the option's value; the option may be missing.
        in_place: other options (as attributes) whose file it may be.
    """

    example: str = ""
    binary: bool = False
    files: Paths | None = None
    in_place: tuple[str, ...] = ()

    def __call__(self, text: str) -> Path:
        """From the command line's text; `-` is standard output."""
        return STDOUT if text == "-" else Path(text)


@dataclass(frozen=True)
class WritesFolder:
    """A folder that is made or resumed as a whole: a tree, a run."""

    def __call__(self, text: str) -> Path:
        """From the command line's text."""
        return Path(text)


@dataclass(frozen=True)
class Changes(Reads):
    """A file or folder that is read and written in place, if it is there. `checked`: whether it must be writable; else
    the verb has another place, or says itself what it could not write."""

    checked: bool = True


def add_json(parser: argparse.ArgumentParser, example: str) -> None:
    """`--json`, for a verb that prints tables: what they hold, for programs."""
    parser.add_argument(
        "--json",
        type=Writes(example),
        metavar="FILE",
        help="also write the tables' contents as JSON; '-' prints the JSON and moves the tables to standard error",
    )


@contextmanager
def claimed(options: argparse.Namespace) -> Iterator[None]:
    """Do a verb's work in this block, on the paths that its options name.

    Args:
        options: as parsed; `parser` among them is the verb's own, see `with_own_parser`.

    Raises:
        UsageError: if an output is an input or another output, can't be written, or is being written.
    """
    inputs, outputs = named_paths(options.parser, options)
    require_outputs(inputs, outputs)
    with ExitStack() as stack:
        if writes_to(outputs, 1):
            stack.enter_context(redirect_stdout(sys.stderr))
        if os.environ.get("RANK", "0") == "0":  # of torchrun's processes, the first one writes
            stack.enter_context(hold_outputs(outputs))
        yield


def run_verb(options: argparse.Namespace) -> None:
    """Do what the verb's `run` does, on paths that it may read and write; see `claimed`."""
    with claimed(options):
        options.run(options)


def with_own_parser(parser: ParserT) -> ParserT:
    """Let the options of each verb hold its own parser, as `parser`; and its help say what it can write to."""
    for leaf in leaf_parsers(parser):
        leaf.set_defaults(parser=leaf)
        if any(isinstance(action.type, Writes) and action.type.example for action in leaf._actions):
            leaf.epilog = leaf.epilog or STREAM_HELP
    return parser


def leaf_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all verbs, or a command's own if it has none."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for verb in action.choices.values():
            yield from leaf_parsers(verb)
    if not inner:
        yield parser


def named_paths(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[list[Input], list[Output]]:
    """What a verb's options name to read and to write."""
    inputs: list[Input] = []
    outputs: list[Output] = []
    names = {action.dest: shown_name(action) for action in parser._actions}
    for action in parser._actions:
        kind, name = action.type, names[action.dest]
        if not isinstance(kind, Reads | Writes | WritesFolder):
            continue
        value = getattr(options, action.dest, None)
        given = [Path(one) for one in (value if isinstance(value, list | tuple) else [value]) if one]
        if isinstance(kind, Reads):
            inputs += [Input(name, path, kind.kept) for path in given]
        if isinstance(kind, Changes):
            there = [path for path in given if path.exists()]
            outputs += [Output(name, path, path.is_dir(), in_place=(name,), checked=kind.checked) for path in there]
        if isinstance(kind, WritesFolder):
            outputs += [Output(name, path, is_folder=True) for path in given]
        if isinstance(kind, Writes):
            files = given if kind.files is None else kind.files(options)
            may_be = tuple(names[dest] for dest in kind.in_place)
            outputs += [Output(name, path, False, kind.binary, kind.example, may_be) for path in files]
    return inputs, outputs


def shown_name(action: argparse.Action) -> str:
    """What the command line calls an option: `--out`, `TREE`."""
    if action.option_strings:
        return action.option_strings[-1]
    return action.metavar if isinstance(action.metavar, str) else action.dest
