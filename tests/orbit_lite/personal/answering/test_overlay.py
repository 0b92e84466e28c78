"""The annotated copy: when decoded, its pictures are the source's and its captions are the answers."""

import csv
import shutil
import subprocess
import unicodedata

import av
import numpy as np
import pytest

from data_prep.video.frames import read_frames
from eval.formats.answer_text import NONE_OF_THESE
from groundwork.errors import DataError
from orbit_lite.cli.parser import main
from orbit_lite.personal.answering.answers import FrameAnswer
from orbit_lite.personal.answering.overlay import BAND_PX, MARGIN_PX, SIDE_PX, Captions, annotate, caption
from orbit_lite.personal.decision.rejection import Certainty

FFMPEG = shutil.which("ffmpeg")
OBJECTS = ("bag", "mug")


def captions_of(labels):
    captions = Captions()
    for number, label in enumerate(labels, start=1):
        name = (*OBJECTS, NONE_OF_THESE)[label]
        captions.add(
            FrameAnswer(number, 0.0, Certainty.SURE if label < 2 else Certainty.NONE, label, name, 0.874, "bag", 0.5)
        )
    return captions


def grays(count):
    """Square pictures of a different size than the copy, each of a different gray."""
    return [np.full((96, 96, 3), 20 + 20 * number, np.uint8) for number in range(count)]


def decoded(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_each_frame_has_its_picture_and_its_own_caption(tmp_path):
    labels = [0, 0, 1, 2, 1]
    annotate(grays(5), captions_of(labels), tmp_path / "out.mp4", fps=30)
    frames = decoded(tmp_path / "out.mp4")
    bands = [caption("bag", "confidence 87 %"), caption("mug", "confidence 87 %"), caption(NONE_OF_THESE, "")]
    assert [frame.shape for frame in frames] == [(SIDE_PX + BAND_PX, SIDE_PX, 3)] * 5
    for number, (frame, label) in enumerate(zip(frames, labels, strict=True)):
        assert np.abs(frame[:SIDE_PX].astype(int) - (20 + 20 * number)).mean() < 3
        away = [np.abs(frame[SIDE_PX:].astype(int) - band).mean() for band in bands]
        assert np.argmin(away) == label and min(away) < 4  # H.264 is lossy


@pytest.mark.parametrize("fps", [30, 29.97, 12.5])
def test_the_copy_runs_at_the_rate_of_its_frames(tmp_path, fps):
    annotate(grays(4), captions_of([0] * 4), tmp_path / "out.mp4", fps=fps)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert float(stream.average_rate) == pytest.approx(fps, rel=1e-3)
        assert len(container.streams) == 1


@pytest.mark.parametrize("pictures", [4, 6])
def test_if_the_video_changed_meanwhile_the_old_copy_stays(tmp_path, pictures):
    (tmp_path / "out.mp4").write_bytes(b"old")
    with pytest.raises(DataError, match=r"out\.mp4: not written"):
        annotate(grays(pictures), captions_of([0] * 5), tmp_path / "out.mp4", fps=30)
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == b"old"


def ink(band):
    """First and last columns and rows with letters in them."""
    rows, columns = np.nonzero(band.max(axis=2) > 128)
    return columns.min(), columns.max(), rows.min(), rows.max()


@pytest.mark.parametrize(
    "name",
    [
        "mug",
        "none of these",
        "the blue watering can from my grandmother's garden",
        "W" * 300,
        "\u043c\u043e\u044f \u043b\u044e\u0431\u0438\u043c\u0430\u044f \u043a\u0440\u0443\u0436\u043a\u0430",
        "\u00c5ngstr\u00f6m g",
        "two\nlines",
    ],
)
def test_any_name_fits_large_and_white_on_black(name):
    band = caption(name, "confidence 100 %")
    assert band.shape == (BAND_PX, SIDE_PX, 3)
    left, right, top, bottom = ink(band)
    assert left >= MARGIN_PX - 4 and right <= SIDE_PX - MARGIN_PX + 4  # a letter may lean out a little
    assert top > 0 and bottom < BAND_PX - 1
    assert set(np.unique(band[:4])) == {0} and band.max() == 255
    assert ink(caption(name, ""))[3] - ink(caption(name, ""))[2] >= 30  # still large where it was shortened


def test_short_names_are_larger_and_long_ones_are_cut_off():
    heights = [ink(caption(name, ""))[3] - ink(caption(name, ""))[2] for name in ("HHH", "H" * 12, "H" * 100)]
    assert heights[0] > heights[1] >= heights[2]
    assert np.array_equal(caption("H" * 100, ""), caption("H" * 101, ""))
    assert not np.array_equal(caption("K" + "H" * 99, ""), caption("H" * 100, ""))


def test_letters_beyond_ascii_are_drawn_not_boxes():
    """All unknown letters are drawn as the same box."""
    letters = "\u00df\u0416\u03a9"
    assert all(unicodedata.name(letter) for letter in letters)
    drawn = [caption(letter, "").tobytes() for letter in (*letters, "\U000f0000")]
    assert len(set(drawn)) == 4


@pytest.fixture
def clutter(alice):
    return sorted(alice.glob("*/clutter/*.mp4"))[0]


def test_the_copy_shows_the_recognizers_square_and_the_tables_answers(alice_file, clutter, tmp_path, capsys):
    out, table = tmp_path / "out.mp4", tmp_path / "rows.csv"
    arguments = ["--annotated", out, "--csv", table, "--fps", "10"]
    assert main(["recognize", "--model", str(alice_file), str(clutter), *map(str, arguments)]) == 0
    assert f"annotated copy written: {out}" in capsys.readouterr().out
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    frames, source = decoded(out), read_frames(clutter, size_px=SIDE_PX, fps=10)
    assert len(frames) == len(rows) == len(source)
    for frame, row, seen in zip(frames, rows, source, strict=True):
        assert np.abs(frame[:SIDE_PX].astype(int) - seen).mean() < 6
        known = row["object"] == row["likeliest"]
        band = caption(row["answer"], f"confidence {100 * float(row['confidence']):.0f} %" if known else "")
        assert np.abs(frame[SIDE_PX:].astype(int) - band).mean() < 4


def test_a_folder_of_frames_is_annotated_too(alice_file, clutter, pocket_raw, pocket_frames, tmp_path):
    folder = pocket_frames / clutter.relative_to(pocket_raw).with_suffix("")
    arguments = ["--annotated", str(tmp_path / "out.mp4"), "--fps", "5"]
    assert main(["recognize", "--model", str(alice_file), str(folder), *arguments]) == 0
    assert decoded(tmp_path / "out.mp4")[0].shape == (SIDE_PX + BAND_PX, SIDE_PX, 3)


@pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")
def test_sound_and_metadata_are_not_copied(alice_file, clutter, tmp_path):
    source, out = tmp_path / "source.mp4", tmp_path / "out.mp4"
    result = {"title": "my secret kitchen", "comment": "hello", "location": "+51.5000-000.1000/"}
    command = [FFMPEG, "-v", "error", "-i", str(clutter), "-f", "lavfi", "-i", "sine=duration=2", "-shortest"]
    command += [part for name, value in result.items() for part in ("-metadata", f"{name}={value}")]
    subprocess.run([*command, "-c:v", "copy", "-c:a", "aac", str(source)], check=True)
    with av.open(str(source)) as container:
        assert result.items() <= container.metadata.items() and container.streams.audio
    assert main(["recognize", "--model", str(alice_file), str(source), "--annotated", str(out), "--fps", "5"]) == 0
    with av.open(str(out)) as container:
        assert [stream.type for stream in container.streams] == ["video"]
        assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands", "encoder"}
        assert container.metadata["encoder"].startswith("Lavf")
        assert set(container.streams[0].metadata) <= {"language", "handler_name", "vendor_id", "encoder"}
    assert not any(value.encode() in out.read_bytes() for value in result.values())


def test_a_full_disk_gives_one_line_and_leaves_no_files(alice_file, clutter, small_disk, capsys):
    disk = small_disk(64)
    outputs = ["--annotated", str(disk / "out.mp4"), "--json", str(disk / "out.json")]
    assert main(["recognize", "--model", str(alice_file), str(clutter), *outputs]) == 1
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("orbit-lite: No space left on device") and str(disk / "out.mp4") in line
    assert list(disk.iterdir()) == []
