"""Values as text, in a table's cells and in sentences: names that someone else chose, shares, what is not known."""

import unicodedata

MISSING = "-"  # in a cell for what is not known
_UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, halves of characters, line and paragraph ends
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # these turn the text around them


def printable(name: str) -> str:
    """A name that someone else chose, fit for a page or a terminal: what would steer it is spelled out (`\\x1b`)."""
    return "".join(_spelled(character) for character in name)


def shown(value: object) -> str:
    """A value as it is; `-` for None."""
    return MISSING if value is None else str(value)


def percent(fraction: float, digits: int = 1) -> str:
    """`82.4` for 0.8241; never `-0.0`."""
    return fixed(100 * fraction, digits)


def fixed(number: float, digits: int, *, signed: bool = False) -> str:
    """A number with so many decimals; signed: with `+` before what is not below zero. What rounds to zero has no minus.

    `-0.004` with two decimals is `0.00`, and signed `+0.00`.
    """
    text = f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"
    if text.startswith("-") and not float(text):
        return ("+" if signed else "") + text[1:]
    return text


def whole_percent(fraction: float | None) -> str:
    """`82` for 0.8241; `-` for None."""
    return MISSING if fraction is None else percent(fraction, 0)


def fraction_cell(number: float | None) -> str | None:
    """`0.8241`, as CSV files have shares; None, an empty cell, for None."""
    return None if number is None else fixed(number, 4)


def grouped(number: int) -> str:
    """`2,687,934`."""
    return f"{number:,}"


def _spelled(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTED or character in _TURNING:
        return ascii(character)[1:-1]
    return character
