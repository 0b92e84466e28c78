"""A table's values as cells: shown by their column, on its side, and fit for a page or a terminal."""

import pytest

from groundwork.pages.cells import grouped, percent, printable
from groundwork.pages.table import Column, Table


def sides(*values, **column):
    return Table("", (Column("one", **column),), tuple((value,) for value in values)).to_the_right[0]


def test_a_column_shows_its_values_in_its_own_way():
    table = Table("", ("name", Column("share", percent), Column("count", grouped)), (("a", 0.5, 1234), ("b", 1, 2)))
    assert table.cells == (("a", "50.0", "1,234"), ("b", "100.0", "2"))
    assert table.headings == ("name", "share", "count")


def test_what_is_not_known_is_a_dash():
    assert Table("", ("a", "b"), ((None, 0),)).cells == (("-", "0"),)


@pytest.mark.parametrize("values", [(1, 2.5), ("-3.2", "+4"), ("1,234", "1,234,567.5"), (1, None)])
def test_numbers_stand_on_the_right(values):
    assert sides(*values)


@pytest.mark.parametrize("values", [("a",), ("1", "2 of 3"), ("12,34",), ("1e5",), (None, None), ()])
def test_all_else_stands_on_the_left(values):
    assert not sides(*values)


def test_a_column_may_choose_its_side():
    assert sides("3 of 4", side="right")
    assert not sides(3, side="left")


def test_names_can_steer_nothing_wherever_they_stand():
    table = Table("", ("\x1b[2J", Column("\u202egnp", "{}\n".format)), (("a\nb", "c"),))
    assert table.headings == ("\\x1b[2J", "\\u202egnp")
    assert table.cells == (("a\\nb", "c\\n"),)
    assert printable(table.cells[0][0]) == table.cells[0][0]  # a name that is spelled out stays as it is


@pytest.mark.parametrize("row", [("a",), ("a", "b", "c")])
def test_a_row_of_another_length_is_refused(row):
    with pytest.raises(ValueError, match=f"Users: {len(row)} values in a row, 2 columns"):
        Table("Users", ("one", "two"), (row,))
