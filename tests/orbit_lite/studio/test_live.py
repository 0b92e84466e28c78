"""Live frames: the newest is answered, the threshold changes at once, only changes are spoken; and faulty frames."""

import io
import json
import shutil
import struct
import time
from contextlib import ExitStack, suppress

import numpy as np
import pytest
from PIL import Image
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from data_prep.video import encode_jpeg, iterate_frames
from groundwork.errors import DataError
from orbit_lite.personal.decision.rejection import Certainty
from orbit_lite.personal.file import load_personal
from orbit_lite.studio.live import LiveSession, small_jpeg
from orbit_lite.studio.study import Study


@pytest.fixture(scope="module")
def personal(taught_study):
    return load_personal(Study(taught_study).participant("P01").file)


@pytest.fixture(scope="module")
def jpegs(filmed):
    """Frames of one thing's video."""
    video = sorted((sorted(filmed.iterdir())[0] / "clean").iterdir())[0]
    return [encode_jpeg(picture) for _, picture in iterate_frames(video)]


def test_the_threshold_changes_at_once_and_nothing_else(personal, jpegs):
    session = LiveSession(personal)
    assert session.at(0.2) is None  # before the first frame
    first = session.answer(1, jpegs[0]).answer
    answers = [session.at(aim) for aim in (0.5, 0.3, 0.1, 0.01)]
    assert {(one.frame, one.likeliest, one.familiarity) for one in answers} == {(1, first.likeliest, first.familiarity)}
    order = [Certainty.NONE, Certainty.MAYBE, Certainty.SURE]
    ranks = [order.index(one.kind) for one in answers]
    assert ranks == sorted(ranks)  # from careful to eager, it names things more readily
    thresholds = []
    for aim in (0.5, 0.3, 0.1, 0.01):
        session.at(aim)
        thresholds.append(session.point.threshold)
        assert session.point.aim == aim
    assert thresholds == sorted(thresholds, reverse=True) and len(set(thresholds)) > 1


def test_an_object_is_spoken_once_until_it_changes(personal, jpegs, monkeypatch):
    clock = iter(np.arange(0, 100, 0.1).tolist())
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    session = LiveSession(personal)
    session.at(0.01)
    output = [session.answer(number, jpegs[0]).say for number in range(20)]
    assert [line for line in output if line] == [next(line for line in output if line)]
    assert output[0] is None  # a single frame is not spoken


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + b"0" * 100, b"\xff\xd8\xff" * 500_000])
def test_a_frame_that_is_not_a_picture_is_refused_by_its_header(content):
    with pytest.raises(DataError, match="a picture"):
        small_jpeg(content)


def test_a_frame_that_would_fill_the_memory_is_refused_by_its_header():
    content = io.BytesIO()
    Image.new("L", (20_000, 4_000)).save(content, "JPEG")
    with pytest.raises(DataError, match="20000x4000 pixels"):
        small_jpeg(content.getvalue())


@pytest.fixture(scope="module")
def client(serve, taught_study, tmp_path_factory):
    root = tmp_path_factory.mktemp("live") / "study"
    shutil.copytree(taught_study, root)
    with serve(root) as client:
        yield client.let_in()


def live(client, participant="P01"):
    own = f"127.0.0.1:{client.address.port}"
    headers = {"Cookie": client.cookie}
    return connect(f"ws://{own}/p/{participant}/live", origin=f"http://{own}", additional_headers=headers)


def frame(number, jpeg):
    return struct.pack(">I", number) + jpeg


def test_the_newest_frame_is_answered_and_skipped_ones_are_counted(client, jpegs):
    with live(client) as socket:
        socket.send(frame(0, jpegs[0]))
        assert json.loads(socket.recv(timeout=60))["frame"] == 0
        for number in range(1, 101):
            socket.send(frame(number, jpegs[number % len(jpegs)]))
        answered = []
        while not answered or answered[-1]["frame"] < 100:
            answered.append(json.loads(socket.recv(timeout=60)))
        numbers = [one["frame"] for one in answered]
        assert numbers == sorted(numbers) and len(numbers) < 100
        assert answered[-1]["dropped"] == 100 - len(numbers)  # each was answered or counted


def test_a_faulty_frame_is_reported_and_the_next_one_is_answered(client, jpegs):
    with live(client) as socket:
        for bad in (b"", b"ab", struct.pack(">I", 1), frame(2, b"no picture")):
            socket.send(bad)
        assert "not a JPEG" in json.loads(socket.recv(timeout=60))["fault"]
        for text in (
            "",
            "{",
            '{"aim": "x"}',
            '{"aim": null}',
            "[]",
            '{"aim": 1e999}',
            '{"other": 1}',
            "[" * 9000,
            '{"aim": 1%s}' % ("0" * 400),
        ):
            socket.send(text)
        socket.send(frame(3, jpegs[0]))
        assert json.loads(socket.recv(timeout=60))["frame"] == 3


def test_a_missing_recognizer_is_reported(client):
    (client.root / "P02").mkdir()
    with live(client, "P02") as socket:
        assert "Teach one first" in json.loads(socket.recv(timeout=60))["fault"]
    assert client.ask("GET", "/p/P02/try")[0] == 404
    (client.root / "P02").rmdir()


def test_an_internal_error_is_reported_and_the_next_frame_is_answered(client, jpegs, monkeypatch):
    with live(client) as socket:
        with monkeypatch.context() as patch:
            patch.setattr(LiveSession, "answer", lambda *_: 1 / 0)
            socket.send(frame(1, jpegs[0]))
            assert "ZeroDivisionError" in json.loads(socket.recv(timeout=60))["fault"]
        socket.send(frame(2, jpegs[0]))
        assert json.loads(socket.recv(timeout=60))["frame"] == 2


def test_most_of_sixty_sockets_are_refused_and_pages_still_work(client, jpegs):
    """Each sends invalid messages; those that were accepted still get answers and then free their places."""
    with ExitStack() as held:
        sockets = [held.enter_context(live(client)) for _ in range(60)]
        for socket in sockets:
            with suppress(ConnectionClosed):
                for wrong in (b"", "[]", b"\x00" * 1000, "no JSON", '{"aim": []}'):
                    socket.send(wrong)
                socket.send(frame(7, jpegs[0]))
        last = [last_line(socket) for socket in sockets]
        assert sum("can be used at once" in line.get("fault", "") for line in last) == 52
        assert sum(line.get("frame") == 7 for line in last) == 8
        assert client.page()
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with live(client) as socket:
            socket.send(frame(1, jpegs[0]))
            if json.loads(socket.recv(timeout=60)).get("frame") == 1:
                return
    raise AssertionError("no place became free")


def last_line(socket):
    """The answer to the frame, or the reason why there is none."""
    line = {}
    with suppress(ConnectionClosed):
        while line.get("frame") != 7:
            line = json.loads(socket.recv(timeout=60))
    return line
