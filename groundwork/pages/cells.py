"""What stands in a table's cells and in sentences: names that someone else chose, and shares."""

import unicodedata

_UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, line and paragraph ends
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # these turn the text around them


def plain(name: str) -> str:
    """A name that someone else chose, fit for a page or a terminal: what would steer it is spelled out (`\\x1b`)."""
    return "".join(_spelled(character) for character in name)


def percent(fraction: float, digits: int = 1) -> str:
    """`82.4` for 0.8241."""
    return f"{100 * fraction:.{digits}f}"


def _spelled(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTED or character in _TURNING:
        return ascii(character)[1:-1]
    return character
