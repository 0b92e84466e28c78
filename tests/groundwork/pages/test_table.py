"""A table's values as cells: formatted and aligned by their column, and safe for a page or a terminal."""

import pytest

from groundwork.pages.cells import grouped, percent, printable
from groundwork.pages.table import Column, Table


def sides(*values, **column):
    return Table("", (Column("one", **column),), tuple((value,) for value in values)).to_the_right[0]


def test_each_column_formats_its_values():
    table = Table("", ("name", Column("share", percent), Column("count", grouped)), (("a", 0.5, 1234), ("b", 1, 2)))
    assert table.cells == (("a", "50.0", "1,234"), ("b", "100.0", "2"))
    assert table.headings == ("name", "share", "count")


def test_a_missing_value_is_a_dash():
    assert Table("", ("a", "b"), ((None, 0),)).cells == (("-", "0"),)


@pytest.mark.parametrize("values", [(1, 2.5), ("-3.2", "+4"), ("1,234", "1,234,567.5"), (1, None)])
def test_numbers_are_aligned_to_the_right(values):
    assert sides(*values)


@pytest.mark.parametrize("values", [("a",), ("1", "2 of 3"), ("12,34",), ("1e5",), (None, None), ()])
def test_everything_else_is_aligned_to_the_left(values):
    assert not sides(*values)


def test_a_column_may_set_its_alignment():
    assert sides("3 of 4", side="right")
    assert not sides(3, side="left")


def test_control_characters_in_names_are_escaped_everywhere():
    table = Table("", ("\x1b[2J", Column("\u202egnp", "{}\n".format)), (("a\nb", "c"),))
    assert table.headings == ("\\x1b[2J", "\\u202egnp")
    assert table.cells == (("a\\nb", "c\\n"),)
    assert printable(table.cells[0][0]) == table.cells[0][0]  # escaping twice changes nothing


@pytest.mark.parametrize("row", [("a",), ("a", "b", "c")])
def test_a_row_of_the_wrong_length_is_rejected(row):
    with pytest.raises(ValueError, match=f"Users: {len(row)} values in a row, 2 columns"):
        Table("Users", ("one", "two"), (row,))
