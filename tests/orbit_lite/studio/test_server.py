"""The verb: one line with the address, one server per study, and refused folders and ports."""

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from orbit_lite.cli.parser import main
from orbit_lite.studio.server import PORT, listening
from orbit_lite.studio.study import Study

ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def verb(folder, *options):
    """The command in a separate process, and its first line."""
    command = [sys.executable, "-m", "orbit_lite", "studio", str(folder), "--no-browser", "--port", "0", *options]
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.communicate()


def status_of(line, place="/"):
    port, token = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line).groups()
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    connection.request("GET", f"{place}?token={token}")
    return connection.getresponse().status


def test_a_port_in_use_gives_one_line_and_the_default_uses_another(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert main(["studio", str(tmp_path), "--no-browser", "--port", str(port)]) == 2
        output = capsys.readouterr().err
        assert output.count("\n") == 1 and f"--port {port}: in use by another program" in output
    with listening(None) as first, listening(None) as second:
        ports = {first.getsockname()[1], second.getsockname()[1]}
        assert len(ports) == 2 and all(one > 0 for one in ports)
        assert {first.getsockname()[0], second.getsockname()[0]} == {"127.0.0.1"}
        assert first.getsockname()[1] == PORT or PORT not in ports
    assert main(["studio", str(tmp_path), "--no-browser", "--port", "70000"]) == 2


def test_a_port_is_free_again_as_soon_as_the_studio_on_it_is_stopped(serve, tmp_path):
    with serve(tmp_path) as client, socket.create_connection(("127.0.0.1", client.address.port)) as open_still:
        client.let_in()
        port = client.address.port
        open_still.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert open_still.recv(100)
    with serve(tmp_path, port=port) as again:
        assert again.let_in().address.port == port


@pytest.mark.parametrize(("make", "why"), [
    (lambda root: root.write_text("x"), "a file"),
    (lambda root: root.symlink_to("nowhere"), "a link that leads nowhere"),
    (lambda root: (root / "train/P01/mug").mkdir(parents=True), "a tree of frames or videos"),
    (lambda root: (root / "annotations").mkdir(parents=True), "a tree of frames or videos"),
    (lambda root: (root / "mug/clean").mkdir(parents=True), "give its parent folder"),
])  # fmt: skip
def test_a_folder_that_is_not_a_study_is_refused_unchanged(tmp_path, capsys, make, why):
    root = tmp_path / "study"
    make(root)
    before = sorted(tmp_path.rglob("*"))
    assert main(["studio", str(root), "--no-browser", "--port", "0"]) == 2
    assert why in capsys.readouterr().err and sorted(tmp_path.rglob("*")) == before


def test_a_missing_folder_is_created(tmp_path):
    assert Study.open(tmp_path / "deep" / "new").participants() == [] and (tmp_path / "deep/new").is_dir()


def test_a_study_indexed_by_the_verbs_is_still_accepted(study):
    (study / "index.csv").write_text("split,user\n")
    assert [one.name for one in Study.open(study).participants()] == ["P01"]


def test_without_the_extra_the_message_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["studio", str(tmp_path / "new"), "--no-browser"]) == 2
    assert "pip install 'orbit-lite[studio]'" in capsys.readouterr().err


def test_the_embedded_start_is_taught_by_default(tmp_path, capsys):
    assert main(["studio", str(tmp_path), "--no-browser", "--backbone", "tiny"]) == 2
    assert "--backbone also needs --model" in capsys.readouterr().err


@pytest.mark.parametrize(("at", "leaves"), [("upload", "uploads that were not judged"), ("teach", "parts")])
def test_a_killed_server_leaves_no_partial_files_and_loses_nothing(study, serve, at, leaves):
    """Killed while a video arrives, or while it teaches; then started again."""
    before = {path.relative_to(study): path.read_bytes() for path in study.rglob("*.mp4")}
    options = ("--model", "protonets", "--backbone", "tiny", "--weights", "random")
    with verb(study, *options) as (process, line):
        assert re.fullmatch(r"Studio of \S+: http://127\.0\.0\.1:\d+/\?token=\S+ \(Ctrl-C stops it\)\n", line)
        port, token = re.search(r"http://127\.0\.0\.1:(\d+)/\?token=(\S+)", line).groups()
        connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
        connection.request("GET", f"/?token={token}")
        answer = connection.getresponse()
        cookie = answer.getheader("set-cookie").split(";")[0]
        answer.read()
        own = {"Cookie": cookie, "Origin": f"http://127.0.0.1:{port}"}
        thing = sorted((study / "P01").iterdir())[0].name
        if at == "upload":
            begin = b'--x\r\nContent-Disposition: form-data; name="files"; filename="new.mp4"\r\n\r\n' + b"x" * 100_000
            connection.putrequest("POST", f"/p/P01/t/{thing.replace(' ', '%20')}/videos")
            for name, value in (
                own | {"Content-Type": "multipart/form-data; boundary=x", "Content-Length": "900000"}
            ).items():
                connection.putheader(name, value)
            connection.endheaders()
            connection.send(begin)
            found = lambda: list(study.rglob("new.mp4"))  # noqa: E731
        else:
            connection.request("POST", "/p/P01/teach", b"", own)
            connection.getresponse().read()
            found = lambda: list(study.rglob("*~lock.part"))[1:]  # noqa: E731
        until = time.monotonic() + 60
        while not found() and time.monotonic() < until:
            time.sleep(0.01)
        assert found(), leaves
        process.kill()
    assert not list(study.rglob("*.safetensors"))
    if at == "upload":  # unchecked uploads are removed when the study is opened again
        with verb(study, *options) as (process, line):
            assert status_of(line) == 200 and not list(study.rglob("new.mp4"))
            assert main(["studio", str(study), "--no-browser"]) == 2  # the folder is already open
            process.send_signal(signal.SIGINT)
            assert (*process.communicate(timeout=60), process.returncode) == ("", "", 0)
        assert [path.name for path in study.rglob("*") if path.name.startswith(".")] == []
    assert {path.relative_to(study): path.read_bytes() for path in study.rglob("*.mp4")} == before
    with serve(study) as client:
        assert client.let_in().taught("P01")["state"] == "done"
