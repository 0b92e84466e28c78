"""YAML as the kit reads it, all of it: plain values only, a mapping that holds a key twice is an error, and so is what
no config needs: a long or deep document, aliases that multiply what it holds, numbers of many digits.
"""

from pathlib import Path
from typing import Any

import yaml

from groundwork.errors import UsageError
from groundwork.words import one_line, quoted

MOST_CHARACTERS = 100_000  # the kit's longest config has a fortieth of that
MOST_DEPTH = 32
MOST_VALUES = 20_000  # with aliases followed
MOST_DIGITS = 40  # of a number

_MERGE = "tag:yaml.org,2002:merge"  # `<<`: what it brings in, a mapping's own keys may replace
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DATE = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """The safe loader, which would take the last of two values for one key, refusing them, and what is too much."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._held: dict[int, int] = {}  # how many values a node holds, itself among them, by its id

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """A value; what is too deep or too much is refused before it is made."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TooMuchError(f"nested too deeply, more than {MOST_DEPTH} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and id(node) not in self._held:
            self._held[id(node)] = held = 1 + sum(self._held.get(id(inner), 1) for inner in _inner(node))
            if held > MOST_VALUES:
                raise TooMuchError(f"holds more than {MOST_VALUES:,} values, what aliases repeat counted each time")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """A mapping as it stands in the text, before merged keys join it."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue  # a mapping or a sequence can't be a key: the constructor says so
            value = self.construct_object(key)
            if value in first:
                lines = f"lines {first[value].start_mark.line + 1} and {key.start_mark.line + 1}"
                raise DoubledKeyError(f"key {quoted(key.value)} is there twice, {lines}; remove one")
            first[value] = key
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """A plain value; one that is not what its tag says is named with its line."""
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        place = f"{quoted(node.value)} in line {node.start_mark.line + 1}"
        if node.tag == _DATE:
            raise yaml.YAMLError(f"{place} is a date, and no setting is; put it in quotes if a text is meant")
        if node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"{place} is a number of more than {MOST_DIGITS} digits")
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError):  # PyYAML lets them through
            raise yaml.YAMLError(f"{place} is no {node.tag.rpartition(':')[2]}") from None


class DoubledKeyError(yaml.YAMLError):
    """A mapping holds a key twice; names the key and both lines."""


class TooMuchError(yaml.YAMLError):
    """More than any config holds."""


def parse_yaml(text: str, *, where: str) -> Any:
    """A YAML document as plain values.

    Args:
        text: the document.
        where: names it in errors: a file, or what was given on the command line.

    Raises:
        UsageError: if it is not YAML, asks for anything but plain values, a mapping holds a key twice, or it is longer,
            deeper or fuller than a config can be. No value is shown at length.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{where}: {_TOO_LONG}")
    try:
        return yaml.load(text, Loader=_Loader)
    except DoubledKeyError as error:
        raise UsageError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error), most=_LONGEST_REASON)
        raise UsageError(f"{where}: not readable as YAML: {what}") from None


def read_yaml_text(path: Path) -> str:
    """The text of a YAML file, of which no more is read than a config can have.

    Raises:
        UsageError: if it is longer, or no UTF-8 text.
        OSError: if it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(4 * MOST_CHARACTERS + 1)  # UTF-8 has up to 4 bytes a character
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not readable as YAML: {error}") from None
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{path}: {_TOO_LONG}")
    return text


_TOO_LONG = f"longer than {MOST_CHARACTERS:,} characters, which no config is"
_LONGEST_REASON = 240  # characters of what PyYAML says


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
