"""Numbers as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.pages.cells import fixed, fraction_cell, percent


@pytest.mark.parametrize(
    ("number", "digits", "signed", "expected"),
    [
        (-0.004, 2, False, "0.00"),
        (-0.004, 2, True, "+0.00"),
        (0.0, 2, True, "+0.00"),
        (-0.006, 2, False, "-0.01"),
        (-0.006, 2, True, "-0.01"),
        (-0.4, 0, False, "0"),
        (1.25, 2, True, "+1.25"),
    ],
)
def test_fixed_decimals(number, digits, signed, expected):
    assert fixed(number, digits, signed=signed) == expected


@given(st.floats(-1, 1), st.integers(0, 3))
def test_no_zero_has_a_minus(fraction, digits):
    for text in (fixed(fraction, digits), fixed(fraction, digits, signed=True), percent(fraction, digits)):
        assert float(text) or "-" not in text


def test_a_share_that_rounds_to_zero():
    assert percent(-0.0001) == "0.0"
    assert fraction_cell(-0.00001) == "0.0000"
    assert fraction_cell(None) is None
