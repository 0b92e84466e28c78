"""Parts of messages that several floors use."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence

LISTED = 8  # names in one line
_SHORT = 80  # characters of quoted text

_NEAREST = 200  # characters; for a longer name, the search for a near one would take too long


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or "" if no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1) if len(name) <= _NEAREST else []
    return f" (did you mean {close[0]!r}?)" if close else ""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts: `1 video`, `2 videos`. `several` is for plurals that do not just add an s."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def first_capital(text: str) -> str:
    """The text with a capital first letter, to begin a sentence."""
    return text[:1].upper() + text[1:]


def listed(names: Sequence[str], *, most: int = LISTED, apart: str = ", ") -> str:
    """Up to `most` names on one line, then how many more there are."""
    more = len(names) - most
    return apart.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def natural_sort_key(name: str) -> list[str | int]:
    """A sort key that orders names as people do: `IMG_2` before `IMG_10`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name.casefold())]


def one_line(text: str, *, most: int = _SHORT) -> str:
    """Text from a file on one line, cut off after `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def quoted(value: object) -> str:
    """A value from outside as Python writes it, short and on one line; never slow, and never an error."""
    return one_line(_Shortened().repr(value))


class _Shortened(reprlib.Repr):
    """Shortens nested values at every level."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 4, _SHORT, _SHORT, _SHORT

    def repr_int(self, value: int, level: int) -> str:
        """An int of any size: Python refuses to write very long ones."""
        return super().repr_int(value, level) if value.bit_length() < 4096 else f"a number of {value.bit_length()} bits"
