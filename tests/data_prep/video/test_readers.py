"""Readers by name: all give the same pictures and count, and none reads a damaged video."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from data_prep.video.framing import Framing
from data_prep.video.orientation import Orientation
from data_prep.video.probing import probe
from data_prep.video.readers import by_decord
from data_prep.video.readers.read_checked import read_pictures, reader_version
from data_prep.video.readers.table import READERS, Reader, reader_named
from groundwork.errors import DataError, UsageError

ROOT = Path(__file__).parents[3]
OTHERS = [name for name in READERS if name != "pyav"]
# Largest mean difference of a picture from PyAV's, in gray levels of 255, scaled in the decoder, as in the docs
TOLERANCE = {"decord": 0.0, "torchcodec": 2.5}
CLOSED, OPEN = {"bf": "2", "x264-params": "open-gop=0"}, {"bf": "2", "x264-params": "open-gop=1"}
SIZE = Framing(64, "squash")


def needed(name):
    """The reader, or a skip that says why."""
    pytest.importorskip(READERS[name].package, reason=f"{name} is not installed", exc_type=Exception)
    return name


def pictures(path, name, numbers=None):
    info = probe(path)
    wanted = np.arange(info.pictures) if numbers is None else np.asarray(numbers)
    return np.stack(list(read_pictures(path, info, wanted, SIZE, reader=name)))


@pytest.fixture
def video(encode_video, tmp_path):
    return encode_video(tmp_path / "a.mp4", pictures=45, options=CLOSED)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
@pytest.mark.parametrize("options", [CLOSED, OPEN], ids=["closed", "open"])
def test_every_reader_gives_the_same_pictures(encode_video, tmp_path, name, options, rotation):
    path = encode_video(tmp_path / "a.mp4", pictures=45, options=options, rotation=rotation)
    ours, theirs = pictures(path, "pyav"), pictures(path, needed(name))
    assert np.abs(ours.astype(int) - theirs).mean(axis=(1, 2, 3)).max() <= TOLERANCE[name]


@pytest.mark.parametrize("name", OTHERS)
def test_every_reader_gives_the_same_tones_for_hdr(encode_patches, tmp_path, name):
    path = encode_patches(tmp_path / "hlg.mp4", codec="libx265", pix_fmt="yuv420p10le", tags=(9, 18, 9), drawn_with=9)
    assert probe(path).hdr == "HLG"
    ours, theirs = pictures(path, "pyav"), pictures(path, needed(name))
    assert np.abs(ours.astype(int) - theirs).mean(axis=(1, 2, 3)).max() <= max(TOLERANCE[name], 1)


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("options", [CLOSED, OPEN], ids=["closed", "open"])
def test_pictures_by_number_match_sequential_reading(encode_video, tmp_path, monkeypatch, name, options):
    path = encode_video(tmp_path / "a.mp4", pictures=45, options=options)
    needed(name)
    monkeypatch.setattr(by_decord, "LEAST_PICTURES", 3)  # several segments
    monkeypatch.setattr(by_decord, "MOST_PICTURES", 3)
    numbers = [0, 3, 4, 17, 18, 19, 31, 44]
    assert np.array_equal(pictures(path, name, numbers), pictures(path, name)[numbers])


@pytest.mark.parametrize("name", OTHERS)
def test_damage_that_another_reader_ignores_is_found_first(video, name):
    content = bytearray(video.read_bytes())
    middle = content.index(b"mdat") + (len(content) - content.index(b"mdat")) // 2
    content[middle : middle + 60] = bytes(255 - byte for byte in content[middle : middle + 60])
    video.write_bytes(bytes(content))
    needed(name)
    with pytest.raises(DataError, match="damaged"):
        pictures(video, name)


class Opened:
    """A reader that finds one picture too few, and gives pictures that are too small."""

    count = 44

    def pictures(self, numbers):
        return (np.zeros((5, 5, 3), np.uint8) for _ in numbers)


def stand_in(monkeypatch, **changes):
    opened = Opened()
    for name, value in changes.items():
        setattr(opened, name, value)
    module = SimpleNamespace(open_pictures=lambda *_: opened, cannot_show=lambda info: "")
    monkeypatch.setattr(Reader, "require", lambda self: None)
    monkeypatch.setattr(Reader, "adapter", lambda self: module)


def test_a_different_count_of_pictures_names_both_counts(video, monkeypatch):
    stand_in(monkeypatch)
    with pytest.raises(DataError, match=r"a\.mp4: decord finds 44 pictures, but PyAV 45\."):
        pictures(video, "decord")


def test_a_picture_of_another_size_is_rejected(video, monkeypatch):
    stand_in(monkeypatch, count=45)
    with pytest.raises(DataError, match=r"decord gave a picture of shape \(5, 5, 3\), expected \(64, 64, 3\)"):
        pictures(video, "decord")


@pytest.mark.parametrize("name", OTHERS)
def test_videos_that_a_reader_shows_wrongly_are_rejected_by_name(video, name):
    info, module = probe(video), READERS[name].adapter()
    assert module.cannot_show(info) == ""
    assert "interlaced" in module.cannot_show(replace(info, interlaced=True))
    assert "mirrored" in module.cannot_show(replace(info, orientation=Orientation(0, mirrored=True)))
    assert "slanted" in module.cannot_show(replace(info, orientation=Orientation(30)))


def test_decord_does_not_keep_a_long_video_with_open_groups_in_memory(encode_video, tmp_path, monkeypatch):
    path = encode_video(tmp_path / "a.mp4", pictures=45, options=OPEN)
    needed("decord")
    monkeypatch.setattr(by_decord, "MOST_WHOLE_BYTES", 10 * 64 * 64 * 3)
    with pytest.raises(DataError, match="expected at most 10"):
        pictures(path, "decord")


def test_a_reader_that_hangs_holding_pythons_lock_ends_its_process(video, tmp_path):
    (tmp_path / "decord.py").write_text(
        "import ctypes\ncpu = lambda number: None\ndef VideoReader(*_, **__):\n    ctypes.PyDLL(None).sleep(100)\n"
    )
    code = (
        "import sys; from pathlib import Path; from data_prep.video.readers import by_decord\n"
        "from data_prep.video.probing import probe\n"
        "sys.path.insert(0, sys.argv[2]); by_decord.HANG_S = 0.5\n"
        "path = Path(sys.argv[1]); by_decord.open_pictures(path, probe(path), (64, 64))"
    )
    command = [sys.executable, "-c", code, str(video), str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 1


def test_a_reader_that_fails_is_one_line(video, monkeypatch):
    def fail(numbers):
        raise RuntimeError("a trace\nof several lines")

    stand_in(monkeypatch, count=45, pictures=fail)
    with pytest.raises(DataError, match=r"a\.mp4: decord can't read it \(a trace of several lines\)\. Use --reader"):
        pictures(video, "decord")


def test_unknown_readers_and_missing_ones(monkeypatch):
    with pytest.raises(UsageError, match="no reader 'opencv'; choose from pyav, decord, torchcodec"):
        reader_named("opencv")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for name in OTHERS:
        with pytest.raises(UsageError, match=rf"--reader {name}: not installed\. Run: python -m pip install {name}"):
            READERS[name].require()


@pytest.mark.parametrize("name", OTHERS)
def test_a_readers_version_is_that_of_the_imported_package(video, name):
    module = pytest.importorskip(READERS[name].package, reason=f"{name} is not installed", exc_type=Exception)
    found = reader_version(probe(video), name)
    assert found.startswith(name) and found.split()[-1].startswith(module.__version__.split("+")[0])
