import shutil
from pathlib import Path

import numpy as np
import pytest

from data_prep.making.pack import pack
from data_prep.tree.copies import TAIL_BYTES, find_copies
from data_prep.tree.index import build_index
from data_prep.tree.layout import frame_file_name
from data_prep.video import encode_jpeg
from groundwork.errors import DataError


def write(root, user, thing, number, contents):
    video = f"{user}--{thing}--clean--stills-{number:04d}"
    folder = root / user / thing / "clean" / video
    folder.mkdir(parents=True)
    for frame, content in enumerate(contents, start=1):
        (folder / frame_file_name(video, frame)).write_bytes(content)
    return video


@pytest.fixture
def pictures():
    rng = np.random.default_rng(0)
    return [encode_jpeg(rng.integers(0, 255, (32, 32, 3)).astype(np.uint8)) for _ in range(4)]


@pytest.fixture
def tree(tmp_path, pictures):
    """0 and 2 are identical; 3 has the same length and ending; 4 has two frames, one of them 0. Another user has 0."""
    root, first = tmp_path / "tree", pictures[0]
    other = b"\x00" + first[1:]
    assert len(first) > TAIL_BYTES + 1
    for number, contents in enumerate(([first], [pictures[1]], [first], [other], [first, pictures[2]])):
        write(root, "birds", "wren", number, contents)
    write(root, "signs", "stop", 0, [first])
    return root


def same(of):
    return {"birds--wren--clean--stills-0000": of, "birds--wren--clean--stills-0002": of}


def test_copies_of_one_user_are_found_under_any_name(tree):
    index = build_index(tree)
    assert find_copies(index, index.rows) == same("birds--wren--clean--stills-0000")


def test_copies_are_found_in_a_tree_at_a_relative_path(tree, monkeypatch):
    monkeypatch.chdir(tree.parent)
    index = build_index(Path(tree.name))
    assert find_copies(index, index.rows) == same("birds--wren--clean--stills-0000")


def test_a_link_is_a_copy(tree):
    video = "birds--wren--clean--stills-0002"
    file = tree / "birds" / "wren" / "clean" / video / frame_file_name(video, 1)
    file.unlink()
    first = "birds--wren--clean--stills-0000"
    file.symlink_to(tree / "birds" / "wren" / "clean" / first / frame_file_name(first, 1))
    index = build_index(tree)
    assert find_copies(index, index.rows) == same(first)


def test_copies_in_a_packed_tree_are_the_same(tree, tmp_path, pictures):
    shutil.rmtree(tree / "birds" / "wren" / "clean" / "birds--wren--clean--stills-0003")
    build_index(tree)
    pack(tree, tmp_path / "packed")
    index = build_index(tmp_path / "packed")
    assert index.kind == "packed"
    assert find_copies(index, index.rows) == same("birds--wren--clean--stills-0000")


def test_only_the_given_rows_are_compared(tree):
    index = build_index(tree)
    assert find_copies(index, [row for row in index.rows if row.video.endswith("0002")]) == {}


def test_a_missing_file_is_one_line(tree):
    index = build_index(tree)
    shutil.rmtree(tree / "birds" / "wren" / "clean" / "birds--wren--clean--stills-0001")
    with pytest.raises(DataError, match=r"stills-0001-00001\.jpg: can't be read .*prep verify"):
        find_copies(index, index.rows)
