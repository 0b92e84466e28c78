"""Verbs that really write to standard output, pipes, devices and links, and two that write the same file."""

import contextlib
import csv
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from eval.formats.records import read_predictions, read_tasks
from groundwork.lock import lock_path
from orbit_lite.cli.parser import main
from orbit_lite.personal.file import load_personal

ROOT = Path(__file__).parents[3]
TINY = ("--model", "protonets", "--backbone", "tiny", "--weights", "random")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has other devices")


def command(*arguments):
    return [sys.executable, "-m", "orbit_lite", *map(str, arguments)]


def start(*arguments, **how):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command(*arguments), cwd=ROOT, env=environment, stderr=subprocess.PIPE, **how)


@pytest.fixture(scope="module")
def tasks(pocket_frames, tmp_path_factory):
    path = tmp_path_factory.mktemp("tasks") / "tasks.jsonl"
    asked = ["tasks", "--data", pocket_frames, "--protocol", "orbit-2022", "--tasks-per-user", 1, "--out", path]
    assert main(list(map(str, asked))) == 0
    return path


@pytest.fixture
def clutter(alice):
    return sorted(alice.glob("*/clutter/*.mp4"))[0]


@pytest.fixture
def to_stdout(capfd):
    """Run a verb in this process; return what it wrote to the real standard output, and to standard error."""

    def run(*arguments):
        capfd.readouterr()
        status = main(list(map(str, arguments)))
        out, err = capfd.readouterr()
        return status, out, err

    return run


def through_a_pipe(folder, *arguments, status=0):
    """The content that a verb writes to a named pipe, given as its last argument."""
    pipe, found = folder / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: found.append(pipe.read_bytes()), daemon=True)
    reader.start()
    assert main([*map(str, arguments), str(pipe)]) == status
    reader.join(300)
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    return found[0]


@pytest.mark.parametrize("out", ["-", "/dev/stdout"])
def test_standard_output_gets_only_the_file_and_standard_error_the_text(out, pocket_frames, tasks, tmp_path, to_stdout):
    drawing = ("tasks", "--data", pocket_frames, "--protocol", "orbit-2022", "--tasks-per-user", 1)
    status, content, result = to_stdout(*drawing, "--out", out)
    (tmp_path / "back.jsonl").write_text(content)
    assert (status, read_tasks(tmp_path / "back.jsonl")) == (0, read_tasks(tasks))
    assert "tasks of 2 users written to /dev/stdout" in result
    status, content, result = to_stdout("cost", *TINY, "--repeats", 0, "--out", out)
    assert status == 0 and json.loads(content) and "MACs" in result
    assert not (tmp_path / "-").exists() and not Path("-").exists()


def test_a_file_named_minus_can_be_written_by_its_path(tmp_path, monkeypatch, to_stdout):
    monkeypatch.chdir(tmp_path)
    status, content, _ = to_stdout("cost", *TINY, "--repeats", 0, "--out", "./-")
    assert status == 0 and json.loads(Path("-").read_text()) and "MACs" in content


def test_recognize_writes_rows_or_json_to_standard_output_and_not_both(alice_file, clutter, tmp_path, to_stdout):
    asked = ("recognize", "--model", alice_file, clutter, "--fps", 5)
    assert to_stdout(*asked, "--csv", tmp_path / "rows.csv", "--json", tmp_path / "answers.json")[0] == 0
    status, content, result = to_stdout(*asked, "--csv", "-")
    assert (status, content) == (0, (tmp_path / "rows.csv").read_text())
    assert f"{clutter}: " in result and "frames per second" in result
    status, content, result = to_stdout(*asked, "--json", "-")
    assert status == 0 and json.loads(content) == json.loads((tmp_path / "answers.json").read_text())
    assert f"{clutter}: " in result
    for both in (("--csv", "-", "--json", "-"), ("--csv", "-", "--json", "/dev/stdout"), ("--csv", "-", "--speak")):
        status, content, result = to_stdout(*asked, *both)
        assert (status, content, result.count("\n")) == (2, "", 1)


def test_a_streams_rows_are_written_as_they_are_answered(alice_file):
    pixels = bytes(64 * 48 * 3)
    process = start(
        *("recognize", "--model", alice_file, "--stdin", "64x48", "--csv", "-"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    process.stdin.write(pixels)
    process.stdin.flush()
    assert process.stdout.readline().startswith(b"video,frame,")
    assert process.stdout.readline().startswith(b"stdin,1,")  # while the stream continues
    process.stdin.write(pixels)
    process.stdin.close()
    rest, result = process.stdout.read(), process.stderr.read()
    assert (process.wait(), rest.count(b"\n"), rest.startswith(b"stdin,2,")) == (0, 1, True)
    assert b"2 frames answered" in result


def test_a_pipe_gets_a_complete_file_of_every_kind(alice, alice_file, clutter, pocket_frames, tasks, tmp_path):
    for name in ("predict", "personalize", "recognize", "export", "captions"):
        (tmp_path / name).mkdir()
    predicting = ("predict", *TINY, "--data", pocket_frames, "--tasks", tasks, "--out")
    assert main([*map(str, predicting), str(tmp_path / "a.parquet")]) == 0
    (tmp_path / "b.parquet").write_bytes(through_a_pipe(tmp_path / "predict", *predicting))
    assert read_predictions(tmp_path / "b.parquet").equals(read_predictions(tmp_path / "a.parquet"))
    personal = through_a_pipe(tmp_path / "personalize", "personalize", *TINY, "--videos", alice, "--out")
    (tmp_path / "b.safetensors").write_bytes(personal)
    assert load_personal(tmp_path / "b.safetensors").objects == load_personal(alice_file).objects
    rows = through_a_pipe(tmp_path / "recognize", "recognize", "--model", alice_file, clutter, "--fps", 5, "--csv")
    assert len(list(csv.reader(rows.decode().splitlines()))) > 2
    exported = through_a_pipe(tmp_path / "export", "export", alice_file, "--format", "torch-export", "--out")
    assert exported.startswith(b"PK")  # a ZIP file, which torch.export writes
    film = through_a_pipe(tmp_path / "captions", "recognize", "--model", alice_file, clutter, "--fps", 5, "--annotated")
    assert film[4:8] == b"ftyp"  # MP4


def test_a_closed_pipe_gives_one_line_that_names_it(alice, alice_file, tmp_path, capsys):
    """The reader reads a little of an output that is longer than a pipe's buffer."""
    assert alice_file.stat().st_size > 100_000
    os.mkfifo(tmp_path / "pipe")

    def read_a_little():
        with (tmp_path / "pipe").open("rb", buffering=0) as end:
            end.read(10)

    threading.Thread(target=read_a_little, daemon=True).start()
    asked = ("personalize", *TINY, "--videos", alice, "--out", tmp_path / "pipe")
    assert main(list(map(str, asked))) == 1
    assert capsys.readouterr().err.endswith(f"orbit-lite: Broken pipe: {tmp_path / 'pipe'}\n")


def test_no_binary_file_goes_to_a_terminal(alice):
    """A screen reader would read it out."""
    pty = pytest.importorskip("pty")
    ours, theirs = pty.openpty()
    process = start("personalize", *TINY, "--videos", alice, "--out", "-", stdout=theirs)
    _, result = process.communicate()
    os.close(theirs)
    assert (process.returncode, result.count(b"\n")) == (2, 1)
    assert b"--out /dev/stdout: a terminal, but the file is not text; use a pipe, or name a file" in result
    with contextlib.suppress(OSError):  # EIO: nothing was written
        assert os.read(ours, 100) == b""
    os.close(ours)


def test_links_are_followed(alice, alice_file, user_dir, tmp_path):
    (tmp_path / "deep").mkdir()
    shutil.copy(alice_file, tmp_path / "deep/alice.safetensors")
    (tmp_path / "link").symlink_to("deep/alice.safetensors")
    (tmp_path / "new.csv").symlink_to("deep/rows.csv")
    thing, *others = sorted(path.name for path in user_dir.iterdir())
    for other in others:
        shutil.rmtree(user_dir / other)
    assert main(["forget", str(tmp_path / "deep/alice.safetensors"), "--object", thing, "--yes"]) == 0
    assert thing not in load_personal(tmp_path / "deep/alice.safetensors").objects
    asked = ("personalize", "--update", tmp_path / "link", "--videos", user_dir, "--csv", tmp_path / "new.csv")
    assert main(list(map(str, asked))) == 0
    assert (tmp_path / "link").is_symlink() and (tmp_path / "new.csv").is_symlink()
    assert thing in load_personal(tmp_path / "deep/alice.safetensors").objects
    assert thing in (tmp_path / "deep/rows.csv").read_text()
    assert sorted(path.name for path in (tmp_path / "deep").iterdir()) == ["alice.safetensors", "rows.csv"]


@pytest.fixture
def held(alice, tmp_path):
    """A `personalize` that holds its output file and waits to write its table to a pipe."""
    os.mkfifo(tmp_path / "rows")
    out = tmp_path / "alice.safetensors"
    process = start("personalize", *TINY, "--videos", alice, "--out", out, "--csv", tmp_path / "rows")
    end = time.monotonic() + 300
    while not out.exists():
        assert process.poll() is None and time.monotonic() < end, process.stderr.read()
        time.sleep(0.01)
    yield process, out
    process.kill()
    process.communicate()


def test_the_second_writer_of_a_file_is_refused(held, alice, tmp_path, to_stdout):
    process, out = held
    (tmp_path / "link").symlink_to(out)
    before = out.read_bytes()
    for verb in (
        ("personalize", *TINY, "--videos", alice, "--out", out),
        ("personalize", "--update", out, "--videos", alice, "--replace"),
        ("personalize", *TINY, "--videos", alice, "--out", tmp_path / "link"),
        ("export", out, "--out", tmp_path / "link"),
        ("forget", out),
    ):
        status, _, result = to_stdout(*verb)
        assert (status, result.count("\n")) == (2, 1), result
        assert "another command is writing this file" in result or "the same file as" in result
    assert out.read_bytes() == before
    assert (tmp_path / "rows").read_bytes().startswith(b"participant,")
    assert process.wait() == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alice.safetensors", "link", "rows"]


def test_a_lock_ends_with_its_process(held, alice, to_stdout):
    process, out = held
    process.kill()
    process.wait()
    assert to_stdout("personalize", *TINY, "--videos", alice, "--out", out)[0] == 0
    assert not lock_path(out).exists()
