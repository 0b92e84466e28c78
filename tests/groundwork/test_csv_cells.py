import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.csv_cells import csv_lines, open_csv, plain_cell, safe_cell
from groundwork.files import csv_text

FORMULAS = ["=HYPERLINK(1)", "+1+1", "-1+1", "-me", "@SUM(A1)", "\tx", "\rx", "\uff1d1", "=", "'=1", "''@x", "-"]
NOT_FORMULAS = ["-3.8336", "+5", "1e-5", "-inf", "-.5", "mug", "it's", "'quoted'", "", "a=b", "3-1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_formulas_are_escaped(text):
    assert safe_cell(text) == f"'{text}"
    assert plain_cell(f"'{text}") == text


@pytest.mark.parametrize("text", NOT_FORMULAS)
def test_numbers_and_other_text_are_unchanged(text):
    assert safe_cell(text) == text and plain_cell(text) == text


@given(st.lists(st.lists(st.text("'=+-@\t\r\n,\"a1\uff1d é"), min_size=2, max_size=3), min_size=1, max_size=4))
def test_every_cell_survives_write_and_read(rows):
    assert [[plain_cell(c) for c in row] for row in csv.reader(io.StringIO(csv_lines(rows), newline=""))] == rows


def test_a_file_may_have_a_byte_order_mark_and_any_bytes(tmp_path):
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbf" + csv_text(("user", "n"), [("=1", -2)]).encode() + b"caf\xe9,3\n")
    with open_csv(path, any_bytes=True) as rows:
        assert list(rows) == [["user", "n"], ["=1", "-2"], ["caf\udce9", "3"]]
        assert rows.line_num == 3
    with pytest.raises(UnicodeDecodeError), open_csv(path) as rows:
        list(rows)
