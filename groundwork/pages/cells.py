"""Values as text, in a table's cells and in sentences: names that someone else chose, shares, what is not known."""

import unicodedata

NOTHING = "-"  # in a cell for what is not known
_UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, line and paragraph ends
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # these turn the text around them


def plain(name: str) -> str:
    """A name that someone else chose, fit for a page or a terminal: what would steer it is spelled out (`\\x1b`)."""
    return "".join(_spelled(character) for character in name)


def shown(value: object) -> str:
    """A value as it is; `-` for None."""
    return NOTHING if value is None else str(value)


def percent(fraction: float, digits: int = 1) -> str:
    """`82.4` for 0.8241."""
    return f"{100 * fraction:.{digits}f}"


def whole_percent(fraction: float | None) -> str:
    """`82` for 0.8241; `-` for None."""
    return NOTHING if fraction is None else percent(fraction, 0)


def fraction_cell(number: float | None) -> str | None:
    """`0.8241`, as CSV files have shares; None, an empty cell, for None."""
    return None if number is None else f"{number:.4f}"


def grouped(number: int) -> str:
    """`2,687,934`."""
    return f"{number:,}"


def _spelled(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTED or character in _TURNING:
        return ascii(character)[1:-1]
    return character
