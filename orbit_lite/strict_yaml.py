"""YAML as the kit reads it, all of it: plain values only, and a mapping that holds a key twice is an error.

Whatever else is to bound what a file may hold (its size, its depth, its aliases) belongs here.
"""

from typing import Any

import yaml

from groundwork.errors import AskedWrong

_MERGE = "tag:yaml.org,2002:merge"  # `<<`: what it brings in, a mapping's own keys may replace


class _Loader(yaml.SafeLoader):
    """The safe loader, which would take the last of two values for one key, refusing them."""

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
                raise DoubledKeyError(f"key {key.value!r} is there twice, {lines}; remove one")
            first[value] = key
        return node


class DoubledKeyError(yaml.YAMLError):
    """A mapping holds a key twice; names the key and both lines."""


def parse_yaml(text: str, *, where: str) -> Any:
    """A YAML document as plain values.

    Args:
        text: the document.
        where: names it in errors: a file, or what was given on the command line.

    Raises:
        AskedWrong: if it is not YAML, asks for anything but plain values, or a mapping holds a key twice.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except DoubledKeyError as error:
        raise AskedWrong(f"{where}: {error}") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: a date such as 2024-02-31
        what = "nested too deeply" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise AskedWrong(f"{where}: not readable as YAML: {what}") from None
