"""Several processes use a tree at once whose index, or whose table of video names, is missing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from data_prep.tree import index as index_module
from data_prep.tree.index import INDEX_NAME, open_index
from data_prep.tree.naming import table_path
from groundwork.errors import UsageError
from groundwork.lock import lock_path, one_at_a_time

ROOT = Path(__file__).parents[3]
PROCESSES = 6
OPEN = """
import json, logging, sys, time
from dataclasses import astuple
from pathlib import Path
from data_prep.tree.index import open_index
logging.basicConfig(level=logging.INFO, format="%(message)s")  # to stderr
tree, go = map(Path, sys.argv[1:])
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
print(json.dumps([astuple(row) for row in open_index(tree).rows]))
"""


def open_at_once(tree: Path, tmp_path: Path, **environment: str) -> tuple[list, list[str]]:
    """What PROCESSES processes find that open a tree at the same time, and what all of them print on stderr."""
    go = tmp_path / "go"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", OPEN, str(tree), str(go)],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(PROCESSES)
    ]
    for process in started:
        assert process.stdout.readline() == "ready\n"
    go.touch()
    found, lines = [], []
    for process in started:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        found.append(json.loads(out))
        lines += err.splitlines()
    return found, lines


def frame_tree(root: Path) -> Path:
    """Enough videos that listing them takes a while, so that processes that start together meet."""
    for number in range(400):
        folder = root / f"P1/cup/clean/P1--cup--clean--{number}"
        folder.mkdir(parents=True)
        for frame in (1, 2, 3):
            (folder / f"{folder.name}-{frame:05d}.jpg").write_bytes(b"x")
    return root


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob(".*")]


def test_one_of_six_processes_builds_the_index_and_the_others_read_it(tmp_path):
    tree = frame_tree(tmp_path / "tree")
    found, lines = open_at_once(tree, tmp_path)
    assert len(found[0]) == 400 and all(rows == found[0] for rows in found)
    assert len([line for line in lines if line.endswith("building it")]) == 1
    waiting = [line for line in lines if not line.endswith("building it")]
    assert waiting == [f"index of {tree}: waiting for another process that is making {tree / INDEX_NAME}"] * len(
        waiting
    )
    assert (tree / INDEX_NAME).is_file() and hidden(tmp_path) == []


def test_six_processes_find_the_same_names_for_a_raw_trees_videos(pocket_raw, tmp_path):
    tree = tmp_path / "raw"
    for number, path in enumerate(sorted((pocket_raw / "test").glob("*/*/*/*.mp4"))):
        target = tree / path.relative_to(pocket_raw).with_name(f"VID_{number}.mp4")  # gets a hashed name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    found, _ = open_at_once(tree, tmp_path)
    assert found[0] and all(rows == found[0] for rows in found)
    assert hidden(tmp_path) == [table_path(tree).name]


def test_a_read_only_tree_gets_one_index_in_the_users_cache(tmp_path, small_disk):
    disk, cache = small_disk(20_000), tmp_path / "cache"
    tree = frame_tree(disk / "tree")
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
    found, lines = open_at_once(tree, tmp_path, XDG_CACHE_HOME=str(cache))
    assert len(found[0]) == 400 and all(rows == found[0] for rows in found)
    assert len([line for line in lines if line.endswith("building it")]) == 1
    assert len(list(cache.rglob(INDEX_NAME))) == 1 and hidden(cache) == []


def test_leftovers_of_a_killed_process_do_not_block_and_are_removed(tmp_path):
    tree = frame_tree(tmp_path / "tree")
    lock_path(tree / INDEX_NAME).touch()
    (tree / f".{INDEX_NAME}.part").write_text("half of an ind")
    assert len(open_index(tree).rows) == 400
    assert hidden(tree) == []


def test_a_process_waits_for_a_limited_time(tmp_path, monkeypatch, reported):
    """The test uses a short limit. A lock belongs to an open file, so one process can act as two."""
    tree = frame_tree(tmp_path / "tree")
    monkeypatch.setattr(
        index_module, "hold_in_turn", lambda places, what: one_at_a_time(places[0], what, longest_s=0.3)
    )
    with one_at_a_time(tree / INDEX_NAME, "first"), pytest.raises(UsageError, match="another process"):
        open_index(tree)
    assert len(reported()) == 1
    assert not (tree / INDEX_NAME).exists() and hidden(tree) == []
