"""Types of numbers on the command line. For a wrong number they raise argparse's error, which names the option."""

import argparse

from data_prep.tree.shard import Shard
from groundwork.errors import UsageError


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
    number = _number(text)
    if not 0 <= number < 1:
        raise argparse.ArgumentTypeError(f"expected a share from 0 to below 1, got {text}")
    return number


def shard(text: str) -> Shard:
    """One of N shards, as `I/N`."""
    try:
        return Shard.parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def frame_rate(text: str) -> float:
    """Frames per second, 0.01 to 1000."""
    rate = _number(text)
    if not 0.01 <= rate <= 1000:
        raise argparse.ArgumentTypeError(f"expected frames per second, 0.01 to 1000, got {text}")
    return rate


def seconds(text: str) -> float:
    """0 or more, and finite."""
    number = _number(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"expected seconds, 0 or more, got {text}")
    return number


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected a number, got {text!r}") from None
