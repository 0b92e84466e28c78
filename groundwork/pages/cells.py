"""Values as text, for table cells and sentences: names that someone else chose, shares, missing values."""

import unicodedata

MISSING = "-"  # the cell of a missing value
_UNPRINTED = {"Cc", "Cs", "Zl", "Zp"}  # control characters, surrogates, line and paragraph separators
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # change the direction of the text around them


def printable(name: str) -> str:
    """A name that someone else chose, safe for a page or a terminal: control characters are escaped (`\\x1b`)."""
    return "".join(_escaped(character) for character in name)


def shown(value: object) -> str:
    """A value as text; `-` for None."""
    return MISSING if value is None else str(value)


def percent(fraction: float, digits: int = 1) -> str:
    """`82.4` for 0.8241; never `-0.0`."""
    return fixed(100 * fraction, digits)


def fixed(number: float, digits: int, *, signed: bool = False) -> str:
    """A number with `digits` decimals; `signed` adds a plus sign. A number that rounds to zero has no minus sign.

    `-0.004` with two decimals is `0.00`, or `+0.00` if signed.
    """
    text = f"{number:+.{digits}f}" if signed else f"{number:.{digits}f}"
    if text.startswith("-") and not float(text):
        return ("+" if signed else "") + text[1:]
    return text


def whole_percent(fraction: float | None) -> str:
    """`82` for 0.8241; `-` for None."""
    return MISSING if fraction is None else percent(fraction, 0)


def fraction_cell(number: float | None) -> str | None:
    """`0.8241`, as shares are written in CSV files; None (an empty cell) for None."""
    return None if number is None else fixed(number, 4)


def grouped(number: int) -> str:
    """`2,687,934`."""
    return f"{number:,}"


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _UNPRINTED or character in _TURNING:
        return ascii(character)[1:-1]
    return character
