"""The argparse `type` of a path option says whether the verb reads or writes the path. `claimed` checks the paths
before the verb works, and `tests/test_outputs.py` checks that every path option has such a type.
"""

import argparse
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from groundwork.outputs import Input, Output, Protected, hold_outputs, require_outputs, writes_to
from groundwork.targets import STDOUT

STREAM_HELP = (
    "An output file may be a device, a pipe, or '-' for standard output; other text then goes to standard error."
)

Paths = Callable[[argparse.Namespace], Sequence[Path]]

ParserT = TypeVar("ParserT", bound=argparse.ArgumentParser)


@dataclass(frozen=True)
class Reads:
    """A file or folder that is read. `protected`: the files in the folder that no output may replace."""

    protected: Protected = field(default_factory=Protected)

    def __call__(self, text: str) -> Path:
        """The path from the command line's text."""
        return Path(text)


@dataclass(frozen=True)
class ReadsOrNames(Reads):
    """A file that is read, or the name of something built in."""

    def __call__(self, text: str) -> str:  # type: ignore[override]
        """The text, unchanged."""
        return text


@dataclass(frozen=True)
class Writes:
    """A file that is written.

    Attributes:
        example: a file name to suggest; "" if the option is a folder for files with fixed names.
        binary: whether the file must not be written to a terminal.
        files: computes the files from all options, if they are not just this option's value, which may be missing.
        in_place: options (by attribute name) whose file it may overwrite.
    """

    example: str = ""
    binary: bool = False
    files: Paths | None = None
    in_place: tuple[str, ...] = ()

    def __call__(self, text: str) -> Path:
        """The path from the command line's text; `-` is standard output."""
        return STDOUT if text == "-" else Path(text)


@dataclass(frozen=True)
class WritesFolder:
    """A folder that is created or resumed as a whole, such as a tree or a run."""

    def __call__(self, text: str) -> Path:
        """The path from the command line's text."""
        return Path(text)


@dataclass(frozen=True)
class Changes(Reads):
    """A file or folder that is read and, if it exists, written in place. `checked`: whether it must be writable; if
    not, the verb has another place to write, or reports itself what it could not write."""

    checked: bool = True


def add_json(parser: argparse.ArgumentParser, example: str) -> None:
    """Add `--json` to a verb that prints tables: their content in a form for programs."""
    parser.add_argument(
        "--json",
        type=Writes(example),
        metavar="FILE",
        help="also write the tables' contents as JSON; '-' prints the JSON and moves the tables to standard error",
    )


@contextmanager
def claimed(options: argparse.Namespace) -> Iterator[None]:
    """Check the paths that a verb's options name, and lock its outputs while the block runs.

    Args:
        options: the parsed options; `options.parser` is the verb's own parser, see `with_own_parser`.

    Raises:
        UsageError: if an output is an input or another output, can't be written, or is being written.
    """
    inputs, outputs = named_paths(options.parser, options)
    require_outputs(inputs, outputs)
    with ExitStack() as stack:
        if writes_to(outputs, 1):
            stack.enter_context(redirect_stdout(sys.stderr))
        if os.environ.get("RANK", "0") == "0":  # under torchrun, only the first process writes
            stack.enter_context(hold_outputs(outputs))
        yield


def run_verb(options: argparse.Namespace) -> None:
    """Call the verb's `run` with its paths checked and locked; see `claimed`."""
    with claimed(options):
        options.run(options)


def with_own_parser(parser: ParserT) -> ParserT:
    """Store each verb's own parser in its options, as `parser`, and explain in its help what it can write to."""
    for leaf in leaf_parsers(parser):
        leaf.set_defaults(parser=leaf)
        if any(isinstance(action.type, Writes) and action.type.example for action in leaf._actions):
            leaf.epilog = leaf.epilog or STREAM_HELP
    return parser


def leaf_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """The parsers of all verbs, or the command's own parser if it has no verbs."""
    inner = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    for action in inner:
        for verb in action.choices.values():
            yield from leaf_parsers(verb)
    if not inner:
        yield parser


def named_paths(parser: argparse.ArgumentParser, options: argparse.Namespace) -> tuple[list[Input], list[Output]]:
    """The inputs and outputs that a verb's options name."""
    inputs: list[Input] = []
    outputs: list[Output] = []
    names = {action.dest: shown_name(action) for action in parser._actions}
    for action in parser._actions:
        kind, name = action.type, names[action.dest]
        if not isinstance(kind, Reads | Writes | WritesFolder):
            continue
        value = getattr(options, action.dest, None)
        given = [Path(item) for item in (value if isinstance(value, list | tuple) else [value]) if item]
        if isinstance(kind, Reads):
            inputs += [Input(name, path, kind.protected) for path in given]
        if isinstance(kind, Changes):
            existing = [path for path in given if path.exists()]
            outputs += [Output(name, path, path.is_dir(), in_place=(name,), checked=kind.checked) for path in existing]
        if isinstance(kind, WritesFolder):
            outputs += [Output(name, path, is_folder=True) for path in given]
        if isinstance(kind, Writes):
            files = given if kind.files is None else kind.files(options)
            may_be = tuple(names[dest] for dest in kind.in_place)
            outputs += [Output(name, path, False, kind.binary, kind.example, may_be) for path in files]
    return inputs, outputs


def shown_name(action: argparse.Action) -> str:
    """An option's name on the command line: `--out`, `TREE`."""
    if action.option_strings:
        return action.option_strings[-1]
    return action.metavar if isinstance(action.metavar, str) else action.dest
