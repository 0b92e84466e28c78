import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from data_prep.making.extract import Settings, extract
from data_prep.tree.flat_export import TECHNIQUES
from data_prep.tree.index import open_index
from data_prep.tree.layout import MANIFEST_NAME
from data_prep.tree.naming import table_path
from data_prep.video import decode_jpeg, iterate_frames
from groundwork.errors import DataError, UsageError
from groundwork.lock import only_run

ROOT = Path(__file__).parents[3]
SIZE_PX = 48


@pytest.fixture(scope="module")
def frames(small_raw, tmp_path_factory):
    """The small raw tree's frame tree, made once. Do not write into it."""
    out = tmp_path_factory.mktemp("frames") / "out"
    extract(small_raw, out, settings=Settings(SIZE_PX), workers=2)
    return out


@pytest.fixture
def one_video(encode_video, tmp_path):
    encode_video(tmp_path / "raw/ann/cup/clean/one.mp4", pictures=12)
    return tmp_path / "raw"


def test_every_video_becomes_a_folder_of_numbered_frames(small_raw, frames):
    index = open_index(frames)
    assert index.kind == "frames" and len(index.rows) == 5
    assert sorted(row.frames for row in index.rows) == [20, 21, 22, 23, 24]
    for row in index.rows:
        assert row.path == f"{row.user}/{row.object}/{row.video_type}/{row.video}"
        expected = [f"{row.video}-{number:05d}.jpg" for number in range(1, row.frames + 1)]
        assert sorted(os.listdir(frames / row.path)) == expected


def test_frames_show_the_pictures_of_the_video(small_raw, frames):
    names = json.loads(table_path(small_raw).read_text())["names"]
    relative = "ann/my keys/clean/one.mp4"
    folder = frames / "ann/my keys/clean" / names[relative]
    for number, picture in iterate_frames(small_raw / relative, size_px=SIZE_PX):
        frame = decode_jpeg((folder / f"{folder.name}-{number:05d}.jpg").read_bytes())
        assert frame.shape == (SIZE_PX, SIZE_PX, 3)
        assert np.abs(frame.astype(int) - picture).mean() < 1.5  # JPEG at quality 95


def test_a_raw_tree_and_its_frame_tree_give_the_same_plan(small_raw, frames):
    raw_index, frame_index = open_index(small_raw), open_index(frames)
    assert raw_index.kind == "raw" and raw_index.fingerprint == frame_index.fingerprint
    places = [[(r.split, r.user, r.object, r.video, r.frames) for r in i.rows] for i in (raw_index, frame_index)]
    assert places[0] == places[1]


def test_no_file_name_appears_in_the_frame_tree(frames, tree_bytes):
    message = [
        word for word in ("one", "two", "three", "four", "five") for place in tree_bytes(frames) if word in place
    ]
    manifest = (frames / MANIFEST_NAME).read_text() + (frames / "index.csv").read_text()
    assert not message and not [word for word in ("one.mp4", "three", ".mov") if word in manifest]


def test_extracting_again_gives_the_same_bytes(small_raw, frames, tmp_path, tree_bytes):
    extract(small_raw, tmp_path / "again", settings=Settings(SIZE_PX), workers=1)
    assert tree_bytes(tmp_path / "again") == tree_bytes(frames)


def test_the_manifest_says_what_was_done(frames):
    manifest = json.loads((frames / MANIFEST_NAME).read_text())
    assert manifest["made_by"] == {"verb": "extract", **Settings(SIZE_PX).stated()}
    assert sorted(record["frames"] for record in manifest["videos"].values()) == [20, 21, 22, 23, 24]
    readers = {record["reader"] for record in manifest["videos"].values()}
    assert len(readers) == 1 and re.fullmatch(
        rf"PyAV {re.escape(av.__version__)} \(libavcodec \d+\.\d+\.\d+\)", *readers
    )


def test_a_finished_tree_is_left_alone(one_video, tmp_path):
    assert extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX)).skipped == 0
    (frame,) = (tmp_path / "out").rglob("*-00003.jpg")
    before = frame.stat().st_mtime_ns
    summary = extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert (summary.videos, summary.skipped, summary.frames) == (1, 1, 12)
    assert frame.stat().st_mtime_ns == before


def test_a_replaced_video_is_made_again(one_video, tmp_path, encode_video):
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    encode_video(one_video / "ann/cup/clean/one.mp4", pictures=15)
    assert extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX)).frames == 15
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 15


def test_a_removed_frame_is_made_again(one_video, tmp_path, tree_bytes):
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    whole = tree_bytes(tmp_path / "out")
    next((tmp_path / "out").rglob("*-00003.jpg")).unlink()
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert tree_bytes(tmp_path / "out") == whole


def test_another_rate_gives_other_frames(one_video, tmp_path):
    assert extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX, fps=10)).frames == 4


def test_annotations_are_copied(one_video, tmp_path):
    (one_video / "annotations").mkdir()
    (one_video / "annotations/v.json").write_text("{}")
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    (one_video / "annotations/v.json").write_text('{"a": 1}')
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert (tmp_path / "out/annotations/v.json").read_text() == '{"a": 1}'


def test_splits_are_kept(encode_video, tmp_path):
    encode_video(tmp_path / "raw/test/ann/cup/clean/ann--cup--clean--a.mp4", pictures=5)
    encode_video(tmp_path / "raw/train/bob/cup/clean/bob--cup--clean--b.mp4", pictures=5)
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert (tmp_path / "out/train/bob/cup/clean/bob--cup--clean--b/bob--cup--clean--b-00005.jpg").is_file()
    assert open_index(tmp_path / "out").splits == ("train", "test")


# --- errors


def test_a_failed_video_is_named_and_leaves_nothing_and_the_others_are_made(
    one_video, tmp_path, reported, encode_video
):
    bad = one_video / "ann/mug/clean/bad.mp4"
    encode_video(bad, pictures=60, size=(320, 240))
    bad.write_bytes(bad.read_bytes()[:4000])
    with pytest.raises(DataError, match=r"1 of 2 videos failed: ann/mug/clean/bad\.mp4") as caught:
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert "\n" not in str(caught.value)
    (line,) = [line for line in reported() if line.startswith("failed")]
    assert "ann/mug/clean/bad.mp4" in line and "decode" in line
    assert not (tmp_path / "out/ann/mug").exists()
    assert [row.object for row in open_index(tmp_path / "out").rows] == ["cup"]
    encode_video(bad, pictures=7)  # the same command resumes when the file is replaced
    assert extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX)).skipped == 1
    assert sorted(row.frames for row in open_index(tmp_path / "out").rows) == [7, 12]


def test_damage_late_in_a_video_leaves_nothing_of_it(tmp_path, encode_video):
    path = encode_video(tmp_path / "raw/ann/cup/clean/a.mp4", pictures=60, size=(320, 240))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat") + 4
    hole = (
        start + (content.index(b"moov") - start) * 3 // 4 if content.index(b"moov") > start else len(content) * 3 // 4
    )
    content[hole : hole + 1500] = bytes(1500)
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="1 of 1 video failed"):
        extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert not [p for p in (tmp_path / "out").rglob("*") if p.suffix == ".jpg" or p.name.endswith(".part")]


def test_damage_between_the_frames_of_a_low_rate_is_found(tmp_path, encode_video):
    """At 1 frame per second, a reader could jump from key frame to key frame and miss the damage."""
    video = encode_video(tmp_path / "raw/ann/cup/clean/a.mp4", pictures=60)
    with av.open(str(video)) as container:
        packet = [packet for packet in container.demux(video=0) if packet.size][15]
    content = bytearray(video.read_bytes())
    start = packet.pos + packet.size // 2
    content[start : start + 30] = bytes(255 - byte for byte in content[start : start + 30])
    video.write_bytes(bytes(content))
    with pytest.raises(DataError, match="1 of 1 video failed"):
        extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX, fps=1))


def test_an_empty_folder_is_rejected_and_nothing_is_made(tmp_path):
    (tmp_path / "raw").mkdir()
    with pytest.raises(UsageError, match="no videos"):
        extract(tmp_path / "raw", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "asked", [{"size_px": 56}, {"fps": 15}, {"names": "kept"}, {"shape": "pad"}, {"resample": "lanczos"}]
)
def test_other_settings_are_another_run(one_video, tmp_path, asked, tree_bytes):
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    before = tree_bytes(tmp_path)
    with pytest.raises(UsageError, match="holds another run"):
        extract(one_video, tmp_path / "out", settings=replace(Settings(SIZE_PX), **asked))
    assert tree_bytes(tmp_path) == before


def test_a_tree_of_another_reader_is_not_resumed(one_video, tmp_path, tree_bytes):
    pytest.importorskip("decord", reason="decord is not installed (it has wheels for x86-64 Linux and Windows)")
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    before = tree_bytes(tmp_path)
    with pytest.raises(UsageError, match=r"holds another run .*; this command asks for .*reader decord") as refused:
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX, reader="decord"))
    assert "\n" not in str(refused.value) and tree_bytes(tmp_path) == before


def test_a_tree_of_an_earlier_release_is_resumed(one_video, tmp_path, tree_bytes):
    out = tmp_path / "out"
    extract(one_video, out, settings=Settings(SIZE_PX))
    now = tree_bytes(out)
    manifest = out / MANIFEST_NAME
    earlier = manifest.read_text().replace('"color":', '"colour":')
    assert earlier != manifest.read_text()
    manifest.write_text(earlier)
    assert extract(one_video, out, settings=Settings(SIZE_PX)).skipped == 1
    assert tree_bytes(out) == now


def test_another_reader_is_named_in_the_manifest_and_gives_the_same_frames(one_video, tmp_path, tree_bytes):
    decord = pytest.importorskip(
        "decord", reason="decord is not installed (it has wheels for x86-64 Linux and Windows)"
    )
    extract(one_video, tmp_path / "usual", settings=Settings(SIZE_PX))
    extract(one_video, tmp_path / "other", settings=Settings(SIZE_PX, reader="decord"))
    manifest = json.loads((tmp_path / "other" / MANIFEST_NAME).read_text())
    (record,) = manifest["videos"].values()
    assert manifest["made_by"]["reader"] == "decord" and record["reader"].endswith(f" {decord.__version__}")
    usual, other = tree_bytes(tmp_path / "usual"), tree_bytes(tmp_path / "other")
    assert {name for name in usual if usual[name] != other[name]} == {MANIFEST_NAME}


def test_a_missing_or_unknown_reader_is_rejected_before_anything_is_made(one_video, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for reader, message in (("torchcodec", "python -m pip install torchcodec"), ("opencv", "choose from pyav, decord")):
        with pytest.raises(UsageError, match=message) as refused:
            extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX, reader=reader))
        assert "\n" not in str(refused.value) and refused.value.exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_reader_that_hangs_and_ignores_signals_is_killed_and_named(one_video, tmp_path, monkeypatch, reported):
    (tmp_path / "fake").mkdir()
    (tmp_path / "fake/decord.py").write_text(
        "import ctypes\n"
        "cpu = lambda number: None\n"
        "def VideoReader(*_, **__):\n"
        "    ctypes.PyDLL(None).sleep(60)  # and holds Python's lock meanwhile, as decord's deadlock does\n"
    )
    monkeypatch.syspath_prepend(tmp_path / "fake")
    with pytest.raises(DataError, match="1 of 1 video failed"):
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX, reader="decord"), time_limit_s=3, workers=1)
    (line,) = [line for line in reported() if "hung or crashed" in line]
    assert "not finished after 3 s; its process was stopped. decord hung or crashed. Use --reader pyav." in line


def test_a_folder_with_other_files_is_rejected(one_video, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/thesis.tex").write_text("")
    with pytest.raises(UsageError, match=r"something else \(thesis\.tex\)"):
        extract(one_video, tmp_path / "out")


def test_a_tree_with_videos_of_another_raw_tree_is_rejected(one_video, tmp_path, encode_video):
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    encode_video(tmp_path / "other/eve/cup/clean/a.mp4", pictures=5)
    with pytest.raises(UsageError, match="contains videos that"):
        extract(tmp_path / "other", tmp_path / "out", settings=Settings(SIZE_PX))


@pytest.mark.parametrize("place", ["raw", "raw/frames", "."])
def test_out_and_raw_must_not_contain_each_other(one_video, place):
    with pytest.raises(UsageError, match="is not inside"):
        extract(one_video, one_video.parent / place)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"settings": Settings(0)}, "size 0 px: expected at least 8 px."),
        ({"settings": Settings(fps=0)}, "0 fps: expected more than 0, up to 1000."),
        ({"settings": Settings(fps=-5)}, "-5 fps: expected more than 0, up to 1000."),
        ({"workers": 0}, "0 workers: expected 1 or more."),
        ({"time_limit_s": 0}, "limit 0 s: expected more than 0."),
    ],
)
def test_an_invalid_number_is_rejected_alone(one_video, tmp_path, asked, said):
    with pytest.raises(UsageError, match=f"^{re.escape(said)}$"):
        extract(one_video, tmp_path / "out", **asked)


# --- interrupted


# Killed when the second video is reported, while its worker makes the next one.
CODE = """
import os, signal, sys
from pathlib import Path
from data_prep.making.extract import Settings, extract
from groundwork.progress import Progress
advance = Progress.advance

def kill_at_two(progress):
    if progress.done == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    advance(progress)

Progress.advance = kill_at_two
extract(Path(sys.argv[1]), Path(sys.argv[2]), settings=Settings(64), workers=1)
"""


def test_killed_halfway_and_run_again_gives_the_same_bytes(encode_video, tmp_path, tree_bytes):
    raw, out = tmp_path / "raw", tmp_path / "out"
    for number in range(8):
        encode_video(raw / f"ann/cup/clean/{number}.mp4", pictures=100)
    killed = subprocess.run([sys.executable, "-c", CODE, str(raw), str(out)], cwd=ROOT, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr  # and its worker has closed the pipe
    whole = list(out.glob("ann/cup/clean/ann--*"))
    assert 2 <= len(whole) < 8
    assert all(len(os.listdir(folder)) == 100 for folder in whole)
    assert not (out / "index.csv").exists()

    summary = extract(raw, out, settings=Settings(64), workers=2)
    assert 1 <= summary.skipped < 8
    extract(raw, tmp_path / "uninterrupted", settings=Settings(64), workers=2)
    assert tree_bytes(out) == tree_bytes(tmp_path / "uninterrupted")
    assert not list(out.rglob(".*"))


def test_a_video_over_its_time_limit_fails_alone(encode_video, tmp_path):
    encode_video(tmp_path / "raw/ann/cup/clean/long.mp4", pictures=100)
    encode_video(tmp_path / "raw/ann/cup/clean/short.mp4", pictures=1)
    with pytest.raises(DataError, match=r"1 of 2 videos failed: ann/cup/clean/long\.mp4"):
        # frames of 16 million pixels: the long video takes many times the limit, the short one a small part of it
        extract(tmp_path / "raw", tmp_path / "out", settings=Settings(4000), workers=1, time_limit_s=2.5)
    assert len(list((tmp_path / "out").rglob("*.jpg"))) == 1
    assert not list((tmp_path / "out").rglob(".*.part"))


def test_frames_open_with_any_reader(frames):
    path = next(frames.rglob("*.jpg"))
    assert cv2.imread(str(path)).shape == (SIZE_PX, SIZE_PX, 3)


# --- names


def test_a_discarded_key_leaves_no_trace_of_the_names(one_video, tmp_path):
    extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX), discard=True)
    assert not table_path(one_video).exists()
    assert json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())["made_by"]["names"] == "hashed, key discarded"
    assert len(open_index(tmp_path / "out").rows) == 1
    with pytest.raises(UsageError, match="key discarded"):  # with a new key, the same video would get a second name
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert not table_path(one_video).exists()


def test_the_key_is_kept_while_a_video_is_missing(one_video, tmp_path):
    (one_video / "ann/cup/clean/bad.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match="1 of 2 videos failed"):
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX), discard=True)
    assert table_path(one_video).is_file()


def test_kept_names_have_no_key_to_discard(one_video, tmp_path):
    with pytest.raises(UsageError, match="no key to discard"):
        extract(one_video, tmp_path / "out", settings=Settings(names="kept"), discard=True)


def test_a_flat_export_becomes_a_tree(encode_video, tmp_path):
    raw = tmp_path / "raw"
    for name in ("P1--my keys--T--a--b", "P1--my keys--Z---c", "P1--my keys--P--d", "P2--cup--S--e"):
        encode_video(raw / f"{name}.mp4", pictures=5)
    extract(raw, tmp_path / "out", settings=Settings(SIZE_PX, names="kept"), techniques=TECHNIQUES)
    assert [row.path for row in open_index(tmp_path / "out").rows] == [
        "P1/my keys/clean/P1--my-keys--clean--a--b",
        "P1/my keys/clutter/P1--my-keys--clutter---c",
        "P1/my keys/clutter-pan/P1--my-keys--clutter-pan--d",
        "P2/cup/clutter/P2--cup--clutter--e",
    ]


# --- notes


def test_a_note_says_how_much_was_cropped(encode_video, tmp_path, reported):
    encode_video(tmp_path / "raw/ann/cup/clean/wide.mp4", pictures=2, size=(192, 108))
    encode_video(tmp_path / "raw/ann/cup/clean/square.mp4", pictures=2, size=(96, 96))
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    (notice,) = [line for line in reported() if line.startswith("note")]
    assert "1 of 2 videos" in notice and "44 %" in notice and "wide.mp4" in notice  # 1 - 108/192


@pytest.mark.parametrize(("shape", "resample"), [("pad", "decoder"), ("squash", "lanczos")])
def test_frames_are_shaped_and_resampled_as_requested(encode_video, tmp_path, shape, resample, reported):
    path = encode_video(tmp_path / "raw/ann/cup/clean/ann--cup--clean--wide.mp4", pictures=2, size=(192, 96))
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX, shape=shape, resample=resample))
    for number, picture in iterate_frames(path, size_px=SIZE_PX, shape=shape, resample=resample):
        (file,) = (tmp_path / "out").rglob(f"*-{number:05d}.jpg")
        assert np.abs(decode_jpeg(file.read_bytes()).astype(int) - picture).mean() < 2
    assert not any("note" in line for line in reported())
    manifest = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())
    assert (manifest["made_by"]["shape"], manifest["made_by"]["resample"]) == (shape, resample)


def test_a_note_on_slow_motion(encode_video, tmp_path, reported):
    path = tmp_path / "raw/ann/cup/clean/slow.mp4"
    encode_video(path, times_s=[k / 240 for k in range(48)], size=(96, 96))
    summary = extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert summary.frames == 6  # 48 pictures / 240 = 0.2 s, but the last one lasts 1/30 s: 0.229 s * 30, rounded up
    (notice,) = [line for line in reported() if line.startswith("note")]
    assert "slow.mp4" in notice and "slow motion" in notice
    (record,) = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())["videos"].values()
    assert record["filmed_fps"] == pytest.approx(240, rel=0.01) and record["color"] == "SDR 8-bit"


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_hdr_is_in_the_manifest_and_in_a_note(tmp_path, reported):
    path = tmp_path / "raw/ann/cup/clean/hlg.mp4"
    path.parent.mkdir(parents=True)
    hlg = "colorprim=bt2020:transfer=arib-std-b67:colormatrix=bt2020nc:log-level=none"
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x96:rate=30:duration=0.2", "-pix_fmt", "yuv420p10le"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libx265", "-x265-params", hlg, str(path)], check=True)
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    (record,) = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())["videos"].values()
    assert record["color"] == "HLG BT.2020 10-bit"
    assert [line for line in reported() if line.startswith("note") and "HDR" in line]


def test_sound_and_location_are_not_copied(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = tmp_path / "raw/ann/cup/clean/phone.mov"
    path.parent.mkdir(parents=True)
    picture = ["-f", "lavfi", "-i", "testsrc2=size=96x96:rate=30:duration=0.2"]
    sound = ["-f", "lavfi", "-i", "sine=duration=0.2", "-c:a", "aac", "-c:v", "libx264"]
    tags = ["-metadata", "location=+52.2053+000.1218/", "-metadata", "comment=my kitchen", "-metadata", "make=Phone"]
    subprocess.run(["ffmpeg", "-v", "error", *picture, *sound, *tags, str(path)], check=True)
    assert b"52.2053" in path.read_bytes()  # otherwise the test would prove nothing
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    content = b"".join(file.read_bytes() for file in (tmp_path / "out").rglob("*") if file.is_file())
    assert not [word for word in (b"52.2053", b"kitchen", b"Phone", b"phone", b"Exif") if word in content]


def test_square_videos_give_no_note(encode_video, tmp_path, reported):
    encode_video(tmp_path / "raw/ann/cup/clean/square.mp4", pictures=2, size=(96, 96))
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert not any("note" in line for line in reported())


# --- a shared machine


def test_a_full_disk_is_one_line_and_finished_videos_are_whole(encode_video, tmp_path, small_disk):
    raw = tmp_path / "raw"
    for number in range(6):
        encode_video(raw / f"ann/cup/clean/{number}.mp4", pictures=40)
    disk = small_disk(250)
    with pytest.raises(DataError, match="the disk is full") as caught:
        extract(raw, disk / "out", settings=Settings(64), workers=1)
    assert "\n" not in str(caught.value) and str(disk / "out") in str(caught.value)
    whole = [folder for folder in (disk / "out/ann/cup/clean").iterdir() if not folder.name.startswith(".")]
    assert 1 <= len(whole) < 6 and all(len(list(folder.iterdir())) == 40 for folder in whole)
    assert not list((disk / "out").rglob("*.part"))


def test_two_runs_can_not_write_into_one_tree(one_video, tmp_path):
    (tmp_path / "out").mkdir()
    with only_run(tmp_path / "out"), pytest.raises(UsageError, match="another run"):
        extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX))
    assert extract(one_video, tmp_path / "out", settings=Settings(SIZE_PX)).videos == 1


def test_notes_are_given_even_if_another_video_fails(encode_video, tmp_path, reported):
    encode_video(tmp_path / "raw/ann/cup/clean/wide.mp4", pictures=2, size=(192, 108))
    (tmp_path / "raw/ann/cup/clean/broken.mp4").write_bytes(b"no video" * 100)
    with pytest.raises(DataError, match=r"1 of 2 videos failed: ann/cup/clean/broken\.mp4"):
        extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert [line for line in reported() if line.startswith("note") and "wide.mp4" in line]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_interlaced_videos_are_named(encode_video, tmp_path, reported):
    encode_video(tmp_path / "raw/ann/cup/clean/plain.mp4", pictures=2, size=(96, 96))
    source = ["-f", "lavfi", "-i", "testsrc2=size=96x96:rate=50:duration=1"]
    woven = ["-vf", "tinterlace=interleave_top,fieldorder=tff", "-c:v", "mpeg2video", "-flags", "+ildct+ilme"]
    subprocess.run(["ffmpeg", "-v", "error", *source, *woven, str(tmp_path / "raw/ann/cup/clean/tv.mts")], check=True)
    extract(tmp_path / "raw", tmp_path / "out", settings=Settings(SIZE_PX))
    assert [line for line in reported() if "interlaced video in 1 of 2 videos" in line and "tv.mts" in line]
    records = json.loads((tmp_path / "out" / MANIFEST_NAME).read_text())["videos"].values()
    assert sorted(record["interlaced"] for record in records) == [False, True]


@pytest.mark.parametrize("frames", ["1e999", "null", "-1", '"12"', "12.5", "true", "{}", "1" * 5000, "1" * 30])
def test_an_impossible_number_in_the_manifest_is_one_line(one_video, tmp_path, frames):
    out = tmp_path / "out"
    extract(one_video, out, settings=Settings(SIZE_PX), workers=1)
    path = out / MANIFEST_NAME
    path.write_text(path.read_text().replace('"frames": 12', f'"frames": {frames}'))
    with pytest.raises(DataError) as error:
        extract(one_video, out, settings=Settings(SIZE_PX), workers=1)
    assert str(error.value).startswith(f"{path}: not a frame tree's manifest (") and "\n" not in str(error.value)
