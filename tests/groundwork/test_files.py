import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from groundwork import files
from groundwork.files import (
    csv_text,
    final_name,
    is_part,
    part_path,
    remove_parts,
    whole_file,
    whole_folder,
    write_json,
)

ROOT = Path(__file__).parents[2]
WRITE = """
import sys, time
from pathlib import Path
from groundwork.files import whole_file
path, go, mark = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3].encode()
with whole_file(path) as file:
    file.write(mark * 1000)
    file.flush()
    print("half", flush=True)
    while not go.exists():
        time.sleep(0.001)
    file.write(mark * 1000)
"""


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), whole_file(path) as file:
        file.write(b"half of the n")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_folder_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), whole_folder(tmp_path / "video") as folder:
        (folder / "video-00001.jpg").write_bytes(b"x")
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_appears_whole_and_replaces_what_a_killed_run_left(tmp_path):
    left = part_path(tmp_path / "video")
    left.mkdir()
    (left / "old").write_bytes(b"left by a killed run")
    with whole_folder(tmp_path / "video") as folder:
        (folder / "new").write_bytes(b"x")
        assert not (tmp_path / "video").exists()
    assert [path.name for path in (tmp_path / "video").iterdir()] == ["new"]
    assert not left.exists()


def test_a_whole_folder_is_synced_before_it_is_renamed(tmp_path, monkeypatch):
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


def test_a_failed_sync_leaves_nothing(tmp_path, monkeypatch):
    def fail(descriptor):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="Input/output error"), whole_folder(tmp_path / "video") as folder:
        (folder / "a.jpg").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


def test_json_rejects_nan(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"a": float("nan")})
    assert json.loads(path.read_text()) == {"a": 1}


def test_csv_is_the_same_on_every_system_and_survives_reading():
    rows = [("P1", 'a "b", c', None, 0.5), ("é\nf", "", 3, "x")]
    text = csv_text(("user", "name", "count", "share"), iter(rows))
    assert text.splitlines()[1] == 'P1,"a ""b"", c",,0.5'
    assert "\r" not in text  # Windows would put one before each newline
    header, *back = csv.reader(io.StringIO(text, newline=""))
    assert header == ["user", "name", "count", "share"]
    assert back == [["" if cell is None else str(cell) for cell in row] for row in rows]


def half_written(path: Path, go: Path, mark: str) -> subprocess.Popen:
    """A process that has written half of a file, and finishes it when `go` exists."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITE, str(path), str(go), mark], cwd=ROOT, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"half\n"
    return process


def test_six_processes_can_write_one_file(tmp_path):
    path, go = tmp_path / "a.bin", tmp_path / "go"
    writers = [half_written(path, go, mark) for mark in "abcdef"]
    parts = sorted(entry.name for entry in tmp_path.iterdir())
    assert len(parts) == 6 and all(map(is_part, parts)) and {final_name(name) for name in parts} == {"a.bin"}
    go.touch()
    assert [writer.wait() for writer in writers] == [0] * 6
    content = path.read_bytes()
    assert len(content) == 2000 and len(set(content)) == 1
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.bin", "go"]


def test_the_next_write_removes_abandoned_parts_but_not_those_being_written(tmp_path):
    path, go = tmp_path / "a.bin", tmp_path / "go"
    killed, alive, also_killed = (half_written(path, go, mark) for mark in "xyz")
    for process in (killed, also_killed):
        process.kill()
        process.wait()
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert left == [part_path(path, number).name for number in (1, 2, 3)]
    with whole_file(path) as file:
        file.write(b"whole")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".a.bin~2.part", "a.bin"]
    go.touch()
    assert alive.wait() == 0 and path.read_bytes() == b"y" * 2000  # the last to finish wins
    with whole_file(path) as file:
        file.write(b"whole")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.bin", "go"]


def test_without_locks_only_an_old_part_counts_as_abandoned(tmp_path, monkeypatch):
    """No file system without locks is available here, so its answer is simulated."""
    path, part = tmp_path / "a.txt", part_path(tmp_path / "a.txt")
    monkeypatch.setattr(files, "try_lock", lambda file: None)
    part.write_text("being written")
    with whole_file(path) as file:
        file.write(b"1")
    assert path.read_text() == "1" and part.read_text() == "being written"
    os.utime(part, (0, 0))
    with whole_file(path) as file:
        file.write(b"2")
    assert path.read_text() == "2" and not part.exists()


def test_a_part_that_can_not_be_removed_is_left(tmp_path):
    path = tmp_path / "a.txt"
    part_path(path).mkdir()
    with whole_file(path) as file:
        file.write(b"1")
    assert path.read_text() == "1" and part_path(path).is_dir()


def test_parts_are_recognized_by_their_names_and_removed(tmp_path):
    for name in ("b.json", ".hidden.json", "b~2.csv", "two\nlines.csv", "P1.zip"):
        for number in (1, 2, 64):
            part = part_path(tmp_path / name, number)
            assert is_part(part.name) and final_name(part.name) == name
            part.touch()
        remove_parts(tmp_path / name)
    for folder in ("P1", "P1~2"):  # two different users
        assert final_name(part_path(tmp_path / folder).name) == folder
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ValueError, match="not the name of a part"):
        final_name("b.part")
