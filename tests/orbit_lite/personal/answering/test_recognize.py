"""`orbit-lite recognize` on recorded videos, as a user sees it."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.torch import load_file

from eval.formats.answer_text import NONE_OF_THESE
from orbit_lite.cli.parser import main
from orbit_lite.data.loader import to_images
from orbit_lite.models.checkpoint import save_recognizer
from orbit_lite.models.recognizer import build_recognizer
from orbit_lite.personal.answering.reading import VideoJob, read_batches
from orbit_lite.personal.decision.rejection import OperatingPoint, Rejection
from orbit_lite.personal.file import PERSONAL, load_personal, save_personal

ROOT = Path(__file__).parents[4]


@pytest.fixture
def run(capsys):
    """Run the verb; return its exit status, standard output, and its lines on stderr."""

    def call(*arguments):
        try:
            status = main(["recognize", *map(str, arguments)])
        except SystemExit as stop:  # argparse's own
            status = stop.code
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return status, shown.out, shown.err.splitlines()

    return call


@pytest.fixture
def clutter(alice):
    """Three clutter videos, one of each object."""
    return sorted(alice.glob("*/clutter/*.mp4"))


@pytest.fixture(scope="module")
def choosy_file(alice_file, alice, tmp_path_factory):
    """`alice_file`, with a threshold that half of the frames of its first clutter video pass."""
    personal = load_personal(alice_file)
    frames = pictures_of(VideoJob(sorted(alice.glob("*/clutter/*.mp4"))[0], personal.frame_size_px))
    threshold = float(np.median(personal.scores(to_images(frames, 1)).familiarity))
    point = OperatingPoint(aim=0.1, threshold=threshold, sure_threshold=threshold + 0.1)
    calibration = replace(personal.calibration, rejection=Rejection(curve=(point,)))
    path = tmp_path_factory.mktemp("choosy") / "alice.safetensors"
    save_personal(path, replace(personal, calibration=calibration))
    return path


def pictures_of(job):
    return np.concatenate([batch.pictures for batch in read_batches(job)])


@pytest.fixture
def folder_of(pocket_raw, pocket_frames):
    """A raw video's folder in the frame tree."""
    return lambda video: pocket_frames / video.relative_to(pocket_raw).with_suffix("")


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def without_video(rows):
    return [{name: cell for name, cell in row.items() if name != "video"} for row in rows]


def test_help_is_plain_text(run):
    status, out, _ = run("--help")
    assert (status, out.isascii()) == (0, True)
    assert all(f"--{name}" in out for name in ("camera", "stdin", "smooth", "csv", "json", "annotated", "speak"))


def test_text_table_and_json_agree(run, choosy_file, clutter, tmp_path):
    table, summary = tmp_path / "rows.csv", tmp_path / "answers.json"
    status, out, lines = run("--model", choosy_file, *clutter, "--csv", table, "--json", summary, "--smooth", "0.2")
    assert status == 0
    rows, result = rows_of(table), json.loads(summary.read_text())
    assert [entry["video"] for entry in result["videos"]] == [str(video) for video in clutter]
    for entry in result["videos"]:
        own = [row for row in rows if row["video"] == entry["video"]]
        objects = [row["object"] or NONE_OF_THESE for row in own]
        answer, count = Counter(objects).most_common(1)[0]
        assert [row["frame"] for row in own] == [str(number) for number in range(1, entry["frames"] + 1)]
        assert [float(row["time_s"]) for row in own] == pytest.approx([k / 30 for k in range(len(own))], abs=6e-4)
        assert entry["object"] == answer and entry["kind"] in (
            ("none",) if answer == NONE_OF_THESE else ("sure", "maybe")
        )
        assert entry["share"] == pytest.approx(count / len(own))
        assert entry["first_frame"] == objects.index(answer) + 1
        assert dict(entry["frames_by_answer"]) == Counter(row["answer"] for row in own)
        assert f"{entry['video']}: {entry['answer']}\n" in out
        assert f"(frame {entry['first_frame']})" in out
    assert sum("answered in" in line for line in lines) == 3
    assert result["model"]["objects"] == list(load_personal(choosy_file).objects)
    assert result["settings"] == {"fps": 30.0, "smooth_s": 0.2, "engine": "torch"}
    assert out.replace(str(clutter[0].parents[3]), "").isascii()


def test_the_threshold_also_applies_to_smoothed_answers(run, choosy_file, clutter, tmp_path):
    threshold = load_personal(choosy_file).rejection.point.threshold
    for smooth in ("0", "0.4"):
        run("--model", choosy_file, clutter[0], "--csv", tmp_path / "rows.csv", "--smooth", smooth)
        rows = rows_of(tmp_path / "rows.csv")
        for row in rows:
            if abs(float(row["familiarity"]) - threshold) > 1e-4:  # the table rounds
                known = float(row["familiarity"]) >= threshold
                assert row["object"] == (row["likeliest"] if known else "")
                assert known == (row["answer"] != NONE_OF_THESE)
        if smooth == "0":
            assert sum(row["answer"] == NONE_OF_THESE for row in rows) == pytest.approx(len(rows) / 2, abs=2)


def test_a_folder_of_frames_gives_the_same_answers(run, alice_file, clutter, folder_of, tmp_path):
    for name, video in (("raw.csv", clutter[0]), ("frames.csv", folder_of(clutter[0]))):
        assert run("--model", alice_file, video, "--csv", tmp_path / name)[0] == 0
    assert without_video(rows_of(tmp_path / "raw.csv")) == without_video(rows_of(tmp_path / "frames.csv"))


def test_cutting_a_video_short_changes_no_earlier_answer(run, alice_file, clutter, folder_of, tmp_path):
    whole = folder_of(clutter[0])
    short = tmp_path / "cut" / whole.name
    short.mkdir(parents=True)
    for frame in sorted(whole.glob("*.jpg"))[:37]:
        shutil.copy(frame, short)
    for name, video in (("whole.csv", whole), ("short.csv", short)):
        assert run("--model", alice_file, video, "--csv", tmp_path / name, "--smooth", "0.5")[0] == 0
    rows, cut = (without_video(rows_of(tmp_path / name)) for name in ("whole.csv", "short.csv"))
    assert len(cut) == 37 < len(rows)
    for row, of_cut in zip(rows, cut, strict=False):  # a smaller last batch rounds differently
        numbers = [(float(row[name]), float(of_cut[name])) for name in ("confidence", "familiarity")]
        assert all(one == pytest.approx(other, abs=2e-4) for one, other in numbers)
        assert (row["frame"], row["time_s"], row["object"]) == (of_cut["frame"], of_cut["time_s"], of_cut["object"])


def test_a_lower_rate_takes_every_third_frame(run, alice_file, clutter, tmp_path):
    for fps in ("30", "10"):
        assert run("--model", alice_file, clutter[0], "--fps", fps, "--csv", tmp_path / f"{fps}.csv")[0] == 0
    often, seldom = rows_of(tmp_path / "30.csv")[::3], rows_of(tmp_path / "10.csv")
    assert [row["time_s"] for row in seldom] == [row["time_s"] for row in often]
    assert [float(row["familiarity"]) for row in seldom] == pytest.approx(
        [float(row["familiarity"]) for row in often], abs=2e-4
    )


def test_an_unreadable_video_does_not_affect_the_others(run, alice_file, clutter, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_text("no video at all\n" * 100)
    table, summary = tmp_path / "rows.csv", tmp_path / "answers.json"
    videos = [clutter[0], broken, clutter[1]]
    status, _, lines = run("--model", alice_file, *videos, "--csv", table, "--json", summary)
    assert status == 1
    assert [line for line in lines if line.startswith("failed: ")] == [lines_with(lines, f"failed: {broken}: ")]
    assert lines[-1] == f"orbit-lite: 1 of 3 videos failed: {broken}; the others were answered"
    assert {row["video"] for row in rows_of(table)} == {str(clutter[0]), str(clutter[1])}
    result = json.loads(summary.read_text())
    assert [entry["video"] for entry in result["videos"]] == [str(clutter[0]), str(clutter[1])]
    assert [entry["video"] for entry in result["failed"]] == [str(broken)]
    assert sum("answered in" in line for line in lines) == 2


def test_a_video_of_two_pixels_is_refused(run, alice_file, tmp_path):
    small = tmp_path / "small.mp4"
    with av.open(str(small), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width = stream.height = 2
        stream.pix_fmt = "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((2, 2, 3), np.uint8))))
        container.mux(stream.encode(None))
    status, _, lines = run("--model", alice_file, small, "--csv", tmp_path / "rows.csv")
    assert status == 1 and f"orbit-lite: {small}: pictures of 2x2 pixels, too small to show an object" in lines[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["small.mp4"]


def lines_with(lines, beginning):
    (line,) = [line for line in lines if line.startswith(beginning)]
    return line


@pytest.fixture
def late_damage(tmp_path_factory):
    """A video that decodes for 80 frames and then fails, because bits are flipped in its last group of pictures."""
    path = tmp_path_factory.mktemp("late") / "late.mp4"
    draw = np.random.default_rng(1)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=30, options={"g": "20", "preset": "ultrafast", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for _ in range(100):
            picture = draw.integers(0, 120, (240, 320, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    content = bytearray(path.read_bytes())
    start = content.index(b"mdat")
    for place in range(start + (len(content) - start) * 9 // 10, len(content) - 100, 97):
        content[place] ^= 0x10
    path.write_bytes(bytes(content))
    return path


def test_rows_of_a_video_with_late_damage_are_removed(run, alice_file, clutter, late_damage, tmp_path):
    table = tmp_path / "rows.csv"
    status, _, lines = run("--model", alice_file, late_damage, clutter[0], "--csv", table)
    assert (status, "damaged near picture" in lines_with(lines, f"failed: {late_damage}: ")) == (1, True)
    rows = rows_of(table)
    assert {row["video"] for row in rows} == {str(clutter[0])}
    assert [row["frame"] for row in rows] == [str(number) for number in range(1, len(rows) + 1)]


@pytest.fixture
def faulty(clutter, tmp_path):
    """Files that are not usable videos, named after what is wrong with them."""
    folder = tmp_path / "faulty"
    folder.mkdir()
    (folder / "text.mp4").write_text("shopping list\n" * 50)
    (folder / "nothing.mp4").touch()
    (folder / "cut.mp4").write_bytes(clutter[0].read_bytes()[:20_000])
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 48000
        container.mux(stream.encode(silence))
        container.mux(stream.encode(None))
    (folder / "empty").mkdir()
    return folder


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("text.mp4", "does not decode"),
        ("nothing.mp4", "an empty file"),
        ("cut.mp4", "use another copy"),
        ("sound.mp4", "has no video stream"),
        ("empty", "has no video, photo or folder of frames"),
    ],
)
def test_an_unusable_video_gives_one_line_and_writes_nothing(run, alice_file, faulty, tmp_path, name, message):
    outputs = ["--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json", "--annotated", tmp_path / "a.mp4"]
    status, out, lines = run("--model", alice_file, faulty / name, *outputs)
    assert (status, out, len(lines)) == (1, "", 1)
    assert lines[0].startswith(f"orbit-lite: {faulty / name}: ") and message in lines[0]
    assert list(tmp_path.iterdir()) == [faulty]


def test_when_no_video_can_be_read_nothing_is_written(run, alice_file, faulty, tmp_path):
    videos = [faulty / "text.mp4", faulty / "nothing.mp4"]
    status, _, lines = run("--model", alice_file, *videos, "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json")
    assert (status, lines[-1]) == (1, "orbit-lite: none of the 2 videos could be read; nothing was written")
    assert list(tmp_path.iterdir()) == [faulty]


@pytest.fixture
def models(alice_file, tmp_path):
    """Files that are not personal recognizers, named after what is wrong with them."""
    folder = tmp_path / "models"
    folder.mkdir()
    content = alice_file.read_bytes()
    (folder / "cut").write_bytes(content[: len(content) // 2])
    (folder / "altered").write_bytes(content[:-4] + bytes(4))
    (folder / "text").write_text("alice")
    save_recognizer(folder / "checkpoint", build_recognizer("protonets", "tiny", weights="random"), config={})
    with safe_open(alice_file, "pt") as file:
        header = PERSONAL.header(file.metadata(), alice_file)
    newer = re.sub(r'"format": ?\d+', '"format":99', header)
    assert newer != header
    PERSONAL.write(folder / "newer", newer, load_file(alice_file))
    return folder


@pytest.mark.parametrize(
    ("name", "message", "expected"),
    [
        ("cut", "", 1),
        ("altered", "damaged or altered", 1),
        ("text", "", 1),
        ("checkpoint", "not a personal recognizer", 1),
        ("newer", "format 99", 1),
        ("nothere", "no such file", 2),
    ],
)
def test_an_unusable_model_is_refused(run, models, clutter, tmp_path, name, message, expected):
    status, out, lines = run("--model", models / name, clutter[0], "--csv", tmp_path / "a.csv")
    assert (status, out, len(lines)) == (expected, "", 1)
    assert lines[0].startswith(f"orbit-lite: {models / name}: ") and message in lines[0]
    assert not (tmp_path / "a.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected one of VIDEO, --camera or --stdin, got none"),
        (["{v}", "--camera", "0"], "got VIDEO and --camera"),
        (["{v}", "--live"], "--live can be used only with --stdin"),
        (["--camera", "0", "--fps", "5"], "--fps can't be used with --camera"),
        (["{v}", "{v}", "--annotated", "{t}/a.mp4"], "--annotated copies one video"),
        (["--camera", "0", "--annotated", "{t}/a.mp4"], "--annotated copies one video"),
        (["{v}", "--annotated", "{t}/a.avi"], "give a name that ends in .mp4"),
        (["{v}", "--annotated", "{v}"], "--annotated {v}: the same file as VIDEO {v}"),
        (["{v}", "--csv", "{t}/a", "--json", "{t}/a"], "--json {t}/a: the same file as --csv {t}/a"),
        (["{v}", "--csv", "{m}"], "--csv {m}: the same file as --model {m}"),
        (["{v}", "--fps", "0"], "argument --fps: expected frames per second, 0.01 to 1000"),
        (["{v}", "--fps", "nan"], "argument --fps: expected frames per second, 0.01 to 1000"),
        (["{v}", "--smooth", "-1"], "argument --smooth: expected seconds, 0 or more"),
        (["--camera", "first"], "argument --camera: expected a camera number"),
        (["--stdin", "640"], "argument --stdin: expected WIDTHxHEIGHT"),
        (["{v}", "{t}/nothere.mp4"], "{t}/nothere.mp4: no such video"),
        (["{v}", "--csv", "{t}"], "--csv {t}: a folder; --csv takes a file, such as {t}/answers.csv"),
        (["{v}", "--json", "{v}/in/a/file.json"], "file.json: no file can be written there"),
    ],
)
def test_usage_errors_are_reported_before_any_work(run, alice_file, clutter, tmp_path, arguments, message):
    def filled(text):
        return text.replace("{v}", str(clutter[0])).replace("{t}", str(tmp_path)).replace("{m}", str(alice_file))

    status, out, lines = run("--model", alice_file, *map(filled, arguments))
    assert (status, out, filled(message) in lines[-1]) == (2, "", True), lines
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_not_text_is_refused(run, alice_file, clutter, tmp_path):
    odd = tmp_path / os.fsdecode(b"caf\xe9.mp4")  # Latin-1, as old disks have it
    try:
        shutil.copy(clutter[0], odd)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    status, out, lines = run("--model", alice_file, odd)
    assert (status, out, len(lines), "caf\\udce9.mp4" in lines[0]) == (2, "", 1, True)


@pytest.mark.parametrize(("option", "name"), [("--csv", "a.csv"), ("--json", "a.json")])
def test_a_full_disk_gives_one_line_and_leaves_nothing(run, alice_file, clutter, small_disk, option, name):
    disk = small_disk(4)
    (disk / "old").write_bytes(bytes(4000))
    status, _, lines = run("--model", alice_file, clutter[0], option, disk / name)
    assert status == 1
    assert lines[-1].startswith("orbit-lite: No space left on device") and str(disk / name) in lines[-1]
    assert [path.name for path in disk.iterdir()] == ["old"]


def test_standard_output_has_only_spoken_lines(run, choosy_file, clutter):
    status, out, lines = run("--model", choosy_file, *clutter, "--speak", "--smooth", "0.3")
    assert status == 0
    objects = load_personal(choosy_file).objects
    names = {*objects, *(f"maybe {name}" for name in objects), "I do not know this"}
    lines_of = {path.name: [] for path in clutter}
    for line in out.splitlines():
        if line in lines_of:
            video = line
        else:
            lines_of[video].append(line)
    assert all(lines_of.values())  # each has spoken lines after its name
    assert {line for spoken in lines_of.values() for line in spoken} <= names
    assert sum("answered in" in line for line in lines) == len(clutter)


@pytest.mark.slow
def test_ctrl_c_stops_at_once_and_leaves_nothing(alice_file, clutter, folder_of, tmp_path):
    whole, endless = folder_of(clutter[0]), tmp_path / "v"
    endless.mkdir()
    frames = sorted(whole.glob("*.jpg"))
    for number in range(1, 3001):
        os.link(frames[number % len(frames)], endless / f"v-{number:05d}.jpg")
    command = [sys.executable, "-m", "orbit_lite", "recognize", "--model", alice_file, endless]
    command += ["--csv", tmp_path / "rows.csv"]
    heed = "import signal, sys; signal.signal(2, signal.default_int_handler); sys.argv[1:2] = []; "
    process = subprocess.Popen(
        [sys.executable, "-c", heed + "from orbit_lite.cli.parser import main; sys.exit(main())", "", *command[3:]],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    part = tmp_path / ".rows.csv.part"
    end = time.monotonic() + 600
    while not (part.exists() and part.stat().st_size > 0):
        assert time.monotonic() < end and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    result = process.communicate(timeout=300)[1].splitlines()
    assert process.returncode == 130
    assert [line for line in result if not line.startswith("frames answered")] == [
        "orbit-lite: stopped; nothing was written in part"
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["v"]
