"""Numbers as the command line takes them: a wrong one is argparse's error, which names the option."""

import argparse


def positive(text: str) -> int:
    """1 or more."""
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """0 or more."""
    return _at_least(0, text)


def _at_least(least: int, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a whole number, got {text!r}") from None
    if number < least:
        raise argparse.ArgumentTypeError(f"expected {least} or more, got {text}")
    return number


def share(text: str) -> float:
    """0 or more, below 1."""
    try:
        number = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to below 1, got {text}")
    return number
