"""Words that several floors put into their messages."""

import difflib
import re
import reprlib
from collections.abc import Iterable, Sequence

LISTED = 8  # names in one line
_SHORT = 80  # characters of what somebody else wrote

_NEAREST = 200  # characters of a name that could be a mistyped one: the search takes long over longer ones


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing if no known name is near."""
    close = difflib.get_close_matches(name, list(known), n=1) if len(name) <= _NEAREST else []
    return f" (did you mean {close[0]!r}?)" if close else ""


def counted(number: int, one: str, several: str = "") -> str:
    """A number and what it counts: `1 video`, `2 videos`. `several` is for plurals that do not just end in s."""
    return f"{number} {one if number == 1 else several or one + 's'}"


def listed(names: Sequence[str], *, most: int = LISTED, apart: str = ", ") -> str:
    """Up to `most` names in one line, then how many more there are."""
    more = len(names) - most
    return apart.join(names[:most]) + (f" and {more} more" if more > 0 else "")


def natural_sort_key(name: str) -> list[str | int]:
    """A key to sort names by as people do: `IMG_2` before `IMG_10`."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"([0-9]+)", name.casefold())]


def one_line(text: str, *, most: int = _SHORT) -> str:
    """Text from a file on one line, its end cut off where it is longer than `most` characters."""
    line = " ".join(text.split())
    return line if len(line) <= most else line[: most - 3] + "..."


def quoted(value: object) -> str:
    """What somebody else gave, as Python writes it, on one line and short; never slow, and no error."""
    return one_line(_Shortened().repr(value))


class _Shortened(reprlib.Repr):
    """Short at every level."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxstring, self.maxlong, self.maxother = 4, _SHORT, _SHORT, _SHORT

    def repr_int(self, value: int, level: int) -> str:
        """Digits of all sizes: past a limit Python refuses to write them."""
        return super().repr_int(value, level) if value.bit_length() < 4096 else f"a number of {value.bit_length()} bits"
