import pytest

from data_prep.forgetting.derived import contains_name, drop_rows, texts_naming
from groundwork.files import csv_text


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("P177--bag--clean--a", True),
        ("user P177: lost", True),
        ("_P177_", True),
        ("P1770", False),
        ("AP177", False),
        ("p177", False),
        ("éP177", False),
    ],
)
def test_a_name_is_found_as_a_whole_word(text, found):
    assert contains_name(text.encode(), "P177") is found


def test_a_name_with_pattern_characters_is_taken_literally():
    assert contains_name(b"(a+b) lost", "(a+b)") and not contains_name(b"aab lost", "a+b")


def test_rows_are_removed_by_one_column_and_the_rest_stays(tmp_path):
    path = tmp_path / "table.csv"
    rows = [("", "user", "cup"), ("", "bob", "user"), ("", 'a "b",\nc', "cup"), ("", "bob\udcff", "x")]
    path.write_bytes(csv_text(("split", "user", "object"), rows).encode(errors="surrogateescape"))
    assert drop_rows(path, "user") == 1
    assert path.read_bytes() == csv_text(("split", "user", "object"), rows[1:]).encode(errors="surrogateescape")
    assert drop_rows(path, "user") == 0 == drop_rows(tmp_path / "none.csv", "user")


def test_a_table_without_the_column_is_unchanged(tmp_path):
    (tmp_path / "own.csv").write_text("a,b\nbob,bob\n")
    assert drop_rows(tmp_path / "own.csv", "bob") == 0
    assert (tmp_path / "own.csv").read_text() == "a,b\nbob,bob\n"


def test_only_unknown_text_files_are_searched(tmp_path):
    for name in ("notes.txt", "known.csv", "frame.jpg"):
        (tmp_path / name).write_text("bob")
    assert texts_naming(tmp_path, "bob", known={"known.csv"}) == [tmp_path / "notes.txt"]
