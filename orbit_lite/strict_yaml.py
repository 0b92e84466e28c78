"""The kit's YAML reader: plain values only; errors for duplicate keys and for what no config needs: long or deep
documents, aliases that multiply the content, and numbers with many digits."""

from pathlib import Path
from typing import Any

import yaml

from groundwork.errors import UsageError
from groundwork.words import one_line, quoted

MOST_CHARACTERS = 100_000  # forty times the kit's longest config
MOST_DEPTH = 32
MOST_VALUES = 20_000  # counted with aliases expanded
MOST_DIGITS = 40  # in a number

_MERGE = "tag:yaml.org,2002:merge"  # `<<`: a mapping's own keys may replace merged keys
_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_DATE = "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    """The safe loader, but it refuses duplicate keys (PyYAML takes the last) and documents that are too large."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._held: dict[int, int] = {}  # node id -> number of values in it, including itself

    def compose_node(self, parent: Any, index: Any) -> yaml.Node | None:
        """Compose a value; refuse one that is too deep or too large before creating it."""
        self._depth += 1
        if self._depth > MOST_DEPTH:
            raise TooMuchError(f"nested too deeply, more than {MOST_DEPTH} levels")
        node: yaml.Node | None = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None and id(node) not in self._held:
            self._held[id(node)] = held = 1 + sum(self._held.get(id(inner), 1) for inner in _inner(node))
            if held > MOST_VALUES:
                raise TooMuchError(f"holds more than {MOST_VALUES:,} values, with aliases expanded")
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Compose a mapping as written, before merged keys are added."""
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        first: dict[Any, yaml.Node] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag == _MERGE:
                continue  # the constructor refuses mappings and sequences as keys
            value = self.construct_object(key)
            if value in first:
                lines = f"lines {first[value].start_mark.line + 1} and {key.start_mark.line + 1}"
                raise DoubledKeyError(f"key {quoted(key.value)} appears twice, {lines}; remove one")
            first[value] = key
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Construct a plain value; errors name the value and its line."""
        if not isinstance(node, yaml.ScalarNode):
            return super().construct_object(node, deep=deep)
        place = f"{quoted(node.value)} in line {node.start_mark.line + 1}"
        if node.tag == _DATE:
            raise yaml.YAMLError(f"{place} is a date, which no setting is; put it in quotes if you mean text")
        if node.tag in _NUMBERS and len(node.value) > MOST_DIGITS:
            raise yaml.YAMLError(f"{place} is a number with more than {MOST_DIGITS} digits")
        try:
            return super().construct_object(node, deep=deep)
        except (ValueError, LookupError, ArithmeticError, TypeError, AttributeError):  # PyYAML does not catch these
            raise yaml.YAMLError(f"{place} is not a valid {node.tag.rpartition(':')[2]}") from None


class DoubledKeyError(yaml.YAMLError):
    """A mapping holds a key twice; the message names the key and both lines."""


class TooMuchError(yaml.YAMLError):
    """The document is larger or deeper than any config."""


def parse_yaml(text: str, *, where: str) -> Any:
    """Parse a YAML document into plain values.

    Args:
        text: the document.
        where: its name in errors: a file, or an argument of the command line.

    Raises:
        UsageError: if it is not YAML, has values that are not plain, has duplicate keys, or is longer or deeper than a
            config can be. The message never shows long values.
    """
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{where}: {_TOO_LONG}")
    try:
        return yaml.load(text, Loader=_Loader)
    except DoubledKeyError as error:
        raise UsageError(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = "nested too deeply" if isinstance(error, RecursionError) else one_line(str(error), most=_LONGEST_REASON)
        raise UsageError(f"{where}: can't be read as YAML: {what}") from None


def read_yaml_text(path: Path) -> str:
    """Read the text of a YAML file, up to the largest size of a config.

    Raises:
        UsageError: if it is longer, or not UTF-8 text.
        OSError: if it can't be read.
    """
    with path.open("rb") as file:
        content = file.read(4 * MOST_CHARACTERS + 1)  # UTF-8 has up to 4 bytes per character
    try:
        text = content.decode().removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: can't be read as YAML: {error}") from None
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{path}: {_TOO_LONG}")
    return text


_TOO_LONG = f"longer than {MOST_CHARACTERS:,} characters, the limit for a config"
_LONGEST_REASON = 240  # the most characters of PyYAML's message


def _inner(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else []
