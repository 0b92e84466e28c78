import pickle
import shutil

import numpy as np
import pytest

from data_prep.making.pack import pack
from data_prep.tree.index import open_index
from groundwork.errors import DataError
from orbit_lite.data.frames import open_frames


@pytest.fixture(scope="module")
def trees(pocket_raw, pocket_frames, tmp_path_factory):
    packed = tmp_path_factory.mktemp("packed") / "tree"
    pack(pocket_frames, packed)
    return {"raw": pocket_raw, "frames": pocket_frames, "packed": packed}


def test_raw_videos_and_archives_give_the_pixels_of_the_frame_tree(trees):
    raw, tree, packed = (open_index(trees[kind]) for kind in ("raw", "frames", "packed"))
    assert (raw.kind, tree.kind, packed.kind) == ("raw", "frames", "packed")
    assert raw.fingerprint == tree.fingerprint == packed.fingerprint
    for row in tree.rows[::7]:
        wanted = [row.frames, 1, 31, 31]  # any order, repeats
        pictures = open_frames(tree).read(row.video, wanted)
        assert pictures.shape == (4, 224, 224, 3)
        assert pictures.dtype == np.uint8
        assert np.array_equal(pictures, open_frames(raw).read(row.video, wanted))
        assert np.array_equal(pictures, open_frames(packed).read(row.video, wanted))
        assert np.array_equal(pictures[2], pictures[3])
        assert not np.array_equal(pictures[0], pictures[1])


@pytest.mark.parametrize("kind", ["raw", "frames", "packed"])
def test_a_source_survives_pickling(kind, trees):
    """Spawned workers get it by pickling."""
    index = open_index(trees[kind])
    source = open_frames(index)
    video = index.rows[0].video
    source.read(video, [1])  # with its files open
    assert np.array_equal(pickle.loads(pickle.dumps(source)).read(video, [2]), source.read(video, [2]))


@pytest.mark.parametrize("kind", ["raw", "frames", "packed"])
def test_missing_videos_and_frames_are_named(kind, trees):
    index = open_index(trees[kind])
    with pytest.raises(DataError, match="no video 'P0--x--clean--y'"):
        open_frames(index).read("P0--x--clean--y", [1])
    with pytest.raises(DataError, match=index.rows[0].video):
        open_frames(index).read(index.rows[0].video, [99999])


def test_damaged_and_misshapen_frames_are_named(pocket_frames, tmp_path):
    index = open_index(pocket_frames)
    row = index.rows[0]
    root = tmp_path / "frames"
    shutil.copytree(pocket_frames / row.path, root / row.path)
    (root / row.path / f"{row.video}-00002.jpg").write_bytes(b"\xff\xd8 cut off")
    source = open_frames(type(index)(root, "frames", (row,)))
    with pytest.raises(DataError, match=r"-00002\.jpg"):
        source.read(row.video, [2])
    with pytest.raises(DataError, match=r"-00001\.jpg: 224x224 pixels, expected 96x96"):
        open_frames(type(index)(root, "frames", (row,)), size_px=96).read(row.video, [1])


def test_two_videos_with_the_same_name_are_refused(pocket_frames):
    index = open_index(pocket_frames)
    with pytest.raises(DataError, match="2 videos are named"):
        open_frames(type(index)(index.root, "frames", (*index.rows, index.rows[0])))
