import logging
import os

import pytest

from data_prep.tree.portable import is_text, not_on_windows, report_not_portable, require_text_names
from groundwork.errors import DataError


def test_a_name_that_is_no_text_is_named_once_however_much_is_below(tmp_path):
    places = ["P1/caf\udce9/clean/a.mp4", "P1/caf\udce9/clean/b.mp4", "P1/mug/clean/c.mp4"]
    with pytest.raises(DataError) as error:
        require_text_names(tmp_path, places)
    assert str(error.value) == (
        f"{tmp_path}: P1/caf\udce9: a name that is no UTF-8 text, and could not be written down; rename it"
    )
    require_text_names(tmp_path, ["P1/café/コップ.mp4"])
    assert not is_text(os.fsdecode(b"caf\xe9")) or os.name == "nt"


@pytest.mark.parametrize("name", ["CON", "con.mp4", "Lpt1.x.y", "a:b", "what?", "end.", "end ", "tab\t", "back\\slash"])
def test_names_that_windows_has_not(name):
    assert not_on_windows(name)


@pytest.mark.parametrize("name", ["console", "COM0", "a.b", "my keys", "コップ", ".hidden"])
def test_names_that_it_has(name):
    assert not not_on_windows(name)


def test_twins_and_names_are_reported_in_one_line(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "data_prep"):
        report_not_portable(tmp_path, ["P1/Mug/a.mp4", "P1/mug/a.mp4", "P1/a:b/x:y.mp4", "p2/CON/a.mp4"])
    assert [record.getMessage() for record in caplog.records] == [
        f"note: {tmp_path}: 3 names can't be copied to every system: "
        "P1/Mug and mug (one name on Windows and macOS), P1/a:b (Windows has no ':' in names), "
        "p2/CON (a device of Windows)"
    ]


def test_nothing_is_said_of_names_that_can(tmp_path, caplog):
    report_not_portable(tmp_path, ["P1/mug/clean/a.mp4", "P2/mug/a.mp4"])
    assert caplog.records == []
