"""Streams: a camera's frames, and raw ones from a pipe. A real encoded file read by the same class replaces the camera;
no test here depends on the speed of the machine."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from data_prep.video.frames import read_frames
from groundwork.errors import DataError, UsageError
from orbit_lite.cli.parser import main
from orbit_lite.personal.answering import live
from orbit_lite.personal.answering.frame_table import COLUMNS
from orbit_lite.personal.answering.live import Latencies, recognize_stream
from orbit_lite.personal.answering.recognize import Outputs
from orbit_lite.personal.answering.streams import (
    Camera,
    EveryFrame,
    LatestFrames,
    RawFrames,
    StreamFrame,
    recognizer_square,
)
from orbit_lite.personal.file import load_personal

ROOT = Path(__file__).parents[4]
WIDTH, HEIGHT = 64, 48


@pytest.fixture
def clutter(alice):
    return sorted(alice.glob("*/clutter/*.mp4"))[0]


@pytest.fixture(scope="module")
def personal(alice_file):
    return load_personal(alice_file)


@pytest.fixture
def piped(tmp_path, monkeypatch):
    """Put bytes behind descriptor 0 as a pipe, which ends and can't be rewound."""
    saved = os.dup(0)

    def pipe(content):
        read, write = os.pipe()
        os.dup2(read, 0)
        os.close(read)
        threading.Thread(target=_write_all, args=(write, content), daemon=True).start()

    yield pipe
    os.dup2(saved, 0)
    os.close(saved)


def _write_all(descriptor, content):
    with open(descriptor, "wb", buffering=0) as file:
        for start in range(0, len(content), 10_000):  # less than a frame, so that frames come in pieces
            try:
                file.write(content[start : start + 10_000])
            except BrokenPipeError:
                return


def raw_video(count, width=WIDTH, height=HEIGHT):
    draw = np.random.default_rng(3)
    return draw.integers(0, 256, (count, height, width, 3), dtype=np.uint8)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def wait_until(condition):
    end = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.001)


class Counted:
    """A source whose frames arrive when the test allows it, and that counts how many of them are still in memory."""

    name = "counted"

    def __init__(self, count):
        self.count, self.given, self.asked, self.closed = count, 0, 0, False
        self.pictures = []
        self._allowed = threading.Semaphore(0)

    def let_come(self, count):
        """Allow `count` frames, and wait until they have arrived, when the reader asks for the next one."""
        target = self.given + count + 1
        self._allowed.release(count)
        wait_until(lambda: self.asked >= target or self.closed)

    def read(self):
        self.asked += 1
        self._allowed.acquire()
        if self.given == self.count:
            return None
        self.given += 1
        picture = np.full((HEIGHT, WIDTH, 3), self.given % 256, np.uint8)
        self.pictures.append(weakref.ref(picture))
        return StreamFrame(self.given, self.given / 30, time.monotonic(), picture)

    def end_fault(self):
        return None

    def close(self):
        self.closed = True


def test_the_latest_frame_is_taken_and_replaced_ones_are_counted():
    source = Counted(40)
    reader = LatestFrames(source)
    with reader as frames:
        taken = []
        for come in (1, 5, 1, 30):  # this many arrive while a frame is processed
            source.let_come(come)
            taken.append(next(frames).number)
        source.let_come(4)  # three frames and the end
        taken += [frame.number for frame in frames]
    assert taken == [1, 6, 7, 37, 40]
    assert reader.dropped == 40 - len(taken)
    assert source.closed


def test_at_most_three_frames_are_in_memory():
    source, most = Counted(60), 0
    with LatestFrames(source) as frames:
        source.let_come(1)
        for frame in frames:
            source.let_come(5)  # these arrive while this one is processed
            most = max(most, sum(picture() is not None for picture in source.pictures))
            assert frame.number <= source.given
    assert (source.given, most) == (60, 2)  # one is processed and one waits; the third is not read yet


def test_every_frame_is_taken_if_the_writer_waits():
    source = Counted(5)
    source._allowed.release(6)  # and the end
    with EveryFrame(source) as frames:
        assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    assert source.closed


class Broken(Counted):
    """A source whose third frame fails."""

    def read(self):
        if self.given == 2:
            raise DataError("counted: the cable was pulled")
        return super().read()


def test_an_error_of_the_reading_thread_is_raised_after_earlier_frames():
    source = Broken(9)
    source._allowed.release(9)
    taken = []
    with pytest.raises(DataError, match="the cable was pulled"), LatestFrames(source) as frames:
        taken += [frame.number for frame in frames]
    assert source.closed


def test_the_block_can_end_while_the_reader_waits_for_a_frame():
    source = Counted(9)
    with LatestFrames(source):
        pass
    assert not source.closed  # a device must not be closed while it is read
    source._allowed.release(1)
    wait_until(lambda: source.closed)


class FilmedCamera(Camera):
    """Replaces a camera with a video file whose frames arrive when the test allows it."""

    def __init__(self, path):
        super().__init__(path)
        self.asked, self.ended = 0, False
        self._allowed = threading.Semaphore(1)

    def let_come(self, count):
        """Allow `count` more frames, and wait until they have arrived, when the reader asks for the next one."""
        target = self.asked + count
        self._allowed.release(count)
        wait_until(lambda: self.asked >= target or self.ended)

    def read(self):
        self.asked += 1
        self._allowed.acquire()
        frame = super().read()
        self.ended = frame is None
        return frame


def test_a_slow_recognizer_drops_camera_frames_and_keeps_up(personal, clutter, monkeypatch, tmp_path):
    camera, length = FilmedCamera(str(clutter)), len(read_frames(clutter))
    wait_until_first_is_taken = []
    score = type(personal).scores

    def slowly(self, images):
        if not wait_until_first_is_taken:
            wait_until(
                lambda: camera.asked == 2
            )  # the first frame is being processed, and the reader waits for the second
            wait_until_first_is_taken.append(True)
        camera.let_come(7)  # while this one is processed
        return score(self, images)

    monkeypatch.setattr(type(personal), "scores", slowly)
    with pytest.raises(DataError, match="sends no more frames"):
        recognize_stream(personal, camera, live=True, outputs=Outputs(csv=tmp_path / "rows.csv"))
    numbers = [int(row["frame"]) for row in rows_of(tmp_path / "rows.csv")]
    # each was the newest frame, the others were dropped, and it reached the stream's end
    assert length > 30 and numbers == sorted({*range(1, length, 7), length})


# --- sources


def test_a_camera_gives_rgb_pictures_numbered_and_timed(clutter):
    camera, source = Camera(str(clutter)), read_frames(clutter)
    for number, seen in enumerate(source[:20], start=1):
        frame = camera.read()
        assert frame.number == number
        assert (
            np.abs(recognizer_square(frame.picture, 224).astype(int) - seen).mean() < 4
        )  # two ways to scale, and JPEG
    assert (frame.picture.dtype, frame.picture.ndim, frame.time_s >= 0) == (np.uint8, 3, True)
    camera.close()


@pytest.mark.parametrize("text", ["#EXTM3U\n{}\n", "ffconcat version 1.0\nfile '{}'\n"])
def test_a_playlist_instead_of_a_camera_opens_no_other_file(clutter, tmp_path, text):
    path = tmp_path / "list.mp4"
    path.write_text(text.format(clutter), encoding="utf-8")
    with pytest.raises(DataError, match="expected a video"):
        Camera(str(path))


def test_the_square_is_the_middle_of_the_picture():
    picture = np.full((60, 100, 3), 250, np.uint8)
    picture[:, 20:80] = (200, 40, 90)
    assert np.abs(recognizer_square(picture, 32).astype(int) - (200, 40, 90)).max() <= 6  # JPEG is lossy
    assert recognizer_square(np.zeros((1, 1, 3), np.uint8), 32).shape == (32, 32, 3)


def test_raw_frames_are_complete_however_the_bytes_arrive(piped):
    video = raw_video(7)
    piped(video.tobytes())
    source = RawFrames(0, WIDTH, HEIGHT, fps=20)
    with EveryFrame(source) as frames:
        taken = list(frames)
    assert np.array_equal([frame.picture for frame in taken], video)
    assert [frame.number for frame in taken] == list(range(1, 8))
    assert [frame.time_s for frame in taken] == [k / 20 for k in range(7)]
    assert source.end_fault() is None


@pytest.mark.parametrize(("width", "height"), [(0, 5), (5, 0), (8193, 5)])
def test_an_invalid_frame_size_is_refused(width, height):
    with pytest.raises(UsageError, match=f"{width}x{height}"):
        RawFrames(0, width, height, fps=30)


@pytest.mark.parametrize("share", [0.001, 0.25, 0.5, 0.95, 1.0])
def test_latencies_are_counted_to_the_millisecond(share):
    seconds = np.random.default_rng(0).gamma(2, 0.03, 1000)
    latencies = Latencies()
    for one in seconds:
        latencies.add(one)
    expected = np.quantile(np.round(1000 * seconds), share, method="inverted_cdf")
    assert latencies.quantile_ms(share) == expected
    latencies.add(1e6)
    assert latencies.quantile_ms(1.0) == live.MOST_MS


# --- the verb


@pytest.fixture
def run(capfd):
    """Run the verb; return its exit status, standard output, and lines on stderr, including OpenCV's."""

    def call(*arguments):
        try:
            status = main(["recognize", *map(str, arguments)])
        except SystemExit as stop:
            status = stop.code
        shown = capfd.readouterr()
        assert "Traceback" not in shown.err
        return status, shown.out, shown.err.splitlines()

    return call


def test_stdin_is_answered_frame_by_frame_and_summarized(run, alice_file, personal, piped, tmp_path):
    video = raw_video(20)
    piped(video.tobytes())
    table, summary = tmp_path / "rows.csv", tmp_path / "answers.json"
    size = ["--stdin", f"{WIDTH}x{HEIGHT}", "--fps", "10"]
    status, out, lines = run("--model", alice_file, *size, "--csv", table, "--json", summary)
    assert status == 0
    rows = rows_of(table)
    images = np.stack([recognizer_square(picture, 224) for picture in video])
    scores = personal.scores(live.to_images(images, 1))
    assert [float(row["familiarity"]) for row in rows] == pytest.approx(scores.familiarity.tolist(), abs=2e-4)
    assert [(row["video"], row["frame"], row["time_s"]) for row in rows] == [
        ("stdin", str(k + 1), f"{k / 10:.3f}") for k in range(20)
    ]
    result = json.loads(summary.read_text())
    assert (result["videos"][0]["frames"], result["settings"]["answered"], result["settings"]["dropped"]) == (20, 20, 0)
    assert lines[-1].startswith("stdin: 20 frames answered, 0 dropped, ")
    assert "ms (median), " in lines[-1] and lines[-1].endswith("ms (95th percentile)")
    assert out.splitlines()[0].startswith("0.5 s: ")  # one line when the answer has held


def test_live_stdin_may_drop_frames_but_counts_all(run, alice_file, piped, tmp_path):
    piped(raw_video(200).tobytes())
    status, _, lines = run(
        "--model", alice_file, "--stdin", f"{WIDTH}x{HEIGHT}", "--live", "--csv", tmp_path / "rows.csv", "--speak"
    )
    rows = rows_of(tmp_path / "rows.csv")
    assert (status, rows[-1]["frame"]) == (0, "200")
    assert lines[-1].startswith(f"stdin: {len(rows)} frames answered, {200 - len(rows)} dropped, ")


def test_a_cut_off_last_frame_is_reported_and_the_others_are_kept(run, alice_file, piped, tmp_path):
    piped(raw_video(4).tobytes()[:-100])
    whole = 3 * WIDTH * HEIGHT
    status, _, lines = run(
        "--model", alice_file, "--stdin", f"{WIDTH}x{HEIGHT}", "--csv", tmp_path / "rows.csv", "--speak"
    )
    assert status == 1
    assert lines[-1] == (
        f"orbit-lite: stdin: the last frame is cut off after {whole - 100} bytes; "
        f"expected {whole} bytes per frame ({WIDTH}x{HEIGHT}, rgb24)"
    )
    assert [row["frame"] for row in rows_of(tmp_path / "rows.csv")] == ["1", "2", "3"]


@pytest.mark.parametrize(("content", "message"), [(b"", "no frame arrived"), (b"abc", "cut off after 3 bytes")])
def test_a_stream_without_frames_gives_one_line_and_keeps_the_old_table(
    run, alice_file, piped, tmp_path, content, message
):
    (tmp_path / "rows.csv").write_text("old")
    piped(content)
    arguments = ["--stdin", f"{WIDTH}x{HEIGHT}", "--csv", tmp_path / "rows.csv", "--json", tmp_path / "a.json"]
    status, out, lines = run("--model", alice_file, *arguments)
    assert (status, out, len(lines), message in lines[0]) == (1, "", 1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["rows.csv"]
    assert (tmp_path / "rows.csv").read_text() == "old"


def test_a_missing_camera_gives_one_line(run, alice_file, tmp_path):
    status, out, lines = run("--model", alice_file, "--camera", "97", "--csv", tmp_path / "rows.csv")
    assert (status, out, len(lines)) == (1, "", 1)  # otherwise OpenCV prints warnings
    assert lines[0].startswith("orbit-lite: camera 97: can't be opened")
    assert list(tmp_path.iterdir()) == []


def test_on_a_full_disk_the_table_ends_with_a_whole_line(run, alice_file, piped, small_disk):
    disk = small_disk(8)
    (disk / "other").write_bytes(bytes(4096))
    piped(raw_video(200).tobytes())
    status, _, lines = run("--model", alice_file, "--stdin", f"{WIDTH}x{HEIGHT}", "--csv", disk / "rows.csv", "--speak")
    assert status == 1
    assert lines[-1].startswith("orbit-lite: No space left on device") and str(disk / "rows.csv") in lines[-1]
    content = (disk / "rows.csv").read_text()
    assert content.endswith("\n") and 20 < content.count("\n") < 200
    assert all(line.count(",") == len(COLUMNS) - 1 for line in content.splitlines())


@pytest.mark.slow
def test_ctrl_c_ends_a_stream_and_keeps_the_answers(alice_file, tmp_path):
    table, summary = tmp_path / "rows.csv", tmp_path / "answers.json"
    heed = "import signal, sys; signal.signal(2, signal.default_int_handler); "  # it may be ignored in background runs
    command = [sys.executable, "-c", heed + "from orbit_lite.cli.parser import main; sys.exit(main())", "recognize"]
    command += ["--model", alice_file, "--stdin", f"{WIDTH}x{HEIGHT}", "--live", "--csv", table, "--json", summary]
    process = subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    end = time.monotonic() + 600
    while not (table.exists() and table.read_text().count("\n") >= 6):  # the heading and five answers
        assert time.monotonic() < end and process.poll() is None
        process.stdin.write(raw_video(1).tobytes())
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, result = process.communicate(timeout=300)
    lines = result.decode().splitlines()
    assert process.returncode == 130, lines
    rows = rows_of(table)
    assert len(rows) >= 5 and all(None not in row.values() for row in rows)
    assert any(line.startswith(f"stdin: {len(rows)} frames answered, ") for line in lines)
    assert lines[-1].startswith("orbit-lite: stopped")
    assert json.loads(summary.read_text())["videos"][0]["frames"] == len(rows)
