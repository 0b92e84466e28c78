import csv
import io
import json
import os

import pytest

from groundwork.files import csv_text, part_path, whole_file, whole_folder, write_json


def test_a_file_whose_writing_fails_leaves_the_old_one_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_whose_filling_fails_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "video") as folder:
        (folder / "video-00001.jpg").write_bytes(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_and_over_the_rest_of_killed_work(tmp_path):
    left = part_path(tmp_path / "video")
    left.mkdir()
    (left / "old").write_bytes(b"left by a killed run")
    with whole_folder(tmp_path / "video") as folder:
        (folder / "new").write_bytes(b"x")
        assert not (tmp_path / "video").exists()
    assert [path.name for path in (tmp_path / "video").iterdir()] == ["new"]
    assert not left.exists()


def test_all_of_a_folder_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
    synced, sync = set(), os.fsync

    def spy(descriptor):
        assert not (tmp_path / "video").exists() or os.path.samestat(os.fstat(descriptor), os.stat(tmp_path))
        sync(descriptor)
        synced.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", spy)
    with whole_folder(tmp_path / "video") as folder:
        (folder / "deep/er").mkdir(parents=True)
        for number in range(40):
            (folder / f"{number}.jpg").write_bytes(b"x")
            (folder / f"deep/er/{number}.json").write_bytes(b"x")
    expected = [tmp_path / "video", *(tmp_path / "video").rglob("*")]
    if os.name == "nt":
        expected = [path for path in expected if path.is_file()]
    assert {path.stat().st_ino for path in expected} <= synced


def test_a_sync_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"), whole_folder(tmp_path / "video") as folder:
        (folder / "a.jpg").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_json_refuses_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_csv_is_the_same_on_every_system_and_comes_back():
    rows = [("P1", 'a "b", c', None, 0.5), ("é\nf", "", 3, "x")]
    text = csv_text(("user", "name", "count", "share"), iter(rows))
    assert text.splitlines()[1] == 'P1,"a ""b"", c",,0.5'
    assert "\r" not in text  # Windows would put one before each newline
    header, *back = csv.reader(io.StringIO(text, newline=""))
    assert header == ["user", "name", "count", "share"]
    assert back == [["" if cell is None else str(cell) for cell in row] for row in rows]
