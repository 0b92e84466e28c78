"""Frames are compared with their raw videos: counts, videos missing on either side, lengths."""

import shutil
import subprocess

import pytest

from data_prep.making.against_raw import against_raw
from data_prep.making.extract import Settings, extract
from data_prep.tree.index import build_index
from groundwork.errors import UsageError
from orbit_lite.cli.parser import main

SETTINGS = Settings(32, fps=15)


@pytest.fixture
def trees(encode_video, tmp_path):
    """A raw tree of two videos, and its frames at a rate that is not the default."""
    for name in ("a", "b"):
        encode_video(tmp_path / f"raw/ann/cup/clean/{name}.mp4", pictures=30, size=(64, 64))
    extract(tmp_path / "raw", tmp_path / "frames", settings=SETTINGS)
    return tmp_path / "frames", tmp_path / "raw"


def found(frames, raw):
    return [(fault.path, fault.kind) for fault in against_raw(frames, raw)]


def test_frames_made_by_extract_have_no_faults(trees, capsys):
    assert against_raw(*trees) == []
    frames, raw = map(str, trees)
    assert main(["prep", "verify", frames, "--against-raw", raw]) == 0


def test_lost_frames_and_videos_are_found_even_if_the_index_agrees(trees, encode_video, capsys):
    frames, raw = trees
    folders = sorted((frames / "ann/cup/clean").iterdir())
    for file in sorted(folders[0].iterdir())[10:]:
        file.unlink()
    encode_video(raw / "ann/cup/clean/new.mp4", pictures=3, size=(64, 64))
    (frames / "index.csv").unlink()
    build_index(frames)
    kinds = found(frames, raw)
    assert sorted(kind for _, kind in kinds) == ["missing", "missing"]
    assert ("ann/cup/clean/new.mp4", "missing") in kinds
    assert main(["prep", "verify", str(frames), "--against-raw", str(raw)]) == 1
    assert "10 frames, but its raw video gives 15" in capsys.readouterr().err


def test_a_missing_or_unreadable_raw_video(trees):
    frames, raw = trees
    (raw / "ann/cup/clean/a.mp4").unlink()
    (raw / "ann/cup/clean/b.mp4").write_bytes(b"no video" * 100)
    assert sorted(kind for _, kind in found(frames, raw)) == ["extra", "unreadable"]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_file_that_states_a_longer_duration_is_found(tmp_path):
    """FLV states its length in seconds, but not in bytes."""
    path = tmp_path / "raw/ann/cup/clean/a.flv"
    path.parent.mkdir(parents=True)
    source = ["-f", "lavfi", "-i", "testsrc2=size=64x64:rate=30:duration=6", "-c:v", "flv", "-g", "1"]
    subprocess.run(["ffmpeg", "-v", "error", *source, str(path)], check=True)
    content, start = path.read_bytes(), 0
    start = content.index(b"\x09", len(content) // 3)
    while True:  # cut between two tags; each follows the length of the previous one
        size = int.from_bytes(content[start + 1 : start + 4], "big")
        if content[start + 11 + size : start + 15 + size] == (size + 11).to_bytes(4, "big"):
            break
        start = content.index(b"\x09", start + 1)
    path.write_bytes(content[:start])
    extract(tmp_path / "raw", tmp_path / "frames", settings=SETTINGS)
    (fault,) = against_raw(tmp_path / "frames", tmp_path / "raw")
    assert fault.kind == "duration" and "the file states 6.0 s" in fault.detail


def test_a_folder_that_is_not_a_raw_tree_is_rejected(trees):
    with pytest.raises(UsageError, match="expected raw videos"):
        against_raw(trees[0], trees[0])
