"""Frames compared with another reader's: counts, the largest difference, and what can't be compared."""

import cv2
import numpy as np
import pytest

from data_prep.making.extract import Settings, extract
from data_prep.making.pack import pack
from data_prep.making.reader_check import SAME_GRAY_LEVELS, check_by_reader
from data_prep.tree.index import build_index
from groundwork.errors import DataError, UsageError
from orbit_lite.cli.parser import main

SETTINGS = Settings(32, fps=15, quality=90, shape="pad")


@pytest.fixture(scope="module")
def trees(encode_video, tmp_path_factory):
    """A raw tree of two videos, and its frames, made with settings other than the default. Do not write into it."""
    folder = tmp_path_factory.mktemp("trees")
    for name in ("a", "b"):
        encode_video(folder / f"raw/ann/cup/clean/{name}.mp4", pictures=30)
    extract(folder / "raw", folder / "frames", settings=SETTINGS)
    return folder / "frames", folder / "raw"


@pytest.fixture
def decord():
    return pytest.importorskip("decord", reason="decord is not installed (it has wheels for x86-64 Linux and Windows)")


def test_frames_match_the_readers_with_the_trees_own_settings(trees, decord, tmp_path, capsys):
    frames, raw = trees
    pack(frames, tmp_path / "packed")
    for root in (frames, tmp_path / "packed"):
        found = check_by_reader(root, "decord", raw=raw)
        assert (found.videos, found.frames, found.equal, found.worst, found.faults) == (2, 30, 30, 0.0, ())
    assert main(["prep", "verify", str(frames), "--against-raw", str(raw), "--reader", "decord"]) == 0
    message = capsys.readouterr().out
    assert f"decord {decord.__version__}: 2 videos, 30 frames compared, 30 of them identical" in message
    assert "largest mean difference 0.00 gray levels" in message


def test_raw_videos_are_compared_with_pyavs_frames(trees, decord, capsys):
    _, raw = trees
    found = check_by_reader(raw, "decord")
    assert (found.videos, found.frames, found.equal, found.faults) == (2, 60, 60, ())


def test_a_different_picture_is_a_fault_that_names_it(encode_video, tmp_path, capsys):
    encode_video(tmp_path / "raw/ann/cup/clean/a.mp4", pictures=10)
    extract(tmp_path / "raw", tmp_path / "frames", settings=Settings(32))
    files = sorted((tmp_path / "frames").rglob("*.jpg"))
    cv2.imwrite(str(files[6]), np.full((32, 32, 3), 255, np.uint8))
    build_index(tmp_path / "frames")
    found = check_by_reader(tmp_path / "frames", "pyav", raw=tmp_path / "raw")
    assert (found.frames, found.equal) == (10, 9) and found.worst > SAME_GRAY_LEVELS
    assert found.worst_place == "ann/cup/clean/a.mp4, frame 7"
    (fault,) = found.faults
    assert fault.kind == "differs" and "frame 7" in fault.detail
    files[9].unlink()
    build_index(tmp_path / "frames")
    found = check_by_reader(tmp_path / "frames", "pyav", raw=tmp_path / "raw")
    assert [fault.kind for fault in found.faults] == ["unreadable"]


def test_errors(trees, tmp_path):
    frames, raw = trees
    with pytest.raises(UsageError, match="Add --against-raw"):
        check_by_reader(frames, "pyav")
    with pytest.raises(UsageError, match="expected raw videos"):
        check_by_reader(frames, "pyav", raw=frames)
    with pytest.raises(UsageError, match="no reader 'opencv'"):
        check_by_reader(raw, "opencv")


def test_frames_without_recorded_settings(encode_video, tmp_path):
    encode_video(tmp_path / "raw/ann/cup/clean/a.mp4", pictures=3)
    extract(tmp_path / "raw", tmp_path / "frames", settings=Settings(32))
    (tmp_path / "frames/manifest.json").unlink()
    with pytest.raises(DataError, match="prep verify RAW --reader NAME"):
        check_by_reader(tmp_path / "frames", "pyav", raw=tmp_path / "raw")
