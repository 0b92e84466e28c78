"""Rational numbers as PyAV gives them: up to version 18 `fractions.Fraction` or None, from 19 `av.AVRational`, which is
0/1 or x/0 where the file states nothing."""

from fractions import Fraction
from typing import Protocol


class Rational(Protocol):
    """The attributes that both types have."""

    @property
    def numerator(self) -> int: ...

    @property
    def denominator(self) -> int: ...


def as_fraction(value: Rational | None) -> Fraction | None:
    """A rate, a time base or an aspect ratio as a fraction; None if the file does not state it."""
    if value is None or not value.numerator or not value.denominator:
        return None
    return Fraction(value.numerator, value.denominator)
