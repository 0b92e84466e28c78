import logging
import os

import pytest

from data_prep.tree.portable import is_text, not_on_windows, report_not_portable, require_text_names
from groundwork.errors import DataError


def test_a_name_that_is_not_text_is_named_once(tmp_path):
    places = ["P1/caf\udce9/clean/a.mp4", "P1/caf\udce9/clean/b.mp4", "P1/mug/clean/c.mp4"]
    with pytest.raises(DataError) as error:
        require_text_names(tmp_path, places)
    assert str(error.value) == (f"{tmp_path}: 1 name not in UTF-8: P1/caf\udce9; rename it")
    require_text_names(tmp_path, ["P1/café/コップ.mp4"])
    assert not is_text(os.fsdecode(b"caf\xe9")) or os.name == "nt"


@pytest.mark.parametrize("name", ["CON", "con.mp4", "Lpt1.x.y", "a:b", "what?", "end.", "end ", "tab\t", "back\\slash"])
def test_names_that_windows_does_not_allow(name):
    assert not_on_windows(name)


@pytest.mark.parametrize("name", ["console", "COM0", "a.b", "my keys", "コップ", ".hidden"])
def test_names_that_windows_allows(name):
    assert not not_on_windows(name)


def test_names_that_are_not_portable_are_reported_in_one_line(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "data_prep"):
        report_not_portable(tmp_path, ["P1/Mug/a.mp4", "P1/mug/a.mp4", "P1/a:b/x:y.mp4", "p2/CON/a.mp4"])
    assert [record.getMessage() for record in caplog.records] == [
        f"note: {tmp_path}: 3 names can't be copied to every system: "
        "P1/Mug and mug (one name on Windows and macOS), P1/a:b (Windows does not allow ':' in names), "
        "p2/CON (a reserved name on Windows)"
    ]


def test_portable_names_are_not_reported(tmp_path, caplog):
    report_not_portable(tmp_path, ["P1/mug/clean/a.mp4", "P2/mug/a.mp4"])
    assert caplog.records == []
