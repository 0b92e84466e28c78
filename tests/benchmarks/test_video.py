"""The comparison with ffmpeg distinguishes false alarms, misses, lost or wrong pictures, orientations and
tracebacks."""

import csv
import shutil
import subprocess

import numpy as np
import pytest

from benchmarks import video
from benchmarks.__main__ import main
from groundwork.errors import DataError

FFMPEG = shutil.which("ffmpeg")
needs_ffmpeg = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is not installed")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("whole") / "a.mp4"
    source = ["-f", "lavfi", "-i", "testsrc2=size=160x120:rate=30:duration=1"]
    subprocess.run([FFMPEG, "-v", "error", *source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)], check=True)
    return path


def verdict(path):
    return video.judge(path.parent, path).verdict


@needs_ffmpeg
def test_a_folder_is_counted_and_kept_as_csv(whole, tmp_path, capsys):
    deep = tmp_path / "tree/deep"
    deep.mkdir(parents=True)
    shutil.copyfile(whole, deep / "a.mp4")
    (tmp_path / "tree/b.mp4").write_bytes(b"no video" * 100)
    (tmp_path / "tree/.hidden.mp4").touch()
    assert main(["video", "--tree", str(tmp_path / "tree"), "--out", str(tmp_path / "out")]) == 0
    shown = capsys.readouterr().out
    assert "2 videos" in shown and "traceback" in shown
    with (tmp_path / "out/video.csv").open(newline="") as file:
        rows = {row["video"]: row for row in csv.DictReader(file)}
    assert {name: row["verdict"] for name, row in rows.items()} == {"b.mp4": "refused by both", "deep/a.mp4": "agrees"}
    assert rows["deep/a.mp4"]["pictures"] == rows["deep/a.mp4"]["expected"] == "30"


@needs_ffmpeg
def test_each_disagreement_has_its_name(whole, monkeypatch):
    assert verdict(whole) == "agrees"

    def pictures(change):
        def read(*arguments):
            frames = np.stack(list(video_read(*arguments)))
            return iter(change(frames))

        return read

    video_read = video.read_pictures
    changes = {
        "orientation": lambda frames: frames[:, :, ::-1],
        "count": lambda frames: frames[:-1],
        "pictures": lambda frames: np.concatenate([frames[1:], frames[-1:]]),
    }
    for expected, change in changes.items():
        monkeypatch.setattr(video, "read_pictures", pictures(change))
        assert verdict(whole) == expected

    def fails(error):
        def read(*_):
            raise error

        return read

    monkeypatch.setattr(video, "read_pictures", fails(DataError("damaged")))
    assert verdict(whole) == "false alarm"
    monkeypatch.setattr(video, "read_pictures", fails(KeyError("damaged")))
    assert verdict(whole) == "traceback"
    monkeypatch.setattr(video, "read_pictures", video_read)
    monkeypatch.setattr(video, "ffmpeg_pictures", lambda *_, **__: (np.zeros((30, 64, 64), np.float32), "damaged"))
    assert verdict(whole) == "miss"


def test_the_folder_belongs_to_this_benchmark_alone(tmp_path, capsys):
    assert main(["video", "--out", str(tmp_path)]) == 2
    assert main(["lite", "--tree", str(tmp_path), "--out", str(tmp_path)]) == 2
    assert "benchmark video and --tree must be used together" in capsys.readouterr().err


@needs_ffmpeg
def test_a_folder_without_videos_is_one_line(tmp_path, capsys):
    assert main(["video", "--tree", str(tmp_path), "--out", str(tmp_path / "out")]) == 1
    assert "no video found" in capsys.readouterr().err
