"""Skipped files are reported once, with kinds and counts; nothing is reported for a tree without such files."""

import numpy as np
import pytest

from data_prep.tree.index import open_index
from data_prep.tree.listing import scan_tree
from data_prep.tree.naming import scan_raw
from data_prep.tree.own_videos import scan_own
from data_prep.tree.videos_below import videos_below
from data_prep.video import RAW_SUFFIXES, encode_jpeg


@pytest.fixture
def put(tmp_path):
    def write(*places, content=b"x"):
        for place in places:
            path = tmp_path / "raw" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / "raw"

    return write


def notes(reported):
    return [line for line in reported() if "skipped" in line]


@pytest.mark.parametrize("suffix", [*RAW_SUFFIXES, ".MTS"])
def test_every_videos_suffix_counts_in_every_reader(put, suffix, reported):
    raw = put(f"ann/cup/a{suffix}")
    assert [video.relative for video in scan_raw(raw)] == [f"ann/cup/a{suffix}"]
    assert [video.place for video in scan_own(raw / "ann").videos] == [f"cup/a{suffix}"]
    assert videos_below(raw) == [raw / f"ann/cup/a{suffix}"]
    assert not notes(reported)


@pytest.mark.parametrize("suffix", [".mts", ".m2ts", ".3g2", ".mpg", ".wmv", ".ogv", ".flv", ".ts"])
def test_the_suffixes_of_cameras_and_old_phones_are_videos(suffix):
    assert suffix in RAW_SUFFIXES


def test_empty_files_and_others_are_counted_by_kind(put, reported):
    put("ann/cup/empty.mp4", "ann/cup/empty.mts", content=b"")
    raw = put("ann/cup/a.mp4", "ann/cup/notes.txt", "ann/cup/b.txt", "ann/cup/c.pdf", "README", ".hidden", "index.csv")
    put("annotations/train/v.json", "ann/.DS_Store")
    assert len(scan_raw(raw)) == 1
    empty, others = notes(reported)
    assert "2 empty files" in empty and "ann/cup/empty.mp4, ann/cup/empty.mts" in empty
    assert "4 files" in others and "1 .pdf, 2 .txt, 1 no suffix" in others
    assert "hidden" not in others and "index" not in others and "json" not in others


@pytest.mark.parametrize("scan", [lambda raw: scan_own(raw / "ann"), videos_below])
def test_skipped_files_of_a_users_folder_and_any_folder_are_reported(put, reported, scan):
    raw = put("ann/cup/a.mp4", "ann/cup/notes.txt", "ann/pen/v1/v1-00001.jpg")
    scan(raw)
    (others,) = notes(reported)
    assert "1 file skipped" in others and "notes.txt" in others


def test_links_that_lead_nowhere_are_reported_in_raw_trees_and_frame_trees(put, reported, tmp_path):
    raw = put("ann/keys/a.mp4")
    (raw / "ann/keys/c.mp4").symlink_to(tmp_path / "not fetched.mp4")
    scan_raw(raw)
    frames = tmp_path / "frames"
    for name in ("ann--keys--clean--1", "ann--keys--clean--2"):
        folder = frames / "ann/keys/clean" / name
        folder.mkdir(parents=True)
        (folder / f"{name}-00001.jpg").write_bytes(b"x")
    (frames / "ann/keys/clean/ann--keys--clean--3").symlink_to(tmp_path / "not fetched")
    assert len(scan_tree(frames)[1]) == 2
    lines = [line for line in reported() if "link that leads nowhere skipped, perhaps not yet fetched" in line]
    of_raw, of_frames = lines
    assert "ann/keys/c.mp4" in of_raw and "ann/keys/clean/ann--keys--clean--3" in of_frames


def test_building_an_index_reports_skipped_files_once(reported, tmp_path):
    for place, content in (("ann/keys/a.jpg", encode_jpeg(np.zeros((16, 16, 3), np.uint8))), ("ann/keys/b.jpg", b"")):
        (tmp_path / "raw" / place).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "raw" / place).write_bytes(content)
    assert len(open_index(tmp_path / "raw").rows) == 1
    assert len(notes(reported)) == 1
